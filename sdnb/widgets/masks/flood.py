"""What a bucket fills: the pixels around a point that are of its colour, and hang together."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sdnb.widgets.masks.strokes import NOWHERE, Cover, Point


def flooded(pixels: NDArray[np.uint8], point: Point, tolerance: int = 0) -> Cover:
    """The pixels that one reaches from a point without a diagonal step, through those of which no
    channel is further than `tolerance` from the point's own.

    `pixels` are `[h, w, c]`, c channels of 0 to 255. Nothing is covered for a point outside them.
    """
    height, width = pixels.shape[:2]
    x, y = int(np.floor(point[0])), int(np.floor(point[1]))
    if not (0 <= x < width and 0 <= y < height):
        return NOWHERE, np.zeros((0, 0), np.bool_)
    return _connected(_alike(pixels, pixels[y, x], tolerance), x, y)


def _alike(
    pixels: NDArray[np.uint8], colour: NDArray[np.uint8], tolerance: int
) -> NDArray[np.bool_]:
    """Where each channel is within `tolerance` of the colour: [h, w]."""
    lowest, highest = (
        np.clip(colour.astype(np.int16) + away, 0, 255).astype(np.uint8)
        for away in (-tolerance, tolerance)
    )
    alike = np.ones(pixels.shape[:2], np.bool_)
    for channel in range(pixels.shape[2]):
        alike &= (pixels[..., channel] >= lowest[channel]) & (
            pixels[..., channel] <= highest[channel]
        )
    return alike


def _connected(alike: NDArray[np.bool_], x: int, y: int) -> Cover:
    """The part of `alike` that hangs together with a pixel of it; rows are walked run by run."""
    width = alike.shape[1]
    change = np.diff(np.pad(alike.view(np.int8), ((0, 0), (1, 1))), axis=1)  # [h, w + 1]
    rows, starts = np.nonzero(change == 1)
    ends = np.nonzero(change == -1)[1]
    # Places in the whole picture, so that runs are found by bisection, beside them those of the
    # rows above and below.
    left, right = rows * width + starts, rows * width + ends
    above = _between(left, right, left - width, right - width)
    below = _between(left, right, left + width, right + width)
    first = int(np.searchsorted(left, y * width + x, "right")) - 1
    found = np.fromiter(_walked(first, above, below), np.intp)
    box = (
        int(starts[found].min()), int(rows[found].min()),
        int(ends[found].max()), int(rows[found].max()) + 1,
    )  # fmt: skip
    edge = np.zeros((box[3] - box[1], box[2] - box[0] + 1), np.int8)  # [h, w + 1]
    edge[rows[found] - box[1], starts[found] - box[0]] += 1
    edge[rows[found] - box[1], ends[found] - box[0]] -= 1
    return box, edge.cumsum(axis=1)[:, :-1] > 0


_Ranges = tuple[list[int], list[int]]


def _between(
    left: NDArray[np.intp], right: NDArray[np.intp],
    start: NDArray[np.intp], end: NDArray[np.intp],
) -> _Ranges:  # fmt: skip
    """Of each stretch from start to end, the first run that touches it and the one behind."""
    return (
        np.searchsorted(right, start, "right").tolist(),
        np.searchsorted(left, end, "left").tolist(),
    )


def _walked(first: int, *beside: _Ranges) -> Iterator[int]:
    """The runs that hang together with the first one."""
    seen, waiting = {first}, deque([first])
    while waiting:
        run = waiting.popleft()
        yield run
        for lowest, behind in beside:
            for other in range(lowest[run], behind[run]):
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
