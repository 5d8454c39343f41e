"""The picture of a gallery that is open: what one does with it, and all that is known of it."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import ipywidgets as widgets

from sdnb.widgets import style
from sdnb.widgets.buttons import SHEET, text_button
from sdnb.widgets.caption import SaidLine
from sdnb.widgets.details import opened, seen, told
from sdnb.widgets.file_link import picture_link
from sdnb.widgets.gallery.gallery_picture import GalleryPicture

Act = Callable[[], object]


class OpenedActs(Protocol):
    """What the buttons do."""

    def choose(self, picture: GalleryPicture | None) -> None: ...

    def save_one(self, picture: GalleryPicture) -> None: ...

    def sheet(self, picture: GalleryPicture) -> tuple[str, str]: ...

    def ask(self, pictures: list[GalleryPicture], what: str) -> object: ...

    def say(self, words: str, link: str = "") -> None: ...


class OpenedPicture(widgets.VBox):
    """Buttons, with the picture and its settings below them; hidden while there is none.

    `said` is a line above them, for what was done. Behind Save there is the link that downloads it,
    then those of `act`, then the others; those of `send` have a row of their own. `do` does the
    work of a button, and shows its error; `changed` is called when the picture was kept, or is no
    longer.
    """

    def __init__(
        self,
        folder: Path,
        acts: OpenedActs,
        do: Callable[[Act], None],
        changed: Callable[[], object],
    ) -> None:
        self.picture: GalleryPicture | None = None
        self.other: GalleryPicture | None = None  # the left side of a comparison
        self._acts_of, self._do, self._changed = acts, do, changed
        self._which, self.said, self.link = style.quiet_line(), SaidLine(), widgets.HTML()
        self.view, self.about = widgets.HTML(), widgets.HTML()
        self.view.add_class("sdnb-picture")
        style.lay(self.about, flex="1 1 320px", margin="0 0 0 12px")
        self._make(folder)
        self._acts, self.sends = style.row([]), style.row([], display="none")
        both = style.row([self.view, self.about], align_items=None)
        super().__init__([self._which, self.said, self._acts, self.sends, both])
        self.add_class("sdnb-chosen-box")
        self._lay_out()

    def _make(self, folder: Path) -> None:
        acts = self._acts_of
        self._save = self._button("Save", f"Write it to {folder} (S)", acts.save_one, "save")
        tip = "Remember this one as the left side; then choose another"
        self.compare = self._button("Compare", tip, self._remember, "columns")
        self._keep = self._button("Keep", "Not deleted with the rest", self._toggle_kept)
        self._sheet = self._button(SHEET[0], SHEET[2], lambda p: acts.say(*acts.sheet(p)), SHEET[1])
        ask = self._button(
            "Delete", "Forget this picture (Delete)", lambda p: acts.ask([p], "this picture")
        )
        close = self._button(
            "Close", "Back to the thumbnails", lambda _: acts.choose(None), "times"
        )
        self._own: list[widgets.Button] = [self.compare]
        self._last = [self._keep, self._sheet, ask, close]

    def _button(
        self, words: str, tooltip: str, act: Callable[[GalleryPicture], object], icon: str = ""
    ) -> widgets.Button:
        return text_button(words, icon, tooltip, lambda: self._do(lambda: self.one(act)))

    def one(self, act: Callable[[GalleryPicture], object]) -> None:
        """Call `act` with the picture, if there is one."""
        if self.picture is not None:
            act(self.picture)

    def _toggle_kept(self, picture: GalleryPicture) -> None:
        picture.kept = not picture.kept
        self.show(picture)
        self._changed()

    def _remember(self, picture: GalleryPicture) -> None:
        self.other = None if self.other is not None else picture
        self.show(picture)
        if self.other is not None:
            self._acts_of.say("Now choose the picture to compare it with.")

    def act(self, *buttons: widgets.Button) -> None:
        """Add buttons of what is done with it."""
        self._own += buttons
        self._lay_out()

    def send(self, button: widgets.Button) -> None:
        """Add a button that sends it somewhere."""
        self.sends.children = (*self.sends.children, button)
        self.sends.layout.display = ""

    def show(self, picture: GalleryPicture | None) -> None:
        """Show this picture, beside the `other` one if they are compared; None hides all."""
        self.picture = picture
        self.layout.display = "none" if picture is None else ""
        if picture is None:
            self.view.value = self.about.value = self.link.value = ""
            return
        several = picture.held is not None and len(picture.held.images) > 1
        self._sheet.layout.display = "" if several else "none"
        self._keep.description = "Do not keep" if picture.kept else "Keep"
        self.compare.description = "Stop comparing" if self.other is not None else "Compare"
        self._which.value = html.escape(opened(picture))
        self.view.value = seen(picture, self.other)
        self.about.value = told(picture)
        self.link.value = picture_link(picture)

    def _lay_out(self) -> None:
        self._acts.children = [self._save, self.link, *self._own, *self._last]
