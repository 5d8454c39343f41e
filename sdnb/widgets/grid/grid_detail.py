"""One cell of a grid shown large with its settings, or two cells compared; saved, and sent on."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import ipywidgets as widgets
import numpy as np
from PIL import Image, ImageChops

from sdnb.grid.cells import Cell
from sdnb.grid.outcomes import Pictures
from sdnb.request import Request
from sdnb.widgets import style
from sdnb.widgets.buttons import send_button, text_button
from sdnb.widgets.compare import compared
from sdnb.widgets.details import code, settings
from sdnb.widgets.file_link import picture_link
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.jpegs import data_uri

_GAIN = 4  # by which a difference is amplified
_MODES = ("slider", "difference", "picture")
_MAX_SIDE, _MIN_SIDE = 768, 384  # pixels of the longer side; the lower bound is approximate

Use = Callable[[Request], None]
Send = Callable[[GalleryPicture], object]


class GridDetail(widgets.VBox):
    """Shows `cell`, if it is not None; `other` is the left side of a comparison.

    `changed` is called when the cell or the comparison changes; `use`, if given, with the cell's
    request when someone presses "Use these settings"; those of `send` with its picture. Save writes
    it to `folder`, unless it is saved already.
    """

    def __init__(
        self,
        pictures: Pictures,
        changed: Callable[[], None],
        use: Use | None,
        send: Mapping[str, Send],
        folder: Path,
    ) -> None:
        self.cell: Cell | None = None
        self.other: Cell | None = None
        self._pictures, self._changed, self._use, self._folder = pictures, changed, use, folder
        self._kept: dict[str, GalleryPicture] = {}  # by the cell's key
        self._picture, self._about = widgets.HTML(), widgets.HTML()
        self._picture.add_class("sdnb-picture")
        style.lay(self._about, max_width="420px", margin="0 12px 0 0")
        self._message, self._link = style.quiet_line(), widgets.HTML()
        self._compare = text_button(
            "Compare", "columns", "Remember this one as A, the left side; then choose another",
            self._remember,
        )  # fmt: skip
        self._mode = widgets.ToggleButtons(
            options=_MODES,
            tooltips=("left and right of a line", f"{_GAIN} times as strong", "this cell alone"),
            style={"button_width": "90px"},
        )
        self._mode.observe(lambda _: self.refresh(), "value")
        tip = "Put them into the controls that this grid was made from"
        give = [text_button("Use these settings", "share", tip, self._give)] if use else []
        save = text_button("Save", "save", f"Write the picture to {folder}", self._save)
        close = text_button("Close", "times", "Back to the grid", lambda: self.look_at(None))
        sends = [
            send_button(name, f"Carry the picture to {name}", partial(self._carry, name, act))
            for name, act in send.items()
        ]  # fmt: skip
        self._need_picture = [save, *sends]
        above = style.row([save, self._link, *give, self._compare, close])
        ways = style.row(sends, display="" if sends else "none")
        below = style.row([self._picture, self._about], align_items="flex-start")
        super().__init__([above, ways, self._mode, self._message, below])
        self.refresh()

    def look_at(self, cell: Cell | None) -> None:
        """Show this cell; None closes it and ends the comparison."""
        self.cell = cell
        self._message.value = ""
        if cell is None:
            self.other = None
        self.refresh()
        self._changed()

    def refresh(self) -> None:
        """Show the cell's current state."""
        cell = self.cell
        self.layout.display = "none" if cell is None else ""
        if cell is None:
            self._picture.value = self._about.value = ""
            return
        both = self.other is not None and self.other != cell
        self._mode.layout.display = "" if both else "none"
        self._compare.description = "Compare" if self.other is None else "Stop comparing"
        filled = self._pictures.made.get(cell.key)
        self._link.value = ""
        for button in self._need_picture:
            button.disabled = filled is None
        if filled is None:
            why = html.escape(self._pictures.why_empty(cell))
            self._picture.value = f'<div class="sdnb-warn">This cell {why}.</div>'
            self._about.value = settings(cell.request) + code(cell.request)
            return
        self._picture.value = self._seen(cell, large(filled.image))
        self._about.value = settings(filled.request, filled.result()) + code(filled.request)
        with self._saying_errors():
            self._link.value = picture_link(self.kept(cell))

    def _seen(self, cell: Cell, image: Image.Image) -> str:
        if self.other is None:
            return alone(image, cell.label)
        if self.other == cell:
            hint = _under_picture("This one is A. Now choose the cell to compare it with.")
            return alone(image, cell.label) + hint
        left = self._pictures.made.get(self.other.key)
        if left is None or self._mode.value == "picture":
            return alone(image, cell.label)
        if self._mode.value == "difference":
            words = f"A ({self.other.label}) and B ({cell.label})"
            return difference(large(left.image), image, words)
        pair = compared(large(left.image), image, (self.other.label, cell.label))
        return pair + _under_picture(f"A: {self.other.label} | B: {cell.label}")

    def _give(self) -> None:
        if self.cell is not None and self._use is not None:
            self._use(self.cell.request)

    def _save(self) -> None:
        if self.cell is not None:
            with self._saying_errors():
                picture = self.kept(self.cell)
                if picture.saved is None or not picture.saved.exists():
                    picture.saved = picture.save(self._folder)
                self._say(f"Saved as {picture.saved}")
                self._link.value = picture_link(picture)  # under the name that it has now

    def _carry(self, name: str, act: Send) -> None:
        if self.cell is not None:
            with self._saying_errors():
                act(self.kept(self.cell))
                self._say(f"It is in the tab {name} now.")

    def kept(self, cell: Cell) -> GalleryPicture:
        """A finished cell's picture, the same one each time; one of a store is saved already."""
        if cell.key not in self._kept:
            made = self._pictures.made[cell.key]
            self._kept[cell.key] = GalleryPicture(made.result(), saved=made.path)
        return self._kept[cell.key]

    @contextmanager
    def _saying_errors(self) -> Iterator[None]:
        """A context manager that shows an error, since a button's is seen nowhere."""
        try:
            yield
        except (OSError, ValueError) as error:
            words = html.escape(str(error))
            self._message.value = f'<div class="sdnb-error" role="alert">{words}</div>'

    def _say(self, words: str) -> None:
        self._message.value = f'<span role="status">{html.escape(words)}</span>'

    def _remember(self) -> None:
        self.other = self.cell if self.other is None else None
        self.refresh()
        self._changed()


def difference(one: Image.Image, other: Image.Image, words: str) -> str:
    """HTML of the difference of two pictures, amplified; black where they are equal."""
    if one.size != other.size:
        other = other.resize(one.size)
    distance = np.asarray(ImageChops.difference(one.convert("RGB"), other.convert("RGB")))
    pixels = np.minimum(distance.astype(np.uint16) * _GAIN, 255).astype(np.uint8)
    amplified = Image.fromarray(pixels)
    return alone(amplified, f"the difference of {words}") + _under_picture(
        f"{words}. Black is equal; shown {_GAIN} times as strong. The largest difference is "
        f"{int(distance.max())} of 255."
    )


def _under_picture(words: str) -> str:
    """HTML of text under a picture, narrow enough to leave the settings beside it."""
    attributes = f'class="sdnb-quiet" role="status" style="max-width:{_MIN_SIDE}px"'
    return f"<div {attributes}>{html.escape(words)}</div>"


def large(image: Image.Image) -> Image.Image:
    """A small picture enlarged by a whole factor, its pixels as squares."""
    times = max(1, round(_MIN_SIDE / max(image.size)))
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)


def alone(image: Image.Image, words: str) -> str:
    """HTML of one picture."""
    alt = html.escape(words, quote=True)
    width = min(image.width, _MAX_SIDE)
    return f'<img src="{data_uri(image, _MAX_SIDE, 92)}" width="{width}" alt="{alt}">'
