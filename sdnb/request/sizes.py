"""Sizes: a picture's own, one near a model's own, and how a picture lies in any other.

All in whole pixels as (width, height), without a pixel of any picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from sdnb.request.settings import RANGES

Size = tuple[int, int]

_LATENT = 8  # a cell of the latent covers 8x8 pixels
_LOW, _HIGH = (int(bound) for bound in RANGES["width"])
# How much a side that is off counts beside a number of pixels that is: 1 % of proportions is worth
# 10 % of pixels.
_PIXELS_COUNT = 0.1
#: Proportions that differ by less are the same: nobody sees it.
SAME = 0.02


@dataclass(frozen=True)
class Place:
    """How a picture lies in a size: its part `box` fills the rectangle `at` there."""

    box: tuple[float, float, float, float]  # left, upper, right, lower, in the picture's pixels
    at: tuple[int, int, int, int]  # the same, in pixels of the size
    filled: bool = False  # whether borders around `at` are part of the result, or cut off again

    @property
    def inner(self) -> Size:
        """The size of `at`."""
        return self.at[2] - self.at[0], self.at[3] - self.at[1]

    def covers(self, size: Size) -> tuple[float, float, float, float]:
        """What the whole size covers, in the picture's pixels: more than the picture where it has
        borders.
        """
        left, upper, right, lower = self.box
        across, down = (right - left) / self.inner[0], (lower - upper) / self.inner[1]
        left, upper = left - self.at[0] * across, upper - self.at[1] * down
        return left, upper, left + size[0] * across, upper + size[1] * down


def place(original: Size, size: Size, fit: str) -> Place:
    """How a picture of size `original` lies in `size`; `fit` is a Request's.

    Where `size` is the picture's own, rounded up to multiples of 8, it lies in the upper left as it
    is, whatever `fit` says, so that no pixel moves.
    """
    if size == rounded_up(original):
        return Place((0, 0, *original), (0, 0, *original))
    return spread(original, size, fit)


def spread(original: Size, size: Size, fit: str) -> Place:
    """The same where a size next to the picture's own is no exception."""
    width, height = size
    if fit == "crop":
        wide = width * original[1] >= height * original[0]  # it loses rows, not columns
        across = original[0] if wide else width * original[1] / height
        down = height * original[0] / width if wide else original[1]
        left, upper = (original[0] - across) / 2, (original[1] - down) / 2
        return Place((left, upper, left + across, upper + down), (0, 0, *size))
    if fit == "stretch":
        return Place((0, 0, *original), (0, 0, *size))
    inner = within(original, size)
    filled = fit == "fill"
    left, upper = ((width - inner[0]) // 2, (height - inner[1]) // 2) if filled else (0, 0)
    return Place((0, 0, *original), (left, upper, left + inner[0], upper + inner[1]), filled)


def within(original: Size, size: Size) -> Size:
    """The largest size of the picture's proportions inside `size`."""
    (across, down), (width, height) = original, size
    lower = round(width * down / across)
    if lower <= height:
        return width, max(1, lower)
    return max(1, round(height * across / down)), height


def rounded_up(size: Size) -> Size:
    """The size in multiples of 8."""
    return -(-size[0] // _LATENT) * _LATENT, -(-size[1] // _LATENT) * _LATENT


def same_proportions(one: Size, other: Size) -> bool:
    """Whether nobody would see one stretched to the other."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) < SAME


@lru_cache(64)  # a form asks again with each change
def near(original: Size, own: Size) -> Size:
    """A size in multiples of 8, of about the proportions of `original` and about as many pixels as
    `own`, a model's.
    """

    def off(size: Size) -> float:
        shape = abs(math.log(size[0] * original[1] / (size[1] * original[0])))
        return shape + _PIXELS_COUNT * abs(math.log(size[0] * size[1] / (own[0] * own[1])))

    sides = range(_LOW, _HIGH + 1, _LATENT)
    heights = (min(max(_eights(w * original[1] / original[0]), _LOW), _HIGH) for w in sides)
    return min(zip(sides, heights, strict=True), key=off)


def of_picture(original: Size, width: int | None, height: int | None) -> Size:
    """The size of a picture rounded up to multiples of 8; where one side is given, the other keeps
    the proportions. Raises ValueError where a side is out of range.
    """
    w, h = original
    if width is not None:
        size = width, _round_up(width * h, w)
    elif height is not None:
        size = _round_up(height * w, h), height
    else:
        size = rounded_up(original)
    if not all(_LOW <= side <= _HIGH for side in size):
        scale = min(_HIGH / max(w, h), max(1.0, _LOW / min(w, h)))
        best = [min(max(_eights(side * scale), _LOW), _HIGH) for side in (w, h)]
        raise ValueError(
            f"image is {w}x{h} pixels, which asks for a picture of {size[0]}x{size[1]}; sides of "
            f"{_LOW} to {_HIGH} are accepted: ask for the size in width= and height=, "
            f"for instance {best[0]} and {best[1]}, and the picture is resized to it"
        )
    return size


def inside(original: Size, size: Size) -> Size:
    """The size to generate for a picture that is to fit inside `size`, in multiples of 8. What fits
    inside that is that again: a side that was rounded down leaves less room for the other one.
    """
    width, height = rounded_up(within(original, size))
    found = max(width, _LOW), max(height, _LOW)
    return found if found == size else inside(original, found)


def _eights(side: float) -> int:
    return round(side / _LATENT) * _LATENT


def _round_up(numerator: int, denominator: int) -> int:
    """numerator / denominator, rounded up to a multiple of 8, in whole numbers."""
    return -(-numerator // (denominator * _LATENT)) * _LATENT
