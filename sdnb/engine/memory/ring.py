"""The ring of memory on a card through which streamed blocks pass: its size, and their places.
This is arithmetic; `memory.stream` moves the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from torch import nn

from sdnb.engine.memory import flat, quantised


def streaming_bytes(
    units: Sequence[nn.Module], once: Sequence[nn.Module], keep: int, weights: str = "same"
) -> tuple[int, int]:
    """Bytes that streaming these modules takes on the device: those of the ring, and beside it of
    the units that stay there and of room to decode 8-bit weights into.
    """
    sizes, scratch = [], 0
    for weights_of_unit in weights_by_unit(units, once):
        entries, size = flat.layout(weights_of_unit)
        if weights == "int8":
            scratch = max(scratch, size)
            _, size = quantised.layout(entries, 0)
        sizes.append(size)
    staying = units_that_stay(sizes, keep)
    streamed = [size for i, size in enumerate(sizes) if i not in staying and size]
    return ring_size(streamed), sum(sizes[i] for i in staying) + scratch


def weights_by_unit(
    units: Iterable[nn.Module], once: Iterable[nn.Module]
) -> Iterator[list[flat.Weight]]:
    """The weights of each unit, without those of the modules in `once`."""
    apart = {id(table) for module in once for table, _, _ in flat.tensors(module)}
    for unit in units:
        yield [weight for weight in flat.tensors(unit) if id(weight[0]) not in apart]


def units_that_stay(sizes: Sequence[int], keep: int) -> set[int]:
    """The units that fit into `keep` bytes, the largest first, since the ring shrinks with them."""
    chosen, left = set(), keep
    for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        if sizes[i] <= left:
            chosen.add(i)
            left -= sizes[i]
    return chosen


def ring_size(sizes: Sequence[int]) -> int:
    """Bytes of the ring, which holds the largest two neighbours of the cycle side by side."""
    if len(sizes) < 2:
        return sum(sizes)
    return max(a + b for a, b in zip(sizes, [*sizes[1:], sizes[0]], strict=True))


def places(sizes: Sequence[int]) -> tuple[list[tuple[int, int]], int]:
    """The place of each unit in the ring, how many units earlier that place was last in use, and
    the size of the ring.
    """
    ring, at, begins = ring_size(sizes), 0, []
    for size in sizes:
        if at + size > ring:
            at = 0
        begins.append(at)
        at += size
    return [*zip(begins, last_uses(begins, sizes), strict=True)], ring


def last_uses(begins: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """How many units earlier in the cycle the place of each was last in use."""
    n = len(sizes)
    return [
        next(
            k for k in range(1, n + 1)
            if begins[(i - k) % n] < begins[i] + sizes[i]
            and begins[i] < begins[(i - k) % n] + sizes[(i - k) % n]
        )
        for i in range(n)
    ]  # fmt: skip
