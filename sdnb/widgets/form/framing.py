"""What a form sets while the canvas of its picture is extended, and sets back after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdnb.images import outpaint
from sdnb.request import Request, Settings
from sdnb.widgets.form.controls import FieldControl
from sdnb.widgets.form.mask_box import MaskBox

_OPEN = {"padding": Request.padding, "feather": Request.feather}  # as they are without one


class Framing:
    """While the canvas is extended, its masked part alone is generated, as `sdnb.outpaint` does,
    unless a padding is set already; and the mask's editor brings a feather. Both are of that
    canvas, and go with its mask. What a person sets meanwhile stays.
    """

    def __init__(self, controls: Mapping[str, FieldControl], mask: MaskBox) -> None:
        self._controls, self._mask = {name: controls[name] for name in _OPEN}, mask
        self._brought: dict[str, Any] = {}  # the values that an extension has set

    def look(self, settings: Settings, *, by_hand: bool = False) -> None:
        """Set them where the canvas was extended, and set them back where that was taken back
        `by_hand` or nothing is masked any more; `settings` are the model's.
        """
        if self._mask.is_extended:
            padding = self._controls["padding"]
            if "padding" not in self._brought and padding.value is None:
                padding.value = outpaint.context((settings.width, settings.height))
                self._brought["padding"] = padding.value
            if feather := self._mask.brought_feather:
                self._brought["feather"] = feather
        elif by_hand or self._mask.value is None:
            for name in self._still:
                self._controls[name].value = _OPEN[name]
            self.forget()

    def without(self, request: Request) -> Request:
        """The request for another picture, which has no such canvas."""
        return request.but(**{name: _OPEN[name] for name in self._still})

    def forget(self) -> None:
        """Leave them as they are."""
        self._brought.clear()

    @property
    def _still(self) -> list[str]:
        """Those that nobody has changed since."""
        brought = self._brought.items()
        return [name for name, value in brought if self._controls[name].value == value]
