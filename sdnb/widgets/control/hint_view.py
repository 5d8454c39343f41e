"""The hint of a control, beside its picture: made while the page goes on."""

from __future__ import annotations

import html
from functools import partial

import ipywidgets as widgets
from PIL import Image

from sdnb.request import png_header
from sdnb.request.control import Control
from sdnb.request.sizes import Size
from sdnb.widgets.form.decoded import beside
from sdnb.widgets.jpegs import jpeg

SIDE = 192  # pixels of the shown hint's longer side
_MOST = 1280  # pixels of the longer side: a larger one takes seconds, and is shown small
_Made = tuple[Image.Image, tuple[str, ...]]


class HintView(widgets.VBox):
    """Shows what a network reads of a control's picture; of several that are asked for while one is
    made, the newest.
    """

    def __init__(self) -> None:
        self._wanted: tuple[Control, Size] | None = None
        self._key: object = None
        self._busy = False
        self._image, self._words = widgets.Image(format="jpeg"), widgets.HTML()
        in_column = widgets.Layout(width=f"{SIDE + 8}px", flex="0 0 auto", display="none")
        super().__init__([self._image, self._words], layout=in_column)
        self.add_class("sdnb-hint")

    def show(self, control: Control | None, size: Size) -> None:
        """Show the hint of this control for pictures of a size; None hides it."""
        without = control is None or control.image is None
        self.layout.display = "none" if without else ""
        if control is None or without:
            self._wanted = self._key = None
            return
        key = control.image, control.prepare, control.values, control.fit, size
        if key == self._key:
            return
        self._key, self._wanted = key, (control, size)
        if not self._busy:
            self._make()

    def _make(self) -> None:
        if self._wanted is None:
            return
        (control, size), self._wanted = self._wanted, None
        self._busy = True
        self._say("The hint is being made …")
        beside(partial(_made, control, size), partial(self._take, control))

    def _take(self, control: Control, made: _Made | str) -> None:
        self._busy = False
        if self._wanted is not None:  # another one is wanted by now
            self._make()
            return
        self._image.layout.display = "none" if isinstance(made, str) else ""
        if isinstance(made, str):
            self._say(made, wrong=True)
            return
        hint, notes = made
        # As large as its picture beside it, whatever the size that is made.
        side = min(SIDE, max(png_header.size(control.image or b"")))
        self._image.layout.width = f"{max(1, round(hint.width * side / max(hint.size)))}px"
        self._image.value = jpeg(hint, 2 * SIDE)
        self._say(" ".join(("What the net reads.", *notes)))

    def _say(self, words: str, wrong: bool = False) -> None:
        kind = "sdnb-warn" if wrong else "sdnb-quiet"
        self._words.value = f'<div class="{kind}">{html.escape(words)}</div>'


def _made(control: Control, size: Size) -> _Made | str:
    """The hint and its notes, or why there is none."""
    shrink = min(1.0, _MOST / max(size))
    size = max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))
    try:
        return control.hint_at(*size), control.notes_at(*size)
    except (ImportError, ValueError) as error:
        return str(error)
