"""A function as a CUDA graph: its kernels are recorded once and launched all together afterwards.

A small picture's step is hundreds of kernels that take a few microseconds each: launched one by
one, they wait for Python.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Shapes = tuple[tuple[torch.Size, torch.dtype], ...]


class Graphed:
    """`function(*tensors) -> Tensor`, recorded for the shapes it is called with.

    The result is the graph's own: the next call overwrites it. Recording again is only needed for
    other shapes, and forgets the graph before, so that memory does not pile up.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function = function
        self._graph: torch.cuda.CUDAGraph | None = None
        self._shapes: Shapes = ()
        self._inputs: list[Tensor] = []
        self._output: Tensor | None = None

    def __call__(self, *tensors: Tensor) -> Tensor:
        shapes = tuple((t.shape, t.dtype) for t in tensors)
        if self._graph is None or shapes != self._shapes:
            self._record(tensors, shapes)
        assert self._graph is not None
        assert self._output is not None
        changed = [(i, t) for i, t in zip(self._inputs, tensors, strict=True) if i is not t]
        if changed:
            torch._foreach_copy_([i for i, _ in changed], [t for _, t in changed])
        self._graph.replay()
        return self._output

    @property
    def recorded(self) -> bool:
        """Whether there is a graph."""
        return self._graph is not None

    def own(self, tensors: Sequence[Tensor], first: int) -> list[Tensor] | None:
        """The graph's own inputs from `first` on, holding `tensors`: passing them costs no copy.
        None before the graph is recorded, or for other shapes.
        """
        mine = self._inputs[first : first + len(tensors)]
        if len(mine) != len(tensors) or any(
            a.shape != b.shape or a.dtype != b.dtype for a, b in zip(mine, tensors, strict=True)
        ):
            return None
        torch._foreach_copy_(mine, list(tensors))
        return mine

    def forget(self) -> None:
        """Give the graph's memory back."""
        self._graph, self._output, self._inputs, self._shapes = None, None, [], ()

    def _record(self, tensors: Sequence[Tensor], shapes: Shapes) -> None:
        self.forget()
        inputs = [t.clone(memory_format=torch.preserve_format) for t in tensors]
        side = _stream(tensors[0].device)
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # loads kernels, measures attention, sets workspaces up
            self.function(*inputs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=side):
            output = self.function(*inputs)
        self._graph, self._inputs, self._output, self._shapes = graph, inputs, output, shapes


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """The stream on which graphs are recorded: always the same, since libraries keep a workspace
    for each that they have seen.
    """
    return torch.cuda.Stream(device)
