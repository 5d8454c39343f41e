"""The way back to a picture that another one has replaced in a form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

from sdnb.widgets.form.controls import FieldControl
from sdnb.widgets.form.painted_box import painted_mask
from sdnb.widgets.form.picture_box import PictureBox

# What goes with a picture, and comes back with it.
_WITH_IT = ("image", "mask", "invert", "feather", "padding", "width", "height")


class PictureBefore:
    """Offers it beside the picture; `change` sets its fields again. What is painted on a picture,
    or a larger canvas around it, makes no other picture of it: they have an undo of their own.
    """

    def __init__(self, controls: Mapping[str, FieldControl], change: Callable[..., object]) -> None:
        self._controls, self._change = controls, change
        self._box = cast("PictureBox", controls["image"])
        self.note()

    def note(self) -> None:
        """Take what is there as the same picture as before."""
        self._given = self._box.given
        self._fields = {name: self._controls[name].value for name in _WITH_IT}
        if (painted := painted_mask(self._box)) is not None:
            self._fields |= {"mask": painted, "invert": False}

    def look(self) -> None:
        """Note what is there now; if it is another picture, offer the one before."""
        given, fields = self._given, self._fields
        self.note()
        if given is not None and given != self._given:
            self._box.offer_back(partial(self._change, **fields))
