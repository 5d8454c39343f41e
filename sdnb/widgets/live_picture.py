"""The picture of live: the last one stays until the next one is there, and previews fade in."""

from __future__ import annotations

import math

import ipywidgets as widgets

_AWAITED = "sdnb-awaited"  # whose picture dims, unless the next one is there soon
_STAGES = 4  # of a preview's opacity; 0 is none. `style.css` has them


class LivePicture(widgets.Box):
    """Two images in one place, hidden until there is one: a picture, and over it what is to come. A
    browser shows an image until it has the next one's pixels, so that nothing is ever blank. The
    first one is `still`.
    """

    def __init__(self) -> None:
        self.still, self._coming = (
            widgets.Image(format="jpeg", layout=widgets.Layout(display="none")) for _ in range(2)
        )
        self.still.add_class("sdnb-picture")
        super().__init__([self.still, self._coming], layout=widgets.Layout(display="none"))
        self.add_class("sdnb-live")
        self._fade(0)

    @property
    def is_shown(self) -> bool:
        """Whether it is in sight."""
        return bool(self.layout.display == "")

    def show(self, jpeg: bytes, width: int) -> None:
        """Show a finished picture, so many pixels wide at most."""
        self._put(self.still, jpeg, width)
        self._fade(0)
        self.remove_class(_AWAITED)

    def expect(self, coming: bool) -> None:
        """Mark the picture as an old one while the next is on its way; false: none is any more."""
        if coming:
            self.add_class(_AWAITED)
            return
        self.remove_class(_AWAITED)
        if self.still.layout.display == "":
            self._fade(0)

    def show_coming(self, jpeg: bytes, width: int, share: float) -> None:
        """Show a preview of the next picture, as far as its run is: from 0 to 1 of it."""
        self._put(self._coming, jpeg, width)
        alone = self.still.layout.display == "none"
        self._fade(_STAGES if alone else max(1, math.ceil(share * _STAGES)))

    def hide(self) -> None:
        """Show nothing, and keep no picture."""
        self.layout.display = "none"
        self.remove_class(_AWAITED)
        for image in (self.still, self._coming):
            image.layout.display, image.value = "none", b""

    def _put(self, image: widgets.Image, jpeg: bytes, width: int) -> None:
        image.layout.width, image.value = f"{width}px", jpeg
        image.layout.display = self.layout.display = ""

    def _fade(self, stage: int) -> None:
        self._coming._dom_classes = ("sdnb-picture", f"sdnb-coming-{stage}")  # noqa: SLF001 - at once
