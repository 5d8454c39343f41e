"""A picture that comes to a mask editor by the mouse or from the clipboard, to be masked there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import ipywidgets as widgets
from PIL import Image

from sdnb.widgets.drops import Drops
from sdnb.widgets.form.decoded import beside, pixels_or_error
from sdnb.widgets.upload import Upload
from sdnb.widgets.way_back import WayBack


class DroppedPicture(widgets.VBox):
    """Calls `put` with what is dropped on or pasted into the widget of the class `within` that it
    is a child of, and `say` with why that is no picture. `put` returns what goes back to the
    picture before: a button here does, until `forget`.
    """

    def __init__(
        self, within: str, put: Callable[[Image.Image], Callable[[], object]],
        say: Callable[[str], object],
    ) -> None:  # fmt: skip
        self._put, self._say = put, say
        self._back = WayBack()
        # The browser's part gives what is dropped to an upload's button; here it is not seen.
        upload = Upload("Picture…", "Choose the picture to mask", self.take, refuse=say)
        upload.layout.display = "none"
        super().__init__([Drops(within=within), upload, self._back])

    def take(self, data: bytes, name: str = "") -> None:
        """Take a picture file, once it is read; say why if it cannot be."""
        beside(partial(pixels_or_error, data), partial(self._got, name))

    def forget(self) -> None:
        """Offer to go back no more."""
        self._back.forget()

    def _got(self, name: str, found: Image.Image | Exception) -> None:
        if isinstance(found, Exception):
            self._say(f"{name or 'The picture'}: {found}")
            return
        back = self._put(found)
        words = f"{name or 'Another picture'} came in place of the one before."
        self._back.say(words, "Take that back", back)
