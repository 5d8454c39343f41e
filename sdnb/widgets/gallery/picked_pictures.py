"""Several pictures of a gallery at once: those that were picked with Ctrl or Shift held."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import ipywidgets as widgets

from sdnb.request.plain_words import counted
from sdnb.widgets import style
from sdnb.widgets.buttons import text_button
from sdnb.widgets.gallery.gallery_picture import GalleryPicture


class Picking(Protocol):
    """What picking needs of a gallery."""

    @property
    def found(self) -> list[GalleryPicture]:
        """The pictures that have thumbnails."""

    def save_all(self, pictures: Sequence[GalleryPicture]) -> None:
        """Save these, and say where they are."""

    def compare(self, left: GalleryPicture, right: GalleryPicture) -> None:
        """Show these two under one slider."""

    def ask(self, pictures: list[GalleryPicture], what: str) -> Sequence[widgets.Button]:
        """Ask whether to delete pictures, and return the buttons that answer: yes and no."""


class PickedPictures(widgets.HBox):
    """How many are picked, and what is done with all of them; in sight while there are some.

    `do` does the work of a button and shows its error; `changed` is called when others are picked,
    or one is kept. What is no longer found is picked no longer.
    """

    def __init__(
        self, gallery: Picking, do: Callable[[Callable[[], object]], None],
        changed: Callable[[], object],
    ) -> None:  # fmt: skip
        self._gallery, self._do, self._changed = gallery, do, changed
        self._picked: set[GalleryPicture] = set()
        self._last: GalleryPicture | None = None
        self._count = style.quiet_line()
        self._both = text_button(
            "Compare", "columns", "Both under one slider, the older one on its left", self.compare
        )
        buttons = [
            text_button("Save", "", "Write those that are picked: S", self.save),
            self._both,
            text_button("Keep", "", "Not deleted with the rest", lambda: do(self._keep)),
            text_button("Delete", "", "Ask, then delete those that are picked", self.ask),
            text_button("Pick none", "", "Escape", self.clear),
        ]
        layout = widgets.Layout(display="none", align_items="center", flex_flow="row wrap")
        super().__init__([self._count, *buttons], layout=layout)

    @property
    def pictures(self) -> list[GalleryPicture]:
        """Those that are picked, in the gallery's order."""
        return [picture for picture in self._gallery.found if picture in self._picked]

    def pick(self, picture: GalleryPicture, *, up_to: bool = False) -> None:
        """Pick this picture, or no longer; with `up_to`, all from the last one to it."""
        found = self._gallery.found
        if up_to and self._last in found:
            first, end = sorted((found.index(self._last), found.index(picture)))
            self._picked.update(found[first : end + 1])
        else:
            self._picked ^= {picture}
        self._last = picture
        self._changed()

    def clear(self) -> None:
        """Pick none."""
        self._picked, self._last = set(), None
        self._changed()

    def look(self) -> Collection[GalleryPicture]:
        """Forget what is no longer found, and show how many are left; returns those."""
        self._picked.intersection_update(self._gallery.found)
        self._count.value = f"{counted(len(self._picked), 'picture')} picked"
        self.layout.display = "" if self._picked else "none"
        self._both.layout.display = "" if len(self._picked) == 2 else "none"
        return self._picked

    def save(self) -> None:
        """Save them, and say where they are, or why not."""
        self._do(lambda: self._gallery.save_all(self.pictures))

    def compare(self) -> None:
        """Compare the two that are picked, which they stay."""
        newer, older = self.pictures
        self._do(lambda: self._gallery.compare(older, newer))

    def ask(self) -> Sequence[widgets.Button]:
        """Ask whether to delete them, and return the buttons that answer."""
        which = "the picture that is" if len(self._picked) == 1 else "the pictures that are"
        return self._gallery.ask(self.pictures, f"{which} picked")

    def _keep(self) -> None:
        """Keep them; where all are kept, no longer."""
        kept = not all(picture.kept for picture in self._picked)
        for picture in self._picked:
            picture.kept = kept
        self._changed()
