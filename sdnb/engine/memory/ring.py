"""The ring of memory on a card through which streamed blocks pass: its size, and their places.

This is arithmetic; `memory.stream` moves the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from sdnb.engine.memory import flat, quantised


def footprint(
    units: Sequence[nn.Module], once: Sequence[nn.Module], keep: int, weights: str = "same"
) -> int:
    """Bytes that streaming these modules takes on the device: the ring, the units that stay there,
    and room to decode 8-bit weights into.
    """
    apart = {id(t) for m in once for t, _, _ in flat.tensors(m)}
    sizes, whole = [], 0
    for unit in units:
        entries, size = flat.layout(w for w in flat.tensors(unit) if id(w[0]) not in apart)
        whole = max(whole, size)
        sizes.append(quantised.plan(entries, 0)[1] if weights == "int8" else size)
    chosen = largest(sizes, keep)
    streamed = [size for i, size in enumerate(sizes) if i not in chosen and size]
    scratch = whole if weights == "int8" else 0
    return length(streamed) + sum(sizes[i] for i in chosen) + scratch


def largest(sizes: Sequence[int], keep: int) -> set[int]:
    """The units that fit into `keep` bytes, the largest first, since the ring shrinks with them."""
    chosen, left = set(), keep
    for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        if sizes[i] <= left:
            chosen.add(i)
            left -= sizes[i]
    return chosen


def length(sizes: Sequence[int]) -> int:
    """Bytes of the ring: it holds the largest two neighbours of the cycle side by side."""
    if len(sizes) < 2:
        return sum(sizes)
    return max(a + b for a, b in zip(sizes, [*sizes[1:], sizes[0]], strict=True))


def places(sizes: Sequence[int]) -> tuple[list[tuple[int, int]], int]:
    """The place of each unit in the ring, how many units earlier that place was last in use, and
    the size of the ring.
    """
    ring, at, begins = length(sizes), 0, []
    for size in sizes:
        if at + size > ring:
            at = 0
        begins.append(at)
        at += size
    n, places = len(sizes), []
    for i in range(n):
        a, b = begins[i], begins[i] + sizes[i]
        back = next(
            k for k in range(1, n + 1)
            if begins[(i - k) % n] < b and a < begins[(i - k) % n] + sizes[(i - k) % n]
        )  # fmt: skip
        places.append((begins[i], back))
    return places, ring
