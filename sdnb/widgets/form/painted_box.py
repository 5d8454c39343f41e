"""The control of an input picture that one can draw on in colours."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import ipywidgets as widgets
from ipywidgets.widgets.widget_bool import CheckboxStyle

from sdnb import images
from sdnb.images import Saved
from sdnb.request import Request
from sdnb.widgets.form.controls import Changed
from sdnb.widgets.form.decoded import beside, decoded, encoded
from sdnb.widgets.form.fields import Field
from sdnb.widgets.form.picture_box import PictureBox
from sdnb.widgets.masks.colour_canvas import ColourCanvas
from sdnb.widgets.style import shared

_SIDE = 440  # pixels of the page, as the mask editor's
_AT_ONCE = 1 << 19  # pixels of a picture that is written in a moment, between two strokes


class PaintedBox(PictureBox):
    """PNG bytes of the picture with what was painted on it, or None. `mask` is what was painted,
    where a person wants nothing else to change. `place` is to be shown below it: the canvas takes
    all the width there is.
    """

    def __init__(
        self, field: Field, changed: Changed, offer: Callable[[Saved], None] | None
    ) -> None:
        self.canvas: ColourCanvas | None = None  # made when somebody paints
        self._given: bytes | None = None  # the picture without what is painted
        self._strokes: tuple[object, ...] = ()  # that the value has
        self._mask: tuple[object, bytes | None] | None = None  # of these strokes
        self._writing = False  # whether another value is on its way
        self._at_work = False  # while Python shows a picture, the canvas's changes are its own
        super().__init__(field, changed, offer, small=True)
        self._paint = widgets.ToggleButton(
            description="Paint", icon="paint-brush", tooltip="Paint on the picture in colours",
            layout=widgets.Layout(width="auto", display="none"),
        )  # fmt: skip
        self._paint.add_class("sdnb-shows")  # by which `keys.js` finds it
        self._paint.observe(lambda change: self._turned(paints=bool(change["new"])), "value")
        self._only = widgets.Checkbox(
            description="Only where I painted", indent=False, tooltip="Make a mask of what is "
            "painted: the rest of the picture stays as it is",
            style=shared(CheckboxStyle),
        )  # fmt: skip
        self._only.observe(lambda _: self._changed(), "value")
        self.place = widgets.VBox([], layout=widgets.Layout(display="none"))
        self.offer_also(self._paint)

    @property
    def value(self) -> bytes | None:
        return self._value  # type: ignore[no-any-return]

    @value.setter
    def value(self, value: bytes | None) -> None:
        if value is not None and value == self._value and not self._writing:
            return  # what is painted on it stays, and can be undone
        self._value, self._writing = value, False
        self._show()

    @property
    def given(self) -> bytes | None:
        return self._given

    @property
    def mask(self) -> bytes | None:
        """What was painted as PNG bytes of a mask; None where all of the picture may change."""
        if self.canvas is None or self.value is None or not self._only.value:
            return None
        if self._mask is None or self._mask[0] is not self._strokes:  # it is asked for often
            painted = None if self.canvas.is_empty else images.mask(self.canvas.painted)
            self._mask = self._strokes, painted
        return self._mask[1]

    @property
    def is_unpainted(self) -> bool:
        """Whether nothing is painted, and only that is to change."""
        return bool(self.canvas is not None and self._only.value and self.canvas.is_empty)

    @property
    def on_its_way(self) -> str:
        return "What you painted is being written" if self._writing else super().on_its_way

    # -- a person's hand -----------------------------------------------------------------------

    def _turned(self, *, paints: bool) -> None:
        """Show the canvas, or put it away; what is painted stays."""
        if paints and self.canvas is None:
            self.canvas = ColourCanvas(decoded(self._given or b""), width=_SIDE)
            self.canvas.on_change(self._painted)
            self.place.children = [self.canvas, self._only]
        self.place.layout.display = "" if paints else "none"
        if not paints and self._value is not None:  # it is also put away with its picture
            self._show_picture()
        self.show_small(not paints)

    def _painted(self, canvas: ColourCanvas) -> None:
        if self._at_work or canvas.strokes == self._strokes:
            return
        self._strokes = strokes = canvas.strokes
        if canvas.is_empty:
            self._written(strokes, self._given)
            return
        picture = canvas.picture
        if picture.width * picture.height <= _AT_ONCE:
            self._written(strokes, encoded(picture))
        else:
            self._writing = True
            beside(partial(encoded, picture), partial(self._written, strokes))

    def _written(self, strokes: tuple[object, ...], png: bytes | None) -> None:
        if strokes is self._strokes:  # else another one is on its way, or came
            self._value, self._writing = png, False
            self._arrived()

    def _show(self) -> None:
        super()._show()
        self._given, self._strokes = self._value, ()
        has = self._given is not None
        self._paint.layout.display = "" if has else "none"
        if not has:
            self._paint.value = False
        if self.canvas is not None and self._given is not None:
            self._at_work = True
            try:
                self.canvas.begin(decoded(self._given))
            finally:
                self._at_work = False


def painted_mask(control: Any) -> bytes | None:
    """The mask of what was painted in the control of the picture, if it is such a one."""
    return control.mask if isinstance(control, PaintedBox) else None


def check_painted(control: Any, request: Request) -> None:
    """Raise ValueError where only what is painted in the control of the picture is to change, and
    nothing is.
    """
    if request.mask is None and isinstance(control, PaintedBox) and control.is_unpainted:
        raise ValueError(
            "Nothing is painted yet: paint over what is to change, or take the tick from “Only "
            "where I painted”; both are below Paint."
        )
