"""A button that saves a grid as one picture, and says beside it where that is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as widgets

from sdnb.images.saving import SHEETS
from sdnb.widgets.buttons import text_button
from sdnb.widgets.caption import SaidLine
from sdnb.widgets.file_link import files_link

if TYPE_CHECKING:
    from sdnb.grid.grid import Grid

_MOST_PIXELS = 2**26  # of all pictures together that are kept as they are: about 100 MB as a PNG


class SaveGrid(widgets.HBox):
    """Writes what is made of a grid to the subfolder `sheets`, with its labels."""

    def __init__(self, grid: Grid, folder: Path) -> None:
        self._grid, self._folder = grid, folder / SHEETS
        self._button = text_button(
            "Save grid", "th", "Write the grid as one picture, with its labels", self._save
        )
        self._said = SaidLine()
        super().__init__([self._button, self._said])
        self.look()

    def look(self) -> None:
        """Offer it where a cell is made, and no longer say where an earlier state of it is."""
        self._button.disabled = not self._grid.done
        self._said.say("")

    def _save(self) -> None:
        width, height = self._grid.pictures.size(self._grid.cells)
        is_full = width * height * len(self._grid) <= _MOST_PIXELS
        smaller = "" if is_full else ", with smaller pictures; grid.save(path, full=True) keeps all"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._grid.save(self._folder, full=is_full)
            self._said.say(f"Saved as {path}{smaller}", files_link([path]))
        except (OSError, ValueError) as error:
            self._said.complain(error)
