"""The picture of a control: given, or drawn as dark lines on white, and its hint beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
from PIL import Image

from sdnb import images
from sdnb.images.canvas import flat
from sdnb.request.control import Control
from sdnb.request.sizes import Size
from sdnb.widgets.control.hint_view import HintView
from sdnb.widgets.form.decoded import decoded
from sdnb.widgets.form.fields import BY_NAME
from sdnb.widgets.form.picture_box import PictureBox
from sdnb.widgets.masks.sketch_pad import SketchPad, is_drawing

_SIDE = 304  # pixels of the page: the sheet is seen together with its hint
_LEAST = 512  # pixels of a sheet's longer side: lines are drawn finer than small pictures have them


class PictureOrSketch(widgets.VBox):
    """Holds PNG bytes, or None. `changed` is called after a person gave, drew or removed a picture,
    with whether it was drawn; `grown` when there are more boxes.
    """

    def __init__(self, changed: Callable[[bool], object], grown: Callable[[], object]) -> None:
        self._changed, self._grown = changed, grown
        self._size: Size = (_LEAST, _LEAST)
        self._box = PictureBox(BY_NAME["image"], self._given, None, small=True)
        self._hint = HintView()
        self._draw = widgets.ToggleButton(
            description="Draw", icon="pencil", tooltip="Draw black lines on white",
            layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        self._draw.add_class("sdnb-shows")  # by which `keys.js` finds it
        self._draw.observe(self._turned, "value")
        self._pad: SketchPad | None = None  # made when somebody draws
        self._at_work = False  # while Python shows something, the sheet's changes are its own
        self._box.offer_also(self._draw)
        self._box.beside(self._hint)
        super().__init__([self._box.widget])
        self.add_class("sdnb-held")

    @property
    def value(self) -> bytes | None:
        value = self._box.value
        return None if value is None else bytes(value)

    @property
    def wrong(self) -> str:
        """Why there is none yet that is to come."""
        return self._box.wrong

    def show(self, png: bytes | None) -> None:
        """Show this picture; the sheet is put away."""
        self._draw.value = False
        self._box.value = png

    def show_hint(self, control: Control | None, size: Size) -> None:
        """Show the hint of this control for pictures of a size."""
        self._size = size
        self._hint.show(control, size)

    def take_image(self, image: Image.Image) -> None:
        """Take a picture of this page, by a person's hand."""
        self._box.take_image(image)

    # -- a person's hand -----------------------------------------------------------------------
    def _given(self) -> None:
        self._draw.value = False
        self._changed(False)

    def _turned(self, change: Any) -> None:
        """Show the sheet, or put it away."""
        drawing = bool(change["new"])
        self._box.show_small(not drawing)
        (self.add_class if drawing else self.remove_class)("sdnb-drawing")
        if drawing:
            self._begin()
        if self._pad is not None:
            self._pad.layout.display = "" if drawing else "none"

    def _begin(self) -> None:
        """Begin with what was drawn before; another picture stays until a line is drawn."""
        picture = None if self.value is None else flat(decoded(self.value))[0]
        picture = picture if picture is not None and is_drawing(picture) else None
        self._at_work = True
        try:
            if self._pad is None:
                self._pad = SketchPad(self._sheet(), _SIDE)
                self._pad.on_change(self._drawn)
                self._box.beside(self._pad, self._hint)
                self._grown()
            self._pad.begin(self._sheet(), self._size, picture)
        finally:
            self._at_work = False

    def _sheet(self) -> Size:
        """The size of an empty sheet: in the proportions of what is made."""
        times = max(1.0, _LEAST / max(self._size))
        return round(self._size[0] * times), round(self._size[1] * times)

    def _drawn(self, pad: SketchPad) -> None:
        if self._at_work or not self._draw.value:
            return
        self._box.value = None if pad.is_empty else images.picture(pad.picture)
        self._changed(True)
