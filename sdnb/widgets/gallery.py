"""The gallery: thumbnails, one picture with its settings, keep, delete, save and compare.

The pictures stay in the kernel. The browser gets small JPEGs of one page, and the chosen picture.
"""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import ipywidgets as widgets

from sdnb.assets import user_path
from sdnb.images.result import Result
from sdnb.request.plain_words import counted
from sdnb.widgets import style, too_large
from sdnb.widgets.autosave import Autosave
from sdnb.widgets.buttons import SHEET, send_button, text_button
from sdnb.widgets.caption import SaidLine
from sdnb.widgets.delete_question import DeleteQuestion
from sdnb.widgets.file_link import files_link
from sdnb.widgets.gallery_keys import GalleryKeys
from sdnb.widgets.gallery_picture import GalleryPicture, beside, from_file, save_sheet
from sdnb.widgets.hearing import in_order
from sdnb.widgets.opened_folder import OpenedFolder
from sdnb.widgets.opened_picture import OpenedPicture
from sdnb.widgets.run_again import RunAgain
from sdnb.widgets.thumbnails import Thumbnails
from sdnb.widgets.upload import Upload

Send = Callable[[GalleryPicture], None]
_ICONS = {"Compare": "columns", "Save": "save", "Close": "times"}  # as elsewhere


class Gallery(RunAgain, widgets.VBox):
    """Thumbnails, newest first; `add` takes a result, `pictures` lists all pictures.

    Pictures are saved to `folder`: with `autosave`, which is the state of a switch, each that is
    added. With `opened` the newest 1000 that are there already are shown too, and a picture that is
    deleted is moved to a subfolder. `send` adds a button that calls a function with the chosen
    picture: `gallery.send("img2img", act)`.
    """

    def __init__(
        self, folder: str | Path = "outputs", *, autosave: bool = False, opened: bool = False
    ) -> None:
        self.folder = user_path(folder)
        self.pictures: list[GalleryPicture] = []  # newest first
        self.autosave = Autosave(self.folder, self.save, on=autosave)
        self._opened = OpenedFolder(self.folder) if opened else None
        self._heir: Gallery | None = None
        self._lock, self._saving = threading.RLock(), threading.Lock()
        self._forget: list[Callable[[set[GalleryPicture]], object]] = []
        self._chosen: GalleryPicture | None = None
        self._other: GalleryPicture | None = None  # the left side of a comparison
        self._thumbs = Thumbnails(self.choose, self._refresh)
        self._build()
        self._keys = GalleryKeys(self)
        shown = [self._bar, self._question.row, self._message, self._thumbs, self._opened_picture]
        super().__init__([style.sheet(), self._keys, *shown])
        self.add_class("sdnb")
        too_large.hear(self.say)
        self._guarded(self._open)
        self._refresh()
        in_order(self)
        self._show_detail()

    # -- what Python sees --------------------------------------------------------------------

    @property
    def results(self) -> list[Result]:
        """The results of which a picture is here, oldest first; without those of opened files."""
        held = (p.held for p in reversed(self.pictures))
        return list({id(result): result for result in held if result is not None}.values())

    @property
    def chosen(self) -> GalleryPicture | None:
        """The picture that is shown large."""
        return self._chosen

    def add(self, result: Result, before: Result | None = None, of: int = 0) -> None:
        """Put a result's pictures first, of a run that makes `of`, but for those that are here from
        `before`, the same with fewer. The chosen picture and the page in sight stay.
        """
        if self._heir is not None:
            self._heir.add(result, before, of)
            return
        with self._lock:
            first = 0 if before is None else len(before.images)
            for picture in self.pictures:
                if before is not None and picture.held is before:
                    picture.result = result
        self.put(*(GalleryPicture(result, i, of=of) for i in range(first, len(result.images))))

    def put(self, *new: GalleryPicture) -> None:
        """Put these pictures first, the last of them foremost, and save them as all others."""
        if self._heir is not None:
            self._heir.put(*new)
            return
        with self._lock:
            self.pictures = [*reversed(new), *self.pictures]
            self._thumbs.grow(len(new))
            self._refresh()
        self.autosave.take(new)  # without the lock: meanwhile somebody looks at others

    def hand_over(self, heir: Gallery) -> None:
        """Give all pictures, and those that are still to come, to another gallery."""
        with self._lock, heir._lock:
            here = {picture.saved for picture in self.pictures}
            others = [picture for picture in heir.pictures if picture.saved not in here]
            heir.pictures = [*others, *self.pictures]
            self._heir = heir
            heir._refresh()

    def take(self, data: bytes, name: str) -> None:
        """Put a picture file first, with the settings that it carries, and choose it."""
        with self._lock:
            self._quiet()
            try:
                picture = from_file(data, name)
            except (ValueError, TypeError, OSError) as error:
                self.say(f"{name}: {error}")
                return
            self.pictures = [picture, *self.pictures]
            self._thumbs.first()
            self.choose(picture)

    def choose(self, picture: GalleryPicture | None) -> None:
        """Show this picture large; None closes it. Say so if its file is gone or damaged."""
        with self._lock:
            try:
                _ = picture.image if picture else None
            except (OSError, ValueError) as error:
                self._quiet()
                self.say(str(error))
                return
            self._chosen, self._other = picture, self._other if picture else None
            self._quiet()
            self._show_detail()
            self._refresh()
            if picture is not None:
                self._keys.see("sdnb-chosen-box")

    def send(self, label: str, act: Send, tooltip: str = "") -> None:
        """Add a button that calls `act` with the chosen picture."""
        act_guarded = partial(self._guarded, partial(self._one, act))
        self._opened_picture.send(send_button(label, tooltip or f"Send to {label}", act_guarded))

    def action(self, words: str, icon: str, tooltip: str, act: Send) -> None:
        """Add a button that calls `act` with the chosen picture, which stays here."""
        act_guarded = partial(self._guarded, partial(self._one, act))
        self._opened_picture.act(text_button(words, icon, tooltip, act_guarded))

    def on_delete(self, forget: Callable[[set[GalleryPicture]], object]) -> None:
        """Call `forget` with the pictures that are deleted, so that nothing else keeps them."""
        self._forget.append(forget)

    def delete(self, *pictures: GalleryPicture) -> None:
        """Remove these pictures; in place of the open one the next opens. Saved files stay; those
        of an opened folder are moved to its subfolder "deleted". Raises OSError if that fails.
        """
        with self._lock:
            self._quiet()
            gone: set[GalleryPicture] = set()
            alone = list(pictures) == [self._chosen] and pictures[0] in self.pictures
            after = beside(self.pictures, pictures[0]) if alone else None
            try:
                for picture in pictures:
                    if self._opened is not None:
                        self._opened.put_away(picture)
                    gone.add(picture)
            finally:
                for forget in (self.autosave.forget, *self._forget):
                    forget(gone)
                self.pictures = [p for p in self.pictures if p not in gone]
                self._chosen = None if self._chosen in gone else self._chosen
                self._other = None if self._other in gone else self._other
                self._show_detail()
                self._refresh()
            if after is not None:
                self.choose(after)

    def save(self, *pictures: GalleryPicture) -> list[Path]:
        """Save these pictures to `folder`, unless they are there, and return their paths."""
        paths = []
        with self._saving:
            for picture in pictures:
                if picture.saved is None or not picture.saved.exists():
                    picture.saved = picture.save(self.folder)
                paths.append(picture.saved)
        return paths

    def at(self, place: int | None) -> GalleryPicture | None:
        """The picture at this place, counted from the page in sight; for None the chosen one."""
        return self._chosen if place is None else self._thumbs.at(place)

    def thumb(self, picture: GalleryPicture) -> widgets.Button:
        """The picture's thumbnail; its page comes into sight."""
        with self._lock:
            slot = self._thumbs.of(picture)
            self._show_count()
            return slot

    def __repr__(self) -> str:
        return f"Gallery({counted(len(self.pictures), 'picture')})"

    # -- building ----------------------------------------------------------------------------

    def _button(self, words: str, tooltip: str, act: Callable[[], object]) -> widgets.Button:
        return text_button(words, _ICONS.get(words, ""), tooltip, lambda: self._guarded(act))

    def _build(self) -> None:
        self._count = style.quiet_line()
        for turner in self._thumbs.turners:
            turner.on_click(lambda _: self._guarded(self._show_count))
        tip = "Write all pictures, with their settings inside"
        self._save_all = self._button("Save all", tip, self._all_saved)
        others = "all pictures that are not kept"
        self._clear = self._button(
            "Delete all but kept", f"Forget {others}",
            lambda: self.ask([p for p in self.pictures if not p.kept], others),
        )  # fmt: skip
        upload = Upload("Add a picture…", "Add a picture…", self.take)
        self._many = widgets.HBox([*self._thumbs.turners, self._save_all, self._clear])
        self._bar = style.row([self._count, upload, self._many, self.autosave])
        self._keep = self._button("Keep", "Not deleted with the rest", self._toggle_kept)
        tip = "Remember this one as the left side; then choose another"
        self._compare = self._button("Compare", tip, self._remember)
        show = partial(self._one, lambda picture: self.say(*self.sheet(picture)))
        self._sheet = text_button(*SHEET, partial(self._guarded, show))
        self._question = DeleteQuestion(self._guarded)
        self._message = SaidLine()
        save = partial(self._one, self.save_one)
        delete = partial(self._one, lambda picture: self.ask([picture], "this picture"))
        self._opened_picture = OpenedPicture(
            self._button("Save", f"Write it to {self.folder} (S)", save),
            [
                self._keep, self._sheet,
                self._button("Delete", "Forget this picture (Delete)", delete),
                self._button("Close", "Back to the thumbnails", lambda: self.choose(None)),
            ],
        )  # fmt: skip
        self._opened_picture.act(self._compare)

    # -- acting ------------------------------------------------------------------------------

    def _guarded(self, act: Callable[[], object]) -> None:
        """Do a button's work and show its error, since a callback's error is seen nowhere."""
        with self._lock:
            self._quiet()
            try:
                act()
            except (OSError, ValueError) as error:
                self.say(str(error))

    def _toggle_kept(self) -> None:
        if self._chosen is not None:
            self._chosen.kept = not self._chosen.kept
            self._show_detail()
            self._refresh()

    def _remember(self) -> None:
        self._other = None if self._other is not None else self._chosen
        self._show_detail()
        if self._other is not None:
            self.say("Now choose the picture to compare it with.")

    def _one(self, act: Callable[[GalleryPicture], object]) -> None:
        if self._chosen is not None:
            act(self._chosen)

    def save_one(self, picture: GalleryPicture) -> None:
        """Save a picture, and show where it is, or the error."""
        self._guarded(lambda: self._saved_one(picture))

    def _saved_one(self, picture: GalleryPicture) -> None:
        link, is_open = files_link(self.save(picture)), picture is self._chosen
        if is_open:
            self._opened_picture.link.value = link  # under the name that it has now
        self.say(self.saved(picture), "" if is_open else link)

    def saved(self, picture: GalleryPicture) -> str:
        """Save a picture, and say where it is."""
        return f"Saved as {self.save(picture)[0]}"

    def sheet(self, picture: GalleryPicture) -> tuple[str, str]:
        """Save all that were made with this one as one picture: where it is, and a link to it."""
        made = [other for other in reversed(self.pictures) if other.held is picture.held]
        path = save_sheet(made, self.folder)
        return f"Saved as {path}", files_link([path])

    def _all_saved(self) -> None:
        paths = self.save(*reversed(self.pictures))
        words = f"{counted(len(paths), 'picture')} {'is' if len(paths) == 1 else 'are'} in"
        self.say(f"{words} {self.folder}", files_link(dict.fromkeys(paths)))

    def ask(self, pictures: list[GalleryPicture], what: str) -> Sequence[widgets.Button]:
        """Ask whether to delete pictures, and return the buttons that answer: yes and no."""
        self._quiet()
        if not pictures:
            self.say("There is nothing to delete.")
            return ()
        away = self._opened.away if self._opened else None
        return self._question.ask(len(pictures), what, away, lambda: self.delete(*pictures))

    def say(self, words: str, link: str = "", holds: Callable[[], bool] | None = None) -> None:
        """Show a line, with HTML behind it, until the next act or run, or while it `holds`."""
        self._message.say(words, link, holds)

    def look(self) -> None:
        """Clear the line if it no longer holds."""
        self._message.look()

    def _quiet(self) -> None:  # the last action's line of text and question
        self._message.say("")
        self._question.forget()

    def _open(self) -> None:
        if self._opened is not None:
            self.pictures = self._opened.listed()

    def _refresh(self) -> None:
        with self._lock:
            self._thumbs.show(self.pictures, self._chosen)
            self._show_count()

    def _show_count(self) -> None:
        words = [counted(len(self.pictures), "picture"), self._thumbs.where]
        if self._opened and self._opened.older:
            words.append(f"{self._opened.older} older ones are only in {self.folder}")
        self._count.value = f"{html.escape(' · '.join(filter(None, words)))}&ensp;"
        self._many.layout.display = "" if self.pictures else "none"

    def _show_detail(self) -> None:
        picture = self._chosen
        if picture is not None:
            several = picture.held is not None and len(picture.held.images) > 1
            self._sheet.layout.display = "" if several else "none"
            self._keep.description = "Do not keep" if picture.kept else "Keep"
            self._compare.description = "Stop comparing" if self._other is not None else "Compare"
        self._opened_picture.show(picture, self._other)
