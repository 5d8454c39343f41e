"""Work that a card does beside other work. A small picture's kernels leave a part of the card idle;
those of two streams share it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from torch import Tensor

from sdnb.engine.memory import rehearsal

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class Beside(Generic[T]):
    """`work()`, begun in a stream of its own on the device of `like`, while the caller goes on.

    Calling this waits for it, on the device, and gives its result. What `work` reads must live
    until then. On a device without streams it is done at once.

    A context manager, which waits at the end in any case: a stream that left a recording and did
    not come back would spoil it.
    """

    def __init__(self, work: Callable[[], T], like: Tensor) -> None:
        self._stream = _stream(like.device) if like.device.type == "cuda" else None
        if self._stream is None:
            with rehearsal.another_pool():
                self._result = work()
            return
        self._stream.wait_stream(torch.cuda.current_stream(like.device))
        try:
            with torch.cuda.stream(self._stream):
                self._result = work()
        except BaseException:
            self._join()
            raise

    def __call__(self) -> T:
        self._join()
        return self._result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._join()

    def _join(self) -> None:
        """Have what the caller enqueues next wait for the work. A tensor of it may be forgotten
        then: whatever takes its memory begins, in that stream, behind the caller's work.
        """
        if self._stream is not None:
            torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)


def has_second_stream() -> bool:
    """Whether this process has done such work on a card, and so has what libraries keep for it."""
    return _stream.cache_info().currsize > 0


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """The one stream for such work: libraries keep a workspace for each stream."""
    return torch.cuda.Stream(device)
