"""The strokes of a mask or of a drawing in colours, and the pixels that they cover.

Coordinates are continuous, in pixels of the picture: pixel (i, j) is the square from i to i + 1 and
j to j + 1. A stroke covers a pixel if it covers its centre. White (255) is regenerated. In colours,
what would be white of a mask has the stroke's `colour`, and what would be black is taken away.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdnb import images
from sdnb.images.outpaint import Sides

Point: TypeAlias = tuple[float, float]  # x, y
Box: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom excluded
Size: TypeAlias = tuple[int, int]  # width, height
Colour: TypeAlias = tuple[int, int, int]  # red, green, blue: 0 to 255
Cover: TypeAlias = tuple[Box, "NDArray[np.bool_]"]  # which pixels of the box, [h, w]

NOWHERE: Box = (0, 0, 0, 0)
_THINNEST = math.sqrt(0.5)  # the least radius that covers a pixel's centre anywhere


@dataclass(frozen=True)
class Brush:
    """A round brush drawn through the points; the eraser is a black brush."""

    points: tuple[Point, ...]
    size: float  # the diameter
    white: bool = True
    colour: Colour | None = None


@dataclass(frozen=True)
class Rectangle:
    """A rectangle between two opposite corners."""

    start: Point
    end: Point
    white: bool = True
    colour: Colour | None = None


@dataclass(frozen=True)
class Polygon:
    """The inside of a closed line that may cross itself (nonzero winding number)."""

    points: tuple[Point, ...]
    white: bool = True
    colour: Colour | None = None


@dataclass(frozen=True, repr=False)
class Region:
    """Some pixels of a box, such as those that a fill has found: `bits` has them row by row, packed
    as numpy does. `region` makes one.
    """

    box: Box
    bits: bytes
    white: bool = True
    colour: Colour | None = None

    def __repr__(self) -> str:
        return f"Region({self.box}, <{len(self.bits)} bytes>, {self.white}, {self.colour})"


@dataclass(frozen=True)
class Invert:
    """White becomes black, black white."""


@dataclass(frozen=True)
class Clear:
    """All black: nothing is regenerated; of a drawing, nothing is drawn."""


@dataclass(frozen=True, repr=False)
class Imported:
    """A whole imported mask: PNG bytes (L) of the picture's size. Of a drawing, RGBA."""

    png: bytes

    def __repr__(self) -> str:
        return f"Imported(<{len(self.png)} bytes>)"


@dataclass(frozen=True)
class Extension:
    """A larger canvas: what is new of it is drawn, and `overlap` pixels beside that. The points of
    later strokes are counted from its upper left corner.
    """

    sides: Sides
    overlap: int
    white: bool = True


Shape: TypeAlias = "Brush | Rectangle | Polygon | Region"
Stroke: TypeAlias = "Brush | Rectangle | Polygon | Region | Invert | Clear | Imported | Extension"


def covered(shape: Shape, size: Size) -> Cover:
    """The pixels that a shape covers in a picture of this size."""
    if isinstance(shape, Brush):
        return _brushed(shape, size)
    if isinstance(shape, Rectangle):
        return _between(shape, size)
    if isinstance(shape, Region):
        return shape.box, _unpacked(shape)
    return _encircled(shape, size)


def region(cover: Cover, colour: Colour | None = None) -> Region:
    """A stroke of these pixels."""
    box, inside = cover
    return Region(box, np.packbits(inside).tobytes(), colour=colour)


def union(a: Box, b: Box) -> Box:
    """The smallest box around both; an empty one adds nothing."""
    if empty(a) or empty(b):
        return a if empty(b) else b
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def empty(box: Box) -> bool:
    """Whether the box holds no pixel."""
    return box[0] >= box[2] or box[1] >= box[3]


def clipped(box: Box, size: Size) -> Box:
    """The part of the box inside a picture of this size; `NOWHERE` if there is none."""
    inside = (max(box[0], 0), max(box[1], 0), min(box[2], size[0]), min(box[3], size[1]))
    return NOWHERE if empty(inside) else inside


def around(points: Iterable[Point], margin: float, size: Size) -> Box:
    """The points' bounding box with a margin, inside the picture."""
    xs, ys = zip(*points, strict=True)
    left, top = math.floor(min(xs) - margin), math.floor(min(ys) - margin)
    right, bottom = math.ceil(max(xs) + margin), math.ceil(max(ys) + margin)
    return clipped((left, top, right, bottom), size)


def segment(a: Point, b: Point, diameter: float, size: Size) -> Cover:
    """The pixels whose centres a round brush covers on a straight line from a to b."""
    radius = max(diameter / 2, _THINNEST)
    box = around((a, b), radius, size)
    x = np.arange(box[0], box[2], dtype=np.float32)[None, :] + np.float32(0.5 - a[0])  # [1, w]
    y = np.arange(box[1], box[3], dtype=np.float32)[:, None] + np.float32(0.5 - a[1])  # [h, 1]
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = dx * dx + dy * dy
    if length < 1e-12:  # a dot
        return box, x * x + y * y <= radius * radius
    along = x * np.float32(dx / length) + y * np.float32(dy / length)  # [h, w]: 0 at a, 1 at b
    along = along.clip(0, 1)
    off_x, off_y = x - along * np.float32(dx), y - along * np.float32(dy)
    return box, off_x * off_x + off_y * off_y <= radius * radius


def _brushed(brush: Brush, size: Size) -> Cover:
    points = brush.points if len(brush.points) > 1 else brush.points * 2
    box = around(points, max(brush.size / 2, _THINNEST), size)
    pixels = np.zeros((box[3] - box[1], box[2] - box[0]), np.bool_)  # [h, w]
    for a, b in itertools.pairwise(points):
        part, inside = segment(a, b, brush.size, size)
        if not empty(part):
            rows = slice(part[1] - box[1], part[3] - box[1])
            pixels[rows, part[0] - box[0] : part[2] - box[0]] |= inside
    return box, pixels


def _between(rectangle: Rectangle, size: Size) -> Cover:
    (x0, y0), (x1, y1) = rectangle.start, rectangle.end
    left, right = sorted((_first(x0), _first(x1)))
    top, bottom = sorted((_first(y0), _first(y1)))
    box = clipped((left, top, right, bottom), size)
    return box, np.ones((box[3] - box[1], box[2] - box[0]), np.bool_)


def _encircled(polygon: Polygon, size: Size) -> Cover:
    """Along a row of centres, the winding number changes at each edge that the row crosses."""
    box = around(polygon.points, 0, size)
    left, top, right, bottom = box
    winding = np.zeros((bottom - top, right - left + 1), np.int32)  # [h, w + 1]
    ends = (*polygon.points[1:], polygon.points[0])
    for (x0, y0), (x1, y1) in zip(polygon.points, ends, strict=True):
        low, high = sorted((y0, y1))
        rows = np.arange(max(_first(low), top), min(_first(high), bottom))
        if rows.size:
            crossing = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
            columns = np.ceil(crossing - 0.5).clip(left, right).astype(np.intp)
            winding[rows - top, columns - left] += 1 if y1 > y0 else -1
    return box, winding.cumsum(axis=1)[:, :-1] != 0


def _unpacked(shape: Region) -> NDArray[np.bool_]:
    left, top, right, bottom = shape.box
    bits = np.unpackbits(np.frombuffer(shape.bits, np.uint8), count=(right - left) * (bottom - top))
    return bits.reshape(bottom - top, right - left).astype(np.bool_)


def _first(edge: float) -> int:
    """The first pixel whose centre lies at or beyond an edge."""
    return math.ceil(edge - 0.5)


def transparent(picture: Image.Image) -> Image.Image:
    """A picture's transparent part as white (L). Raises ValueError if it has no alpha."""
    if "A" not in picture.getbands():
        raise ValueError(
            "the picture has no transparency, so there is no mask in it; draw one, or assign a "
            "black and white picture to editor.mask"
        )
    return picture.getchannel("A").point(lambda value: 255 - value)


def imported(source: images.Source, size: Size) -> tuple[Imported, str]:
    """A picture as a mask of this size, with a note if it was resized, or has transparency. Raises
    as `sdnb.images.mask`.
    """
    png, note = images.mask_and_note(source)
    mask = images.open(png)
    if mask.size == size:
        return Imported(png), note
    before, after = (f"{width}x{height}" for width, height in (mask.size, size))
    resized = f"The mask was {before}: resized to the picture's {after}."
    png = images.mask(mask.resize(size, Image.Resampling.BILINEAR))
    return Imported(png), f"{note} {resized}".strip()
