"""The way back to the pictures that others have replaced in a form, and forth again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from sdnb.widgets.form.controls import FieldControl
from sdnb.widgets.form.painted_box import painted_mask
from sdnb.widgets.form.picture_box import PictureBox

# What goes with a picture, and comes back with it.
_WITH_IT = ("image", "mask", "invert", "feather", "padding", "width", "height")
_MOST = 20  # pictures that are kept: a large one has some megabytes


class PictureBefore:
    """Keeps them in their order, and offers those before and behind the one that is there; `change`
    sets the fields of one. What is painted on a picture, or a larger canvas around it, makes no
    other picture of it: they have an undo of their own.
    """

    def __init__(self, controls: Mapping[str, FieldControl], change: Callable[..., object]) -> None:
        self._controls, self._change = controls, change
        self._box = cast("PictureBox", controls["image"])
        self._kept: list[dict[str, Any]] = [{}]  # the fields of each; the newest is the last
        self._at = 0  # the one that is there
        self.note()

    def note(self) -> None:
        """Take what is there as the same picture as before."""
        self._given = self._box.given
        fields = {name: self._controls[name].value for name in _WITH_IT}
        if (painted := painted_mask(self._box)) is not None:
            fields |= {"mask": painted, "invert": False}
        self._kept[self._at] = fields

    def look(self) -> None:
        """Note what is there now; if it is another picture, offer those before it."""
        before = self._given
        if before is not None and before != self._box.given:
            self._kept = [*self._kept, {}][-_MOST:]
            self._at = len(self._kept) - 1
        self.note()
        ways = [self._at - 1, self._at + 1]
        back, forth = (partial(self._go, at) if 0 <= at < len(self._kept) else None for at in ways)
        self._box.offer_others(back, forth)

    def _go(self, at: int) -> None:
        """Show the picture at this place."""
        fields, left, self._at = self._kept[at], self._at, at
        if self._box.given is None:  # it was taken out: that is no picture
            del self._kept[left]
        self._given = None  # what comes is no new one
        self._change(**fields)
