"""The switch "Save every picture", and the saving: a save that fails stops nothing."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from sdnb.request.plain_words import counted
from sdnb.widgets.gallery.gallery_picture import GalleryPicture

Save = Callable[[GalleryPicture], object]
_AGAIN = "It is tried again with the next picture."


class Autosave(widgets.VBox):
    """Calls `save` with each picture that is taken while the switch is on.

    What cannot be saved is owed: it is tried again with the next picture, and when the switch is
    turned on again. `switched` is called when a person turned the switch.
    """

    def __init__(self, folder: Path, save: Save, *, on: bool) -> None:
        self.switched: Callable[[bool], object] = lambda _: None
        self._save = save
        self._owed: list[GalleryPicture] = []
        self._news = ""
        self._lock = threading.RLock()
        self._by_code = False
        self._switch = widgets.Checkbox(
            value=on, description=f"Save every picture to {folder}", indent=False,
            tooltip="With its settings inside, as soon as it is finished",
            layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        self._switch.observe(self._turned, "value")
        self._problem = widgets.HTML()
        super().__init__([self._switch, self._problem])
        self._show("")

    @property
    def on(self) -> bool:
        return bool(self._switch.value)

    @on.setter
    def on(self, value: bool) -> None:
        self._by_code = True
        try:
            self._switch.value = value
        finally:
            self._by_code = False

    def take(self, pictures: Sequence[GalleryPicture]) -> None:
        """Save these pictures, and those that are owed, if the switch is on."""
        if self.on:
            with self._lock:
                self._owed += pictures
                self._settle()

    def forget(self, pictures: Collection[GalleryPicture]) -> None:
        """Owe these no longer."""
        with self._lock:
            self._owed = [picture for picture in self._owed if picture not in pictures]
            if not self._owed:
                self._show("")

    def news(self) -> list[str]:
        """What to say of a save that failed; once, until one has succeeded again."""
        with self._lock:
            words, self._news = self._news, ""
        return [words] if words else []

    def _settle(self) -> None:
        while self._owed:
            try:
                self._save(self._owed[0])
            except (OSError, ValueError) as error:
                self._fail(error)
                return
            del self._owed[0]
        self._show("")

    def _fail(self, error: Exception) -> None:
        if not self._problem.value:
            self._news = f"Not saved: {error}. {_AGAIN}"
        # In short: what helps is said where the picture is.
        why = getattr(error.__cause__, "strerror", None) or error
        self._show(f"{why}. Not saved yet: {counted(len(self._owed), 'picture')}. {_AGAIN}")

    def _turned(self, change: dict[str, Any]) -> None:
        with self._lock:
            if change["new"]:
                self._settle()
        if not self._by_code:
            self.switched(bool(change["new"]))

    def _show(self, words: str) -> None:
        text = f'<div class="sdnb-error" role="alert">{html.escape(words)}</div>'
        self._problem.value = text if words else ""
        self._problem.layout.display = "" if words else "none"
