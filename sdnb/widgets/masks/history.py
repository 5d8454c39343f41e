"""The history of a mask: its strokes in order, undo and redo, and the pixels they make."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdnb import images
from sdnb.images import outpaint
from sdnb.widgets.masks.strokes import (
    NOWHERE,
    Box,
    Brush,
    Clear,
    Colour,
    Cover,
    Extension,
    Imported,
    Invert,
    Point,
    Shape,
    Size,
    Stroke,
    covered,
    empty,
    segment,
    union,
)


@dataclass(frozen=True)
class _Done:
    """A stroke, and the pixels it covered, compressed (a few KB of a large mask)."""

    stroke: Stroke
    box: Box
    before: bytes


class History:
    """A mask and its strokes. Each method that changes it returns the changed box. An extension,
    and taking it back, gives it another `size`: then all has changed.

    A brush is part of the mask from its first point on, and becomes a stroke when it ends.
    """

    _deep: tuple[int, ...] = ()  # the axes of the pixels behind [h, w]

    def __init__(self, size: Size) -> None:
        self.size = size
        self._pixels: NDArray[np.uint8] = np.zeros((size[1], size[0], *self._deep), np.uint8)
        self._done: list[_Done] = []
        self._undone: list[Stroke] = []
        self._open: Brush | None = None
        self._points: list[Point] = []
        self._dirty: Box = NOWHERE
        self._before: NDArray[np.uint8] = self._pixels

    @property
    def strokes(self) -> tuple[Stroke, ...]:
        """The strokes of the mask, in order, without those that were undone."""
        return tuple(done.stroke for done in self._done)

    @property
    def extensions(self) -> tuple[Extension, ...]:
        """Those strokes that made the canvas larger."""
        return tuple(stroke for stroke in self.strokes if isinstance(stroke, Extension))

    @property
    def mask(self) -> Image.Image:
        """The mask (L); 255 is regenerated."""
        return Image.fromarray(self._pixels.copy())

    def part(self, box: Box) -> Image.Image:
        """The mask inside a box."""
        return Image.fromarray(self._pixels[box[1] : box[3], box[0] : box[2]].copy())

    @property
    def white(self) -> float:
        """The mean of the mask, 0 to 1: the white share."""
        return float(self._pixels.mean()) / 255

    @property
    def drawing(self) -> bool:
        """Whether a brush is down."""
        return self._open is not None

    @property
    def can_undo(self) -> bool:
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        return bool(self._undone)

    def apply(self, stroke: Stroke) -> Box:
        """Add a stroke; undone strokes can no longer be redone.

        Raises ValueError, and changes nothing, for an imported mask of another size, and for an
        extension as `Sides.kept`.
        """
        self.finish()
        box = self._push(stroke)
        self._undone.clear()
        return box

    def undo(self) -> Box:
        """Take back the last stroke, or the one being drawn; `NOWHERE` if there is none."""
        if self._open is not None:
            return self.abandon()
        if not self._done:
            return NOWHERE
        done = self._done.pop()
        self._undone.append(done.stroke)
        left, top, right, bottom = done.box
        if isinstance(done.stroke, Invert):
            self._pixels = ~self._pixels
        elif isinstance(done.stroke, Extension):
            self.size = right, bottom
            pixels = np.frombuffer(zlib.decompress(done.before), np.uint8)
            self._pixels = pixels.reshape(bottom, right, *self._deep).copy()
        else:
            pixels = np.frombuffer(zlib.decompress(done.before), np.uint8)
            shape = bottom - top, right - left, *self._deep
            self._pixels[top:bottom, left:right] = pixels.reshape(shape)
        return done.box

    def redo(self) -> Box:
        """Put back the stroke undone last; `NOWHERE` if there is none."""
        self.finish()
        return self._push(self._undone.pop()) if self._undone else NOWHERE

    # -- a brush being drawn ------------------------------------------------------------------

    def begin(
        self, point: Point, size: float, white: bool = True, colour: Colour | None = None
    ) -> Box:
        """Put the brush down."""
        self.finish()
        self._open, self._points = Brush((), size, white, colour), [point]
        self._before = self._pixels.copy()
        self._dirty = NOWHERE
        return self._fill(segment(point, point, size, self.size), self._open)

    def extend(self, point: Point) -> Box:
        """Draw on to a point; does nothing if no brush is down."""
        if self._open is None:
            return NOWHERE
        start, brush = self._points[-1], self._open
        self._points.append(point)
        return self._fill(segment(start, point, brush.size, self.size), brush)

    def finish(self) -> None:
        """Lift the brush; it becomes a stroke if it touched the picture."""
        if self._open is None:
            return
        stroke = replace(self._open, points=tuple(self._points))
        self._open = None
        if not empty(self._dirty):
            self._done.append(self._remember(stroke, self._dirty, self._before))
            self._undone.clear()
        self._before = self._pixels

    def abandon(self) -> Box:
        """Take back the brush that is down."""
        if self._open is None:
            return NOWHERE
        self._open, self._pixels = None, self._before
        return self._dirty

    # -- pixels -------------------------------------------------------------------------------

    def _push(self, stroke: Stroke) -> Box:
        whole = (0, 0, *self.size)
        if isinstance(stroke, Invert):
            self._done.append(_Done(stroke, whole, b""))
            self._pixels = ~self._pixels
            return whole
        if isinstance(stroke, Extension):
            return self._extend(stroke)
        if isinstance(stroke, (Clear, Imported)):
            pixels = self._whole(stroke)
            self._done.append(self._remember(stroke, whole, self._pixels))
            self._pixels = pixels
            return whole
        cover = covered(stroke, self.size)
        self._done.append(self._remember(stroke, cover[0], self._pixels))
        return self._fill(cover, stroke)

    def _extend(self, stroke: Extension) -> Box:
        hole = np.asarray(outpaint.mask(self.size, stroke.sides, stroke.overlap)) > 0
        before, (left, top) = self._pixels, (stroke.sides.left, stroke.sides.top)
        self._done.append(self._remember(stroke, (0, 0, *self.size), before))
        self._pixels = np.zeros(hole.shape, np.uint8)
        self._pixels[top : top + self.size[1], left : left + self.size[0]] = before
        self._pixels[hole] = 255 if stroke.white else 0
        self.size = stroke.sides.extend(self.size)
        return (0, 0, *self.size)

    def _whole(self, stroke: Clear | Imported) -> NDArray[np.uint8]:
        if isinstance(stroke, Clear):
            return np.zeros_like(self._pixels)
        mask = self._opened(stroke)
        if mask.size != self.size:
            raise ValueError(
                f"a mask of {mask.width}x{mask.height} for a picture of {self.size[0]}x"
                f"{self.size[1]}: strokes.imported(source, size) resizes it"
            )
        return np.array(mask)

    def _opened(self, stroke: Imported) -> Image.Image:
        return images.open(stroke.png).convert("L")

    def _fill(self, cover: Cover, shape: Shape) -> Box:
        box, inside = cover
        self._pixels[box[1] : box[3], box[0] : box[2]][inside] = self._ink(shape)
        self._dirty = union(self._dirty, box)
        return box

    def _ink(self, shape: Shape) -> int | tuple[int, ...]:
        """The value of the pixels that a shape covers."""
        return 255 if shape.white else 0

    @staticmethod
    def _remember(stroke: Stroke, box: Box, pixels: NDArray[np.uint8]) -> _Done:
        part = pixels[box[1] : box[3], box[0] : box[2]]
        return _Done(stroke, box, zlib.compress(part.tobytes(), 1))


def rasterise(strokes: Iterable[Stroke], size: Size) -> Image.Image:
    """The mask (L) of these strokes on a picture of this size."""
    history = History(size)
    for stroke in strokes:
        history.apply(stroke)
    return history.mask
