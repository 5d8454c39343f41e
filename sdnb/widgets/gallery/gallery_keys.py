"""The keys of a gallery: arrows move the choice, Enter opens, S saves, Delete asks, Escape closes.

While the focus is in the gallery the notebook hears no plain key but Tab. Enter needs nothing here:
a thumbnail is a button.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from typing import Any, Protocol

import ipywidgets as widgets

from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.keys import Keys


class Keyed(Protocol):
    """What the keys need of a gallery."""

    @property
    def found(self) -> list[GalleryPicture]:
        """The pictures that have thumbnails."""

    def at(self, place: int | None) -> GalleryPicture | None:
        """The picture at this place, counted from the page in sight; for None the chosen one."""

    def thumb(self, picture: GalleryPicture) -> widgets.Button:
        """The picture's thumbnail; its page comes into sight."""

    def choose(self, picture: GalleryPicture | None) -> None: ...

    def save_one(self, picture: GalleryPicture) -> None: ...

    def ask(self, pictures: list[GalleryPicture], what: str) -> Sequence[widgets.Button]:
        """Ask whether to delete pictures, and return the buttons that answer: yes and no."""


class GalleryKeys(Keys):
    """Acts on the picture that has the focus; where none has it, on the chosen one."""

    def __init__(self, gallery: Keyed) -> None:
        super().__init__("gallery", self._pressed)
        self._gallery = gallery

    def _pressed(self, message: dict[str, Any]) -> None:
        gallery, key, picture = self._gallery, message["key"], self._gallery.at(message["place"])
        if key == "Escape":
            gallery.choose(None)  # with it a question goes, whoever asked it
        if picture is None:
            return
        if key == "Delete":
            self._ask(picture)
        elif key in ("s", "S"):
            gallery.save_one(picture)
        else:
            if key != "Escape" and gallery.at(None) is not None:  # one is open: then the next one
                gallery.choose(picture)
            # Asked for again, the focus would come back from where the next key has taken it.
            if not message.get("focused"):
                self.focus(gallery.thumb(picture))

    def _ask(self, picture: GalleryPicture) -> None:
        shown = self._gallery.found
        place = shown.index(picture) if picture in shown else 0
        # By its words: it may be any thumbnail, and the focus goes to the answers.
        words = html.escape(textwrap.shorten(picture.words, 60, placeholder=" …"))
        answers = self._gallery.ask([picture], f"“{words}”")
        for answer in answers:  # else the focus would go with the button
            answer.on_click(lambda _: self._go_to(place))
        self.focus(answers[0])

    def _go_to(self, place: int) -> None:
        """Focus the picture that is at this place now, if any."""
        if near := self._gallery.found[: place + 1]:
            self.focus(self._gallery.thumb(near[-1]))
