"""A button that takes a picture file from the person at the page: chosen, dropped or pasted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ipywidgets as widgets

from sdnb.widgets import too_large
from sdnb.widgets.buttons import UPLOADS
from sdnb.widgets.drops import dragged
from sdnb.widgets.form.decoded import beside
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.hearing import in_order


class Upload(widgets.Box):
    """A button that takes a picture file and calls `act` with its bytes and name. Its look is that
    of its `classes` in the style sheet; by default it shows its words and nothing else.

    With `refuse` it takes what is dropped or pasted where it is, too: `refuse` is called with words
    of why that is no picture, or why `act` raised. With `several` it takes several files at once.
    """

    def __init__(
        self,
        words: str,
        tooltip: str,
        act: Callable[[bytes, str], None],
        *,
        classes: Sequence[str] | None = None,
        width: str | None = "auto",
        refuse: Callable[[str], object] | None = None,
        several: bool = False,
    ) -> None:
        first = words.split(maxsplit=1)[0].strip("…").lower()
        in_words = ("sdnb-upload", f"sdnb-upload-{first}")
        self._classes = in_words if classes is None else classes
        self._words, self._tooltip, self._act = words, f"{tooltip} ({UPLOADS})", act
        self._width, self._refuse, self._several = width, refuse, several
        super().__init__()
        self._renew()
        too_large.hear(self._renew)

    def focus(self) -> None:
        self.children[0].focus()

    def _button(self) -> widgets.FileUpload:
        button = widgets.FileUpload(
            accept="image/*", multiple=self._several, description=self._words,
            tooltip=self._tooltip, layout=widgets.Layout(width=self._width),
        )  # fmt: skip
        for name in self._classes:
            button.add_class(name)
        button.observe(self._uploaded, "value")
        if self._refuse is not None:
            button.add_class(f"sdnb-file-{button.model_id}")  # by which `drops.js` finds it
            button.on_msg(lambda _, content, __: self._told(content))
        return button

    def _renew(self, _: str = "") -> None:
        """Make the button; another one after an upload that was too large, for whose answer the
        browser's part waits for ever.
        """
        self.children = [self._button()]
        in_order(self)

    def _uploaded(self, change: dict[str, Any]) -> None:
        files = [(bytes(file["content"]), str(file["name"])) for file in change["new"]]
        if files:
            self.children[0].value = ()  # otherwise the pictures would stay in the widget's state
        problems = [words for file in files if (words := self._refused(*file))]
        if problems and self._refuse is not None:
            self._refuse("; ".join(problems))

    def _refused(self, content: bytes, name: str) -> str:
        """Act on a file; returns why it was refused, "" where it was not."""
        try:
            self._act(content, name)
        except (ValueError, TypeError, OSError) as error:
            return f"{name}: {error}"
        return ""

    def _told(self, message: dict[str, Any]) -> None:
        """Take what was dropped: a gallery's picture, or what is none."""
        refuse = self._refuse or (lambda _: None)
        if "refused" in message:
            refuse(str(message["refused"]))
            return
        try:
            picture = dragged(str(message["dropped"]))
        except ValueError as error:
            refuse(str(error))
            return

        def taken(file: tuple[str, bytes] | Exception) -> None:
            if isinstance(file, Exception):
                refuse(str(file))
            else:
                self._act(file[1], file[0])

        beside(partial(_packed, picture), taken)


def _packed(picture: GalleryPicture) -> tuple[str, bytes] | Exception:
    """The name and the bytes of its file, or why it cannot be read."""
    try:
        return picture.packed()
    except (OSError, ValueError) as error:
        return error
