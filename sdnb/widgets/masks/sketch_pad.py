"""A white sheet to draw dark lines on: the canvas of the mask editor, with fewer tools."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from sdnb import images
from sdnb.widgets.hearing import in_order
from sdnb.widgets.masks.drawing import Drawing
from sdnb.widgets.masks.preview import AS_LINES
from sdnb.widgets.masks.strokes import Imported, Size
from sdnb.widgets.masks.toolbar import sketch_toolbar

_WIDE = 100  # lines of the usual brush, side by side, fill the longer side
_PIXELS = 1.5  # of the picture that is made: thinner lines would have gaps there
_BLACK, _WHITE = 16, 239  # beyond these a pixel is of a line, or of the sheet
_MOST_GREY, _MOST_DARK = 0.15, 0.5  # shares of a drawing's pixels


class SketchPad(Drawing):
    """A sheet of a size in pixels. Read `picture`; `on_change` tells of each finished line."""

    def __init__(self, size: Size, width: int) -> None:
        sheet = Image.new("RGB", size, "white")
        how = "Give a picture of lines instead."
        super().__init__(sheet, width, sketch_toolbar(sheet), ink=AS_LINES, how=how)
        self.children = [*self._parts, self._status]
        self.add_class("sdnb-sketch")
        in_order(self)

    @property
    def picture(self) -> Image.Image:
        """What is drawn: RGB, black lines on white."""
        with self._state.lock:
            return ImageOps.invert(self._state.history.mask).convert("RGB")

    @property
    def is_empty(self) -> bool:
        """Whether the sheet is white."""
        return self._state.history.white == 0

    def begin(self, size: Size, made: Size, drawing: Image.Image | None = None) -> None:
        """Take an empty sheet of this size, or a drawing to go on with, for pictures of the size
        `made`.
        """
        size = size if drawing is None else drawing.size
        self._lay_under(Image.new("RGB", size, "white"), anew=True)
        thinnest = _PIXELS * max(size) / max(made)
        self.brush = float(max(1, round(max(max(size) / _WIDE, thinnest))))
        if drawing is not None:
            self._state.apply(Imported(images.mask(ImageOps.invert(drawing.convert("L")))))

    def _tell(self, extra: str, problem: bool) -> None:
        """Say only what is wrong: its size stands above."""
        self._status.layout.display = "" if extra else "none"
        super()._tell(extra, problem)


def is_drawing(picture: Image.Image) -> bool:
    """Whether a picture is of dark lines on white, so that one can draw on in it."""
    grey = np.asarray(picture.convert("L"))
    dark, between = (grey < _BLACK).mean(), ((grey >= _BLACK) & (grey <= _WHITE)).mean()
    colours = np.ptp(np.asarray(picture.convert("RGB")), axis=2).max(initial=0)
    return bool(between < _MOST_GREY and dark < _MOST_DARK and colours < _BLACK)
