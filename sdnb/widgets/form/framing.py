"""What a form sets while the canvas of its picture is extended, and sets back after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdnb.images import outpaint
from sdnb.request import Settings
from sdnb.widgets.form.controls import FieldControl
from sdnb.widgets.form.mask_box import MaskBox


class Framing:
    """While the canvas is extended, its masked part alone is generated, as `sdnb.outpaint` does.
    What a person has moved since stays.
    """

    def __init__(self, controls: Mapping[str, FieldControl], mask: MaskBox) -> None:
        self._controls, self._mask = controls, mask
        self._moved: dict[str, tuple[Any, Any]] = {}  # each field's value before, and since

    def look(self, settings: Settings, *, by_hand: bool = False) -> None:
        """Set the fields where the canvas was extended, and set them back where that was taken back
        `by_hand` or nothing is masked any more; `settings` are the model's.
        """
        if not self._mask.is_extended:
            if by_hand or self._mask.value is None:
                self._set_back()
        elif not self._moved:
            context = outpaint.context((settings.width, settings.height))
            for name, value in (("padding", context), ("strength", outpaint.STRENGTH)):
                self._moved[name] = self._controls[name].value, value
                self._controls[name].value = value

    def forget(self) -> None:
        """Leave the fields as they are."""
        self._moved = {}

    def _set_back(self) -> None:
        for name, (before, since) in self._moved.items():
            if self._controls[name].value == since:
                self._controls[name].value = before
        self.forget()
