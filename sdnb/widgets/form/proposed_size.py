"""The size that a form proposes for a picture far from the model's own, and words on sizes."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import cast

import ipywidgets as widgets

from sdnb.request import Resolved, Settings, png_header
from sdnb.request.sizes import Size
from sdnb.widgets.form import size_offer
from sdnb.widgets.form.controls import FieldControl, NumberControl, OptionalControl
from sdnb.widgets.form.mask_box import MaskBox
from sdnb.widgets.style import level


class ProposedSize:
    """Sets width and height for a picture, unless somebody typed them. `offer` has the words and
    buttons for another size, and `about` a line on the size that is asked for.

    `taken` is called when a person took a size that was offered.
    """

    def __init__(
        self, controls: Mapping[str, FieldControl], mask: MaskBox, kind: str,
        taken: Callable[[], object],
    ) -> None:  # fmt: skip
        self._controls, self._mask, self._kind, self._taken = controls, mask, kind, taken
        self._sides = [cast("NumberControl", controls[name]) for name in ("width", "height")]
        self._settings: Settings | None = None  # the model's, as they were shown last
        self._proposed: tuple[int | None, int | None] = (None, None)  # a size that nobody typed
        self.offer = size_offer.SizeOffer(
            self._take_near, lambda: self._take((None, None)), self._take_part
        )
        self.about = level(widgets.HTML())
        self._said = ""
        for side in self._sides:
            side.on_wrong(self._say)

    def propose(self, settings: Settings) -> bool:
        """Set a size near the model's own for a picture that is far from it. False where somebody
        typed one, which stays.
        """
        if self._asked not in ((None, None), self._proposed):
            return False
        self._set(self._near(settings) or (None, None))
        return True

    def show(self, resolved: Resolved | None, settings: Settings, brought: str) -> None:
        """Say what there is to say of a request's size; `brought` is what a LoRA brings."""
        self._settings = settings
        self._show_offer(settings)
        told = [self._told(resolved, settings)] if resolved is not None else []
        self._said = "<br>".join(filter(None, [*told, html.escape(brought)]))
        self._say()

    def came(self) -> None:
        """Take the size that is asked for as one that came with the picture: it goes with it."""
        self._proposed = self._asked

    def _say(self) -> None:
        """Say nothing of a size beside a number that is refused: it is of the one before."""
        self.about.value = "" if any(side.wrong for side in self._sides) else self._said

    @property
    def _asked(self) -> tuple[int | None, int | None]:
        return self._sides[0].value, self._sides[1].value

    def _set(self, size: tuple[int | None, int | None]) -> None:
        self._proposed = size
        self._sides[0].value, self._sides[1].value = size

    def _near(self, settings: Settings) -> Size | None:
        """The size that is proposed for the picture, if it needs one."""
        image = self._controls["image"].value
        if image is None or self._kind == "upscale":  # which has factors
            return None
        own = settings.width, settings.height
        if self._controls["padding"].value is not None and (part := self._mask.frame(own)):
            return part
        return size_offer.proposed(png_header.size(image), settings)

    def _take_near(self) -> None:
        near = self._near(self._settings) if self._settings else None
        if near is not None:
            self._take(near)

    def _take_part(self) -> None:
        cast("OptionalControl", self._controls["padding"]).turn_on()

    def _take(self, size: tuple[int | None, int | None]) -> None:
        self._set(size)
        self._taken()

    def _told(self, resolved: Resolved, settings: Settings) -> str:
        near, padding = self._near(settings), self._controls["padding"].value
        if near == (resolved.width, resolved.height) and padding is None:
            return ""  # the offer says it
        at_own = near is not None and self._sides[0].value is None
        upscales = self._kind == "upscale"
        return size_offer.about_size(resolved, settings, upscales=upscales, told=at_own)

    def _show_offer(self, settings: Settings) -> None:
        near, image = self._near(settings), self._controls["image"].value
        is_part, is_masked = (self._controls[n].value is not None for n in ("padding", "mask"))
        if near is None or (is_part and is_masked):
            self.offer.hide()  # with a padding, the picture keeps its size
            return
        size, keeps = png_header.size(image), self._kind == "inpaint"
        part = keeps and is_part
        self.offer.tell(size, self._asked, near, settings, keeps=keeps, part=part)
