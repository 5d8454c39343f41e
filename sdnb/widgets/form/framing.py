"""What a form sets while the canvas of its picture is extended, and sets back after it."""

from __future__ import annotations

from sdnb.images import outpaint
from sdnb.request import Settings
from sdnb.widgets.form.controls import FieldControl
from sdnb.widgets.form.mask_box import MaskBox


class Framing:
    """While the canvas is extended, its masked part alone is generated, as `sdnb.outpaint` does,
    unless a padding is set already. What a person sets meanwhile stays.
    """

    def __init__(self, padding: FieldControl, mask: MaskBox) -> None:
        self._padding, self._mask = padding, mask
        self._brought: int | None = None  # the padding that an extension has set

    def look(self, settings: Settings, *, by_hand: bool = False) -> None:
        """Set the padding where the canvas was extended, and set it back where that was taken back
        `by_hand` or nothing is masked any more; `settings` are the model's.
        """
        if self._mask.is_extended:
            if self._brought is None and self._padding.value is None:
                self._brought = outpaint.context((settings.width, settings.height))
                self._padding.value = self._brought
        elif by_hand or self._mask.value is None:
            if self._brought is not None and self._padding.value == self._brought:
                self._padding.value = None
            self.forget()

    def forget(self) -> None:
        """Leave the padding as it is."""
        self._brought = None
