"""Outpainting as inpainting: a picture on a larger canvas, whose new part is the mask.

The engine learns nothing of it: what runs is an ordinary request with a picture and a mask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdnb.images import canvas
from sdnb.request import Request, checks, picture_input, sizes
from sdnb.request.settings import RANGES
from sdnb.request.sizes import Size

_LATENT = 8  # a cell of the latent covers 8x8 pixels
_LARGEST = int(RANGES["width"][1])  # a side of a picture
# Times the model's own pixels: a part between them is generated at its own size.
_FEW, _MANY = 0.5, 1.5
_BLUR = 0.3  # pixels for each pixel of distance: an edge's colours run into one another
_CONTEXT = 0.25  # of the model's own side: what it sees of the picture beside the new part
_Bytes = NDArray[np.uint8]

#: Pixels of the picture that are repainted beside the new part, where the model joins both.
OVERLAP = 16
# Over so many of them what is new fades in. With 0 an edge is seen, and with 8 and more a streak:
# cells of the latent that are masked in part are mixed with blurred colours.
_FEATHER = 4

#: Where a picture lies in a larger size: its shares of what is added left and above.
ANCHORS = {
    "middle": (0.5, 0.5), "left": (0.0, 0.5), "right": (1.0, 0.5), "top": (0.5, 0.0),
    "bottom": (0.5, 1.0), "top left": (0.0, 0.0), "top right": (1.0, 0.0),
    "bottom left": (0.0, 1.0), "bottom right": (1.0, 1.0),
}  # fmt: skip


@dataclass(frozen=True)
class Sides:
    """By how many pixels a picture is extended at each side. Raises TypeError or ValueError."""

    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = checks.whole(each.name, getattr(self, each.name), 0, _LARGEST)
            object.__setattr__(self, each.name, value)

    @classmethod
    def to_size(cls, original: Size, size: Size, anchor: str = "middle") -> Sides:
        """What makes a picture of size `original` as large as `size`, where it lies at `anchor`,
        one of `ANCHORS`. Raises ValueError for a size that is smaller than the picture.
        """
        across, down = ANCHORS[checks.choice("anchor", anchor, tuple(ANCHORS))]
        more = size[0] - original[0], size[1] - original[1]
        if min(more) < 0:
            raise ValueError(
                f"size={size} is smaller than the picture, {original[0]}x{original[1]}: a picture "
                "is only extended here; crop it first, or give a larger size"
            )
        left, top = round(more[0] * across), round(more[1] * down)
        return cls(left, more[0] - left, top, more[1] - top)

    @classmethod
    def asked(cls, original: Size, sides: Sides, size: Size | None, anchor: str) -> Sides:
        """The `sides`, or what makes a picture of size `original` as large as `size`. Raises
        ValueError where both are given, or nothing is extended.
        """
        if size is not None and sides:
            raise ValueError(
                f"size={size} says how far each side is extended: give it, or left, right, top and "
                "bottom"
            )
        found = sides if size is None else cls.to_size(original, size, anchor)
        if not found:
            raise ValueError(
                "nothing is extended: give left, right, top or bottom in pixels, or a larger size"
            )
        return found

    def __bool__(self) -> bool:
        return bool(self.left or self.right or self.top or self.bottom)

    def extend(self, size: Size) -> Size:
        """The size of the canvas around a picture of this size. Raises ValueError for a side that
        is extended beyond 8192 pixels.
        """
        larger = size[0] + self.left + self.right, size[1] + self.top + self.bottom
        if any(a > max(b, _LARGEST) for a, b in zip(larger, size, strict=True)):
            raise ValueError(
                f"the canvas would be {larger[0]}x{larger[1]}: sides of up to {_LARGEST} pixels "
                "are accepted; extend it by less"
            )
        return larger

    def kept(self, size: Size, overlap: int = 0) -> tuple[int, int, int, int]:
        """What is kept of a picture of this size, on the canvas: left, upper, right, lower.

        `overlap` pixels are repainted of it beside each new part. Raises ValueError if that is all,
        and TypeError or ValueError for one that is no such number.
        """
        overlap = checks.whole("overlap", overlap, 0, _LARGEST)
        width, height = self.extend(size)
        left, right = self.left + overlap * bool(self.left), self.right + overlap * bool(self.right)
        top, bottom = self.top + overlap * bool(self.top), self.bottom + overlap * bool(self.bottom)
        box = left, top, width - right, height - bottom
        if box[0] >= box[2] or box[1] >= box[3]:
            raise ValueError(
                f"overlap={overlap} leaves nothing of the picture, {size[0]}x{size[1]}: a smaller "
                "one keeps some of it"
            )
        return box


def extended(picture: Image.Image, sides: Sides) -> Image.Image:
    """The picture (RGB) on the larger canvas. The colours of its edges go on into the new part,
    and blur the more the farther they are; its own pixels are the same, bit for bit.
    """
    wide = _lengthened(np.asarray(picture), sides.left, sides.right)
    return Image.fromarray(_lengthened(wide.swapaxes(0, 1), sides.top, sides.bottom).swapaxes(0, 1))


def mask(size: Size, sides: Sides, overlap: int = 0) -> Image.Image:
    """The mask (L) of the canvas around a picture of this size: white is new, or in the overlap.
    Raises as `Sides.kept`.
    """
    whole = Image.new("L", sides.extend(size), 255)
    whole.paste(0, sides.kept(size, overlap))
    return whole


def frame(hole: Image.Image, own: Size) -> tuple[int, Size]:
    """The padding of a mask (L), and a size in multiples of 8 to generate the masked part at: about
    as many pixels as `own`, the model's, in the proportions of the part.

    The part is as large as `own` where the picture reaches so far, and shows some of the picture
    beside the mask. Raises ValueError for a mask that is all black.
    """
    if hole.getbbox() is None:
        raise ValueError("the mask is all black: there is no part to generate")
    padding = context(own)
    left, top, right, bottom = canvas.around_mask(hole, padding, own)
    part = [
        min(whole, max(side, least))
        for side, least, whole in zip((right - left, bottom - top), own, hole.size, strict=True)
    ]
    rounded = _eights(part[0]), _eights(part[1])
    if _FEW <= rounded[0] * rounded[1] / (own[0] * own[1]) <= _MANY:
        return padding, rounded
    return padding, sizes.near((part[0], part[1]), own)


def feather(overlap: int) -> float:
    """The feather of a mask with this overlap."""
    return float(min(_FEATHER, overlap))


def context(own: Size) -> int:
    """Pixels of the picture beside its mask that a model sees at least; `own` is its own size."""
    return round(_CONTEXT * min(own))


def request(
    base: Request, picture: Image.Image, sides: Sides, own: Size, *, overlap: int = OVERLAP
) -> Request:
    """The request that outpaints a picture (RGB) with the words and settings of `base`, on a model
    whose own size is `own`. Controls that have a picture are left out: it is of the smaller canvas.
    Raises as `Sides.kept`.
    """
    hole = mask(picture.size, sides, overlap)
    padding, (width, height) = frame(hole, own)
    return base.but(
        image=picture_input.picture(extended(picture, sides)),
        mask=picture_input.mask(hole),
        invert=False,
        feather=feather(overlap),
        strength=Request.strength,
        content=Request.content,
        padding=padding,
        width=width,
        height=height,
        fit="stretch",
        controls=tuple(each for each in base.controls if each.image is None),
    )


def _lengthened(pixels: _Bytes, before: int, after: int) -> _Bytes:
    """`[h, w, 3]` with columns before the first and after the last one."""
    ends = _streaks(pixels[:, 0], before)[:, ::-1], _streaks(pixels[:, -1], after)
    return np.concatenate([ends[0], pixels, ends[1]], axis=1)


def _streaks(edge: _Bytes, length: int) -> _Bytes:
    """An edge's pixels `[h, 3]` drawn out to `[h, length, 3]`. At a distance of d pixels they are
    blurred along the edge with a deviation of `_BLUR` d.
    """
    column, places = edge.astype(np.float64), np.arange(len(edge))
    drawn = np.empty((len(edge), length, 3), np.uint8)
    for distance in range(length):
        # The variance of 1/4, 1/2, 1/4 at a spacing of g pixels is g * g / 2.
        spacing = round(_BLUR * 2 * math.sqrt(distance))
        beside = [column[(places + by).clip(0, len(edge) - 1)] for by in (-spacing, spacing)]
        column = (beside[0] + 2 * column + beside[1]) / 4
        drawn[:, distance] = np.rint(column)
    return drawn


def _eights(side: int) -> int:
    return max(int(RANGES["width"][0]), round(side / _LATENT) * _LATENT)
