"""The gallery: thumbnails, one picture with its settings, find, keep, delete, save and compare.

The pictures stay in the kernel. The browser gets small JPEGs of one page, and the chosen picture.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from sdnb.assets import user_path
from sdnb.images.result import Result
from sdnb.request.plain_words import counted
from sdnb.widgets import style, too_large
from sdnb.widgets.buttons import send_button, text_button
from sdnb.widgets.caption import SaidLine
from sdnb.widgets.drops import TAKES, Drops
from sdnb.widgets.gallery.autosave import Autosave
from sdnb.widgets.gallery.delete_question import DeleteQuestion
from sdnb.widgets.gallery.gallery_acts import GalleryActs
from sdnb.widgets.gallery.gallery_bar import GalleryBar
from sdnb.widgets.gallery.gallery_contents import GalleryContents
from sdnb.widgets.gallery.gallery_files import GalleryFiles
from sdnb.widgets.gallery.gallery_keys import GalleryKeys
from sdnb.widgets.gallery.gallery_picture import GalleryPicture, beside, from_file
from sdnb.widgets.gallery.gallery_words import GalleryWords
from sdnb.widgets.gallery.opened_picture import OpenedPicture
from sdnb.widgets.gallery.picked_pictures import PickedPictures
from sdnb.widgets.gallery.picture_search import Day, PictureSearch
from sdnb.widgets.gallery.thumbnails import Thumbnails
from sdnb.widgets.hearing import in_order
from sdnb.widgets.run_again import RunAgain

Send = Callable[[GalleryPicture], None]


class Gallery(RunAgain, GalleryActs):
    """Thumbnails, newest first; `add` takes a result, `pictures` lists all pictures.

    `Gallery("outputs")` shows the pictures in that folder, with `below` those in its subfolders
    too: PNGs of any tool. The newest 20,000 are shown; headers alone are read, once, and what they
    tell is kept in the user's cache. A picture that is deleted is moved to the subfolder "deleted".
    `opened=False` shows nothing that is there, and leaves it there; without a folder that is the
    default, and pictures are saved to "outputs". With `autosave`, which is the state of a switch,
    each picture that is added is saved to the folder. `send` adds a button that calls a function
    with the chosen picture: `gallery.send("img2img", act)`.
    """

    def __init__(
        self, folder: str | Path | None = None, *, autosave: bool = False,
        opened: bool | None = None, below: bool = False,
    ) -> None:  # fmt: skip
        self.folder = user_path("outputs" if folder is None else folder)
        self._contents = GalleryContents(
            self.folder, opened=folder is not None if opened is None else opened, below=below,
            read=self._look_through, narrowed=self._narrowed,
            turned=lambda: self._guarded(self.look_again),
        )  # fmt: skip
        self.autosave = Autosave(self.folder, self.save, on=autosave)
        self._heir: Callable[[], Gallery | None] = lambda: None  # it is no part of this one
        self._lock, self._files = threading.RLock(), GalleryFiles(self.folder)
        self._forget: list[Callable[[set[GalleryPicture]], object]] = []
        self._picked = PickedPictures(self, self._guarded_above, self._refresh)
        self._keys = GalleryKeys(self, self._picked)
        self._thumbs = Thumbnails(self.choose, self._refresh, self._keys.show)
        self._question = DeleteQuestion(self._guarded)
        self._opened_picture = OpenedPicture(self.folder, self, self._guarded, self._refresh)
        self._words = GalleryWords(self._opened_picture, self._question)
        self._bar = GalleryBar(
            self.folder, self._contents, self._thumbs, self, more=self.autosave,
            do=self._guarded_above,
        )  # fmt: skip
        above = [self._bar, self._picked, self._question.place, self._words.above]
        hidden = style.sheet(), self._keys, Drops(self.at)
        super().__init__([*hidden, *above, self._thumbs, self._opened_picture])
        for name in ("sdnb", TAKES):
            self.add_class(name)
        too_large.hear(self.say)
        self._guarded(self._contents.open)
        self._look_through()
        in_order(self)
        self._opened_picture.show(None)
        self.set_trait("_view_count", 0)  # from now on the browser counts
        self.observe(self._viewed, "_view_count")

    # -- what Python sees --------------------------------------------------------------------

    @property
    def results(self) -> list[Result]:
        """The results of which a picture is here, oldest first; without those of opened files."""
        held = (p.held for p in reversed(self.pictures))
        return list({id(result): result for result in held if result is not None}.values())

    @property
    def pictures(self) -> list[GalleryPicture]:
        """All pictures, newest first."""
        return self._contents.pictures

    @pictures.setter
    def pictures(self, pictures: list[GalleryPicture]) -> None:
        self._contents.pictures = pictures

    @property
    def found(self) -> list[GalleryPicture]:
        """The pictures that are looked for, newest first; all of them where nothing is."""
        return self._contents.found

    def find(
        self, words: str = "", *, model: str | None = None, since: Day = None, until: Day = None
    ) -> list[GalleryPicture]:
        """Show the pictures for which all of this holds, as `PictureSearch` says it; return them.

        `gallery.find("fox -snow", model="tiny", since="2026-11-01")`; `gallery.find()` shows all.
        Raises TypeError and ValueError for what is no text and no day.
        """
        wanted = PictureSearch.asked(words, model, since, until)
        self._contents.finish(wanted)
        self.turn_to_newest()
        return list(self.found)

    def refresh(self) -> str:
        """Look at the folder again, and return what has changed, in words; "" for nothing.

        Raises OSError if it cannot be read.
        """
        with self._lock:
            if self._heir() is not None:
                return ""
            with self._files.lock:
                changes = self._contents.again()
            if self.chosen is not None and self.chosen not in self.pictures:
                self._opened_picture.show(None)
            self._look_through()
            return changes

    @property
    def chosen(self) -> GalleryPicture | None:
        """The picture that is shown large."""
        return self._opened_picture.picture

    def add(self, result: Result, before: Result | None = None, of: int = 0) -> None:
        """Put a result's pictures first, of a run that makes `of`, but for those that are here from
        `before`, the same with fewer. The chosen picture and the page in sight stay.
        """
        if (heir := self._heir()) is not None:
            heir.add(result, before, of)
            return
        with self._lock:
            first = 0 if before is None else len(before.images)
            for picture in self.pictures:
                if before is not None and picture.held is before:
                    picture.result = result
        self.put(*(GalleryPicture(result, i, of=of) for i in range(first, len(result.images))))

    def put(self, *new: GalleryPicture) -> None:
        """Put these pictures first, the last of them foremost, and save them as all others."""
        if (heir := self._heir()) is not None:
            heir.put(*new)
            return
        with self._lock:
            self.pictures = [*reversed(new), *self.pictures]
            self._look_through(new)
        self.autosave.take(new)  # without the lock: meanwhile somebody looks at others

    def turn_to_newest(self) -> None:
        """Show the first page of what is looked for; what is open stays open."""
        with self._lock:
            self._words.quiet()
            self._thumbs.first()
            self._look_through()

    def hand_over(self, heir: Gallery) -> None:
        """Give all pictures, and those that are still to come, to another gallery."""
        with self._lock, heir._lock:
            here = {picture.saved for picture in self.pictures}
            others = [picture for picture in heir.pictures if picture.saved not in here]
            heir.pictures = [*others, *self.pictures]
            self._heir = weakref.ref(heir)
            heir._look_through()

    def take(self, data: bytes, name: str) -> None:
        """Put a picture file first, with the settings that it carries, and choose it.

        Raises ValueError if it is no picture.
        """
        with self._lock:
            self._words.quiet()
            picture = from_file(data, name)
            self.pictures = [picture, *self.pictures]
            self._thumbs.first()
            self._look_through()
            self.choose(picture)

    def choose(self, picture: GalleryPicture | None) -> None:
        """Show this picture large; None closes it. Say so if its file is gone or damaged."""
        with self._lock:
            try:
                _ = picture.image if picture else None
            except (OSError, ValueError) as error:
                self._words.quiet()
                self._words.above.complain(error)
                return
            self._words.quiet()
            if picture is None:
                self._opened_picture.other = None
            self._opened_picture.show(picture)
            self._refresh()
            if picture is not None:
                self._keys.see("sdnb-chosen-box")

    def send(self, label: str, act: Send, tooltip: str = "") -> None:
        """Add a button that calls `act` with the chosen picture."""
        act_guarded = partial(self._guarded, partial(self._opened_picture.one, act))
        self._opened_picture.send(send_button(label, tooltip or f"Send to {label}", act_guarded))

    def action(self, words: str, icon: str, tooltip: str, act: Send) -> None:
        """Add a button that calls `act` with the chosen picture, which stays here."""
        act_guarded = partial(self._guarded, partial(self._opened_picture.one, act))
        self._opened_picture.act(text_button(words, icon, tooltip, act_guarded))

    def on_delete(self, forget: Callable[[set[GalleryPicture]], object]) -> None:
        """Call `forget` with the pictures that are deleted, so that nothing else keeps them."""
        self._forget.append(forget)

    def delete(self, *pictures: GalleryPicture) -> None:
        """Remove these pictures; in place of the open one the next opens. Saved files stay; those
        of an opened folder are moved to its subfolder "deleted". Raises OSError if that fails.
        """
        with self._lock:
            self._words.quiet()
            gone: set[GalleryPicture] = set()
            alone = list(pictures) == [self.chosen] and pictures[0] in self.found
            after = beside(self.found, pictures[0]) if alone else None
            try:
                for picture in pictures:
                    self._contents.put_away(picture)
                    gone.add(picture)
            finally:
                for forget in (self.autosave.forget, *self._forget):
                    forget(gone)
                self.pictures = [p for p in self.pictures if p not in gone]
                opened, other = self._opened_picture, self._opened_picture.other
                opened.other = None if other in gone else other
                opened.show(None if self.chosen in gone else self.chosen)
                self._look_through()
            if after is not None:
                self.choose(after)

    def save(self, *pictures: GalleryPicture) -> list[Path]:
        """Save these pictures to `folder`, unless they are there, and return their paths."""
        return self._files.save(*pictures)

    def at(self, place: int | None) -> GalleryPicture | None:
        """The picture at this place, counted from the page in sight; for None the chosen one."""
        return self.chosen if place is None else self._thumbs.at(place)

    def thumb(self, picture: GalleryPicture) -> widgets.Button:
        """The picture's thumbnail; its page comes into sight."""
        with self._lock:
            slot = self._thumbs.of(picture)
            self._bar.show()
            return slot

    def __repr__(self) -> str:
        return f"Gallery({counted(len(self.pictures), 'picture')})"

    # -- acting ------------------------------------------------------------------------------

    def _guarded(self, act: Callable[[], object], line: SaidLine | None = None) -> None:
        """Do a button's work and show its error, since a callback's error is seen nowhere."""
        with self._lock:
            self._words.quiet()
            try:
                act()
            except (OSError, ValueError) as error:
                (line or self._words.here).complain(error)

    def _guarded_above(self, act: Callable[[], object]) -> None:
        self._guarded(act, self._words.above)

    def look_again(self) -> None:
        """Look at the folder again, and say what has changed. Raises OSError."""
        changes = self.refresh()
        said = f"{changes}." if changes else f"Nothing has changed in {self.folder}."
        self._words.above.say(said)

    def _viewed(self, change: Any) -> None:
        """A page shows it: files may have come meanwhile."""
        try:
            if change["new"] and (changes := self.refresh()):
                self._words.above.say(f"{changes} in {self.folder}.")
        except OSError as error:
            self._words.above.complain(error)

    def _narrowed(self) -> None:
        """Something else is looked for: what is open and is none of it closes."""
        self.turn_to_newest()
        if self.chosen is not None and self.chosen not in self.found:
            self.choose(None)

    def _look_through(self, new: Sequence[GalleryPicture] = ()) -> None:
        """Find anew what is looked for; `new` ones came before the first."""
        with self._lock:
            self._thumbs.grow(self._contents.look(new))
            self._refresh()

    def _refresh(self) -> None:
        with self._lock:
            self._thumbs.show(self.found, self.chosen, self._picked.look())
            self._bar.show()
