"""The keys of a gallery: arrows, Home and End move the choice, Enter opens, S saves, Delete asks,
Escape closes. A click with Ctrl, or Ctrl+Space, picks one more, and with Shift all up to it.

While the focus is in the gallery the notebook hears no plain key but Tab. Enter needs nothing here:
a thumbnail is a button.
"""

from __future__ import annotations

import html
import itertools
import textwrap
import weakref
from collections.abc import Sequence
from typing import Any, Protocol

import ipywidgets as widgets

from sdnb.widgets.gallery.gallery_picture import GalleryPicture, beside
from sdnb.widgets.gallery.picked_pictures import PickedPictures
from sdnb.widgets.keys import Keys


class Keyed(Protocol):
    """What the keys need of a gallery."""

    @property
    def found(self) -> list[GalleryPicture]:
        """The pictures that have thumbnails."""

    @property
    def chosen(self) -> GalleryPicture | None:
        """The picture that is open."""

    def at(self, place: int | None) -> GalleryPicture | None:
        """The picture at this place, counted from the page in sight; for None the chosen one."""

    def thumb(self, picture: GalleryPicture) -> widgets.Button:
        """The picture's thumbnail; its page comes into sight."""

    def choose(self, picture: GalleryPicture | None) -> None: ...

    def save_one(self, picture: GalleryPicture) -> None: ...

    def ask(self, pictures: list[GalleryPicture], what: str) -> Sequence[widgets.Button]:
        """Ask whether to delete pictures, and return the buttons that answer: yes and no."""


class GalleryKeys(Keys):
    """Acts on those that are picked; where none is, on the picture that is open, then on the one
    that has the focus. The page names that one by a number: meanwhile another may have come into
    its place.
    """

    def __init__(self, gallery: Keyed, picked: PickedPictures) -> None:
        super().__init__("gallery", self._pressed)
        self._gallery, self._picked = gallery, picked
        self._next = itertools.count(1)
        self._number_of: weakref.WeakKeyDictionary[GalleryPicture, int] = (
            weakref.WeakKeyDictionary()
        )

    def show(self, pictures: Sequence[GalleryPicture]) -> None:
        """Note which pictures have the thumbnails in sight."""
        for picture in pictures:
            if picture not in self._number_of:
                self._number_of[picture] = next(self._next)
        self._ear.pictures = [self._number_of[picture] for picture in pictures]

    def _pressed(self, message: dict[str, Any]) -> None:
        gallery, key, opened = self._gallery, message["key"], self._gallery.chosen
        focused = self._of(message.get("number"))
        if key in ("pick", "pick up to"):
            if focused is not None:
                self._pick(focused, up_to=key != "pick")
            return
        if self._picked.pictures and key in ("Escape", "Delete", "s", "S"):
            self._with_picked(key)
            return
        if key == "Escape":
            gallery.choose(None)  # with it a question goes, whoever asked it
        if key in ("move", "Home", "End"):
            self._move(focused or opened, key, message)
        elif (picture := opened or focused) is None:
            return
        elif key == "Delete":
            self._ask(picture)
        elif key in ("s", "S"):
            gallery.save_one(picture)
        elif picture in gallery.found:
            self.focus(gallery.thumb(picture))

    def _pick(self, picture: GalleryPicture, *, up_to: bool) -> None:
        """Pick it beside the one that is open, which closes: what is done is done with all."""
        opened = self._gallery.chosen
        if opened is not None:
            self._gallery.choose(None)
            others = [each for each in self._gallery.found if each not in self._picked.pictures]
            if opened is not picture and opened in others:
                self._picked.pick(opened)
        self._picked.pick(picture, up_to=up_to)

    def _with_picked(self, key: str) -> None:
        if key == "Escape":
            self._picked.clear()
        elif key == "Delete":
            self.focus(self._picked.ask()[0])
        else:
            self._picked.save()

    def _of(self, number: int | None) -> GalleryPicture | None:
        """The picture of this number, if it has a thumbnail on some page."""
        shown = (each for each in self._gallery.found if self._number_of.get(each) == number)
        return next(shown, None) if number is not None else None

    def _move(self, here: GalleryPicture | None, key: str, message: dict[str, Any]) -> None:
        """Go on from this picture, as the key says; where one is open, the other one opens."""
        gallery, shown = self._gallery, self._gallery.found
        if key == "move":
            here, step = (here, message["step"]) if here in shown else (gallery.at(0), 0)
            place = -1 if here is None else shown.index(here) + step
        else:
            place = 0 if key == "Home" else len(shown) - 1
        if not 0 <= place < len(shown):
            return
        if gallery.chosen is not None:
            gallery.choose(shown[place])
        # Asked for again, the focus would come back from where the next key has taken it.
        if not message.get("focused"):
            self.focus(gallery.thumb(shown[place]))

    def _ask(self, picture: GalleryPicture) -> None:
        shown = self._gallery.found
        after = beside(shown, picture) if picture in shown else None
        # By its words: it may be any thumbnail, and the focus goes to the answers.
        words = html.escape(textwrap.shorten(picture.words, 60, placeholder=" …"))
        answers = self._gallery.ask([picture], f"“{words}”")
        for answer in answers:  # else the focus would go with the button
            answer.on_click(lambda _: self._go_to(picture, after))
        self.focus(answers[0])

    def _go_to(self, *pictures: GalleryPicture | None) -> None:
        """Focus the first of these pictures that is still there."""
        for picture in pictures:
            if picture is not None and picture in self._gallery.found:
                self.focus(self._gallery.thumb(picture))
                return
