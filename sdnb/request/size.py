"""The size of a picture that leaves its width or height open."""

from __future__ import annotations

from sdnb.request import png_header
from sdnb.request.settings import RANGES


def of_picture(png: bytes, width: int | None, height: int | None) -> tuple[int, int]:
    """The size of a PNG rounded up to multiples of 8; where one side is given, the other keeps the
    proportions.

    Raises ValueError where a side is out of range.
    """
    w, h = png_header.size(png)
    if width is not None:
        size = width, _round_up(width * h, w)
    elif height is not None:
        size = _round_up(height * w, h), height
    else:
        size = _round_up(w, 1), _round_up(h, 1)
    low, high = (int(bound) for bound in RANGES["width"])
    if not all(low <= side <= high for side in size):
        scale = min(high / max(w, h), max(1.0, low / min(w, h)))
        near = [min(max(round(side * scale / 8) * 8, low), high) for side in (w, h)]
        raise ValueError(
            f"image is {w}x{h} pixels, which asks for a picture of {size[0]}x{size[1]}; sides of "
            f"{low} to {high} are accepted: ask for the size in width= and height=, "
            f"for instance {near[0]} and {near[1]}, and the picture is resized to it"
        )
    return size


def _round_up(numerator: int, denominator: int) -> int:
    """numerator / denominator, rounded up to a multiple of 8, in whole numbers."""
    return -(-numerator // (denominator * 8)) * 8
