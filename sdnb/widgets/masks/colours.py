"""A drawing in colours: its strokes, undo and redo, and the pixels they make, as a mask's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image, ImageColor

from sdnb import images
from sdnb.request import checks
from sdnb.widgets.masks.editor_state import EditorState
from sdnb.widgets.masks.flood import flooded
from sdnb.widgets.masks.history import History
from sdnb.widgets.masks.strokes import (
    Box,
    Brush,
    Colour,
    Extension,
    Imported,
    Invert,
    Point,
    Polygon,
    Rectangle,
    Region,
    Shape,
    Size,
    Stroke,
    empty,
    region,
)

BLACK: Colour = (0, 0, 0)
_SHAPES = Brush, Rectangle, Polygon, Region
_ALIKE = 24  # of 255: colours of a photograph that a fill takes for one


def colour(value: object) -> str:
    """A colour as "#rrggbb", of a name or any other way that CSS has to write it. Raises TypeError
    or ValueError.
    """
    name = checks.text("colour", value).strip()
    try:
        return "#{:02x}{:02x}{:02x}".format(*ImageColor.getrgb(name)[:3])
    except ValueError:
        raise ValueError(
            f"colour={checks.shown(name)} is no colour: write #rrggbb, such as #ff8800, or a name "
            "such as red"
        ) from None


class ColourHistory(History):
    """A drawing and its strokes; where nothing is drawn it is transparent. A shape that is not
    `white` takes away, as an eraser.
    """

    _deep = (4,)  # RGBA; what is transparent is 0 in all four

    @property
    def picture(self) -> Image.Image:
        """What is drawn (RGBA)."""
        return Image.fromarray(self._pixels.copy())

    @property
    def mask(self) -> Image.Image:
        """Where something is drawn, however faint: 255 there (L)."""
        return Image.fromarray((self._pixels[..., 3] > 0) * np.uint8(255))

    @property
    def white(self) -> float:
        """The share of the pixels where something is drawn, 0 to 1."""
        return float((self._pixels[..., 3] > 0).mean())

    def fill(self, point: Point, paint: Colour, beneath: Image.Image | None) -> Region | None:
        """The stroke that fills what one sees around a point: of the drawing alone, or with a
        picture `beneath` it, whose colours need not be quite the same. None outside of it.
        """
        if beneath is None:
            cover = flooded(self._pixels, point)
        else:
            cover = flooded(np.asarray(over(beneath, self.picture)), point, _ALIKE)
        return None if empty(cover[0]) else region(cover, paint)

    def _push(self, stroke: Stroke) -> Box:
        if isinstance(stroke, (Invert, Extension)):
            raise TypeError(f"{stroke!r} is a stroke of a mask: a drawing in colours has no such")
        return super()._push(stroke)

    def _opened(self, stroke: Imported) -> Image.Image:
        pixels = np.array(images.open(stroke.png).convert("RGBA"))
        pixels[pixels[..., 3] == 0] = 0
        return Image.fromarray(pixels)

    def _ink(self, shape: Shape) -> int | tuple[int, ...]:
        return (*(shape.colour or BLACK), 255) if shape.white else 0


class ColourState(EditorState):
    """The state of a canvas in colours. `fills` says whether a fill sees the picture beneath, or
    the drawing alone.
    """

    history: ColourHistory
    fills = False
    _picked: Image.Image | None = None  # where colours are picked from in place of the picture

    def __init__(self, picture: Image.Image, most: int, changed: Callable[[], None]) -> None:
        self.colour = BLACK
        super().__init__(picture, most, changed)

    def _empty(self) -> ColourHistory:
        return ColourHistory(self.picture.size)

    def apply(self, stroke: Stroke) -> None:
        """Add a stroke; a shape without a colour has the one in which one draws."""
        if isinstance(stroke, _SHAPES) and stroke.white and stroke.colour is None:
            stroke = replace(stroke, colour=self.colour)
        super().apply(stroke)

    def fill(self, point: Point) -> None:
        """Fill what one sees around a point; nothing outside the picture."""
        with self.lock:
            self.history.finish()
            paint = self.colour or BLACK
            stroke = self.history.fill(point, paint, self.picture if self.fills else None)
            if stroke is not None:
                self.apply(stroke)

    def lay(self, picture: Image.Image, picked: Image.Image | None = None) -> None:
        """Show another picture of the same size below the drawing, in the same viewport; colours
        are `picked` from it, or from another one.
        """
        with self.lock:
            self._given = self.picture = picture
            self._picked = picked
            if self.surface is not None:
                self.surface.lay(picture)
                self.surface.load()
            self.redraw()

    def seen_at(self, point: Point) -> str | None:
        """The colour that one sees at a point, "#rrggbb"; None outside the picture. Of a photograph
        that is traced it is the photograph's own.
        """
        x, y = int(np.floor(point[0])), int(np.floor(point[1]))
        if not (0 <= x < self.picture.width and 0 <= y < self.picture.height):
            return None
        with self.lock:
            box = x, y, x + 1, y + 1
            seen = over((self._picked or self.picture).crop(box), self.history.part(box))
        return "#{:02x}{:02x}{:02x}".format(*np.asarray(seen)[0, 0])

    def in_effect(self, box: Box) -> Image.Image:
        """The drawing inside a box (RGBA)."""
        return self.history.part(box)


def over(picture: Image.Image, drawing: Image.Image) -> Image.Image:
    """A drawing (RGBA) over a picture of its size: RGB."""
    seen = picture.convert("RGB")
    seen.paste(drawing.convert("RGB"), (0, 0), drawing.getchannel("A"))
    return seen


def imported(source: images.Source, size: Size) -> tuple[Imported, str]:
    """A picture as a drawing of this size, with a note if it was resized. What is transparent in it
    is not drawn. Raises as `sdnb.images.picture`.
    """
    picture = images.pixels(source)
    note = ""
    if picture.size != size:
        before, after = (f"{width}x{height}" for width, height in (picture.size, size))
        note = f"The picture was {before}: resized to the canvas's {after}."
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return Imported(images.picture(picture.convert("RGBA"))), note
