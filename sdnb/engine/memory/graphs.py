"""A function as a CUDA graph: its kernels are recorded once and launched all together afterwards.

A small picture's step is hundreds of kernels that take a few microseconds each: launched one by
one, they wait for Python. A graph cannot be stopped half-way, and where a step takes long it gains
little: so a function is first run as it is, and recorded when that was short.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from sdnb.engine.memory.run_ahead import MOST, RunAhead
from sdnb.request import stop

#: Seconds of a call that a stop can wait for: for a `most` of `Graphed`.
BEARABLE = 0.6

Output: TypeAlias = Tensor | tuple[Tensor, ...]
Shapes = tuple[tuple[torch.Size, torch.dtype], ...]


class Graphed:
    """`function(*tensors)`, which gives a tensor or several, recorded for the shapes that it is
    called with once a call is known to take `most` seconds or less; for others it forgets that
    graph and records another. The next call may overwrite the result of the one before.
    """

    def __init__(self, function: Callable[..., Output], most: float = MOST) -> None:
        self.function, self.most = function, most
        self._graph: torch.cuda.CUDAGraph | None = None
        self._shapes: Shapes = ()
        self._tried: Shapes = ()
        self._ahead: RunAhead | None = None  # of calls of the shapes that were tried
        self._inputs: list[Tensor] = []
        self._output: Output | None = None

    def __call__(self, *tensors: Tensor) -> Output:
        shapes = _shapes(tensors)
        if shapes != self._shapes:
            if shapes != self._tried or self._ahead is None:
                self.forget()
                self._tried, self._ahead = shapes, RunAhead(tensors[0].device, self.most)
            if not self._ahead.judge():
                with self._ahead.bounded():
                    return self.function(*tensors)
            with stop.unheard():  # a recording cannot break off, and takes as long as one call
                self._record(tensors, shapes)
            stop.look()
        assert self._graph is not None
        assert self._output is not None
        changed = [(i, t) for i, t in zip(self._inputs, tensors, strict=True) if i is not t]
        if changed:
            torch._foreach_copy_([i for i, _ in changed], [t for _, t in changed])
        self._graph.replay()
        return self._output

    @property
    def recorded(self) -> bool:
        return self._graph is not None

    @property
    def seconds(self) -> float:
        """What a recorded call takes; 0 while none is recorded."""
        return self._ahead.seconds if self.recorded and self._ahead is not None else 0.0

    def own(self, tensors: Sequence[Tensor], first: int) -> list[Tensor] | None:
        """Copy `tensors` into the graph's inputs from `first` on, and give those: a call with them
        copies nothing. None before the graph is recorded, or for other shapes.
        """
        if self._shapes[first : first + len(tensors)] != _shapes(tensors):
            return None
        mine = self._inputs[first : first + len(tensors)]
        torch._foreach_copy_(mine, list(tensors))
        return mine

    def forget(self) -> None:
        """Give the graph's memory back. Shapes that were tried stay known as short or long."""
        self._graph, self._output, self._inputs, self._shapes = None, None, [], ()

    def _record(self, tensors: Sequence[Tensor], shapes: Shapes) -> None:
        self.forget()
        torch.cuda.empty_cache()  # what calls in the current stream have left: `side` has its own
        inputs = [t.clone(memory_format=torch.preserve_format) for t in tensors]
        side = _stream(tensors[0].device)
        side.wait_stream(torch.cuda.current_stream(side.device))
        with torch.cuda.stream(side):  # loads kernels, measures attention, sets workspaces up
            self.function(*inputs)
        torch.cuda.current_stream(side.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=side):
            output = self.function(*inputs)
        self._graph, self._inputs, self._output, self._shapes = graph, inputs, output, shapes
        side.synchronize()  # what is enqueued next is all that a stop has to wait for


def _shapes(tensors: Sequence[Tensor]) -> Shapes:
    return tuple((t.shape, t.dtype) for t in tensors)


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """The one stream on which graphs are recorded: libraries keep a workspace for each stream."""
    return torch.cuda.Stream(device)
