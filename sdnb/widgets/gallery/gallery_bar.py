"""What stands above a gallery's thumbnails: how many there are, other pages, what is done with all,
and the row by which one finds some.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import ipywidgets as widgets

from sdnb.widgets import style
from sdnb.widgets.buttons import icon_button, text_button
from sdnb.widgets.gallery.gallery_contents import GalleryContents
from sdnb.widgets.gallery.thumbnails import Thumbnails
from sdnb.widgets.upload import Upload


class BarActs(Protocol):
    """What the buttons do."""

    def take(self, data: bytes, name: str) -> None: ...

    def look_again(self) -> None: ...

    def save_all(self) -> None: ...

    def ask_all(self) -> object: ...

    def refuse(self, words: str) -> None: ...


class GalleryBar(widgets.VBox):
    """Shows what is in `contents`, of which `thumbs` shows a page. `do` does the work of a button,
    and shows its error; `more` stands behind the buttons.
    """

    def __init__(
        self, folder: Path, contents: GalleryContents, thumbs: Thumbnails, acts: BarActs, *,
        do: Callable[[Callable[[], object]], None], more: widgets.Widget,
    ) -> None:  # fmt: skip
        self._contents, self._thumbs = contents, thumbs
        self._count = style.quiet_line()
        for turner in thumbs.turners:
            turner.on_click(lambda _: do(self.show))
        thumbs.pager.observe(lambda _: self.show(), "value")
        look = icon_button("refresh", "Refresh", f"Look at {folder} again")
        look.on_click(lambda _: do(acts.look_again))
        look.layout.display = "none" if contents.opened is None else ""
        tip = "Write all pictures that are listed, with their settings inside"
        self.save_all = text_button("Save all", "", tip, lambda: do(acts.save_all))
        tip = "Forget all pictures that are listed and not kept"
        self.clear = text_button("Delete all but kept", "", tip, lambda: do(acts.ask_all))
        tip = "Add pictures: choose them, drop them here, or paste one"
        upload = Upload("Add a picture…", tip, acts.take, refuse=acts.refuse, several=True)
        newer, older = thumbs.turners
        many = [newer, thumbs.pager, older, self.save_all, self.clear]
        self._many = widgets.HBox(many)
        row = style.row([self._count, look, upload, self._many, more])
        super().__init__([row, contents.search])

    def show(self) -> None:
        """Show how many there are, and where one is."""
        words = " · ".join(self._contents.counts(self._thumbs.where))
        self._count.value = f"{html.escape(words)}&ensp;"
        self._many.layout.display = "" if self._contents.found else "none"
