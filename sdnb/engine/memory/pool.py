"""What PyTorch's allocator takes from a card for a sequence of allocations: whole pages, with the
holes that tensors of different sizes leave behind. This is arithmetic.

The rules are those of `c10/cuda/CUDACachingAllocator.cpp` (torch 2.1 to 2.11) with expandable
segments, as `device.lean_allocator` sets them.
"""

from __future__ import annotations

import bisect

MB = 2**20
#: Bytes up to which a block lies in the segment of small ones, and the pages of both.
SMALL = MB
SMALL_PAGE, LARGE_PAGE = 2 * MB, 20 * MB


class Pool:
    """The two segments of a pool that is new, as a CUDA graph's is; no page is given back."""

    def __init__(self) -> None:
        self._small, self._large = _Segment(), _Segment()

    @property
    def reserved(self) -> int:
        """Bytes of all pages so far."""
        pages = (self._small, SMALL_PAGE), (self._large, LARGE_PAGE)
        return sum(-(-segment.highest // page) * page for segment, page in pages)

    def allocate(self, name: object, size: int) -> None:
        """A block of `size` bytes, under any name that no block has."""
        (self._small if size <= SMALL else self._large).allocate(name, size)

    def free(self, name: object, size: int) -> None:
        """Give back the block of this name, which had so many bytes."""
        (self._small if size <= SMALL else self._large).free(name)


class _Segment:
    """A range of addresses that grows at its end. A block takes the smallest hole that holds it,
    the first of several; the end grows where none does.
    """

    def __init__(self) -> None:
        self.highest = 0  # the end at its farthest
        self._end = 0
        self._blocks: dict[object, tuple[int, int]] = {}  # where each begins and ends
        self._holes: list[tuple[int, int]] = []  # size and begin, in order
        self._from: dict[int, int] = {}  # a hole's begin -> its end
        self._to: dict[int, int] = {}  # a hole's end -> its begin

    def allocate(self, name: object, size: int) -> None:
        at = bisect.bisect_left(self._holes, (size, 0))
        if at == len(self._holes):
            begin, self._end = self._end, self._end + size
            self.highest = max(self.highest, self._end)
        else:
            begin = self._holes[at][1]
            end = self._take(begin)
            if end > begin + size:
                self._leave(begin + size, end)
        self._blocks[name] = begin, begin + size

    def free(self, name: object) -> None:
        begin, end = self._blocks.pop(name)
        if end in self._from:
            end = self._take(end)
        if begin in self._to:
            before = self._to[begin]
            self._take(before)
            begin = before
        if end == self._end:
            self._end = begin
        else:
            self._leave(begin, end)

    def _take(self, begin: int) -> int:
        """Remove the hole that begins there; returns its end."""
        end = self._from.pop(begin)
        del self._to[end], self._holes[bisect.bisect_left(self._holes, (end - begin, begin))]
        return end

    def _leave(self, begin: int, end: int) -> None:
        self._from[begin], self._to[end] = end, begin
        bisect.insort(self._holes, (end - begin, begin))
