"""The line above a picture of live: how quick it is, or that it is too slow, with a way out."""

from __future__ import annotations

import html
from collections.abc import Callable

import ipywidgets as widgets

from sdnb.request.quick_enough import Quicker, TooSlow
from sdnb.widgets.buttons import text_button
from sdnb.widgets.style import quiet_line


class LiveLine(widgets.HBox):
    """Words, and `more` behind them. Where a picture takes too long, they say so, and a button has
    `take` called with what would make it quick. There is room for two lines, so that nothing moves.
    """

    def __init__(self, take: Callable[[Quicker], object], *more: widgets.Widget) -> None:
        self._take, self._said = take, ""
        self._slow: TooSlow | None = None
        self._words = quiet_line()
        self._words.layout.flex = "1 1 0"
        tip = "Live makes the picture again with these, which are quick enough"
        self._button = text_button("", "", tip, self._taken)
        self._button.layout.display = "none"
        super().__init__([self._words, self._button, *more])
        self.add_class("sdnb-live-line")

    def say(self, words: str) -> None:
        """Say this. The button stays while a picture takes too long."""
        self._said = words
        self._write(words, "")

    def interrupt(self, words: str) -> None:
        """Say this until `recall`, in place of what was said."""
        self._write(words, "")

    def recall(self) -> None:
        """Say again what was said, or that a picture takes too long."""
        if self._slow is None:
            self._write(self._said, "")
        else:
            self._write(self._slow.why, "sdnb-warn")

    def refuse(self, slow: TooSlow | None) -> None:
        """Say that a picture takes too long, in place of what was said; None takes that back."""
        if slow is None and self._slow is None:
            return
        self._slow = slow
        ways = () if slow is None else slow.ways[:1]
        self._button.description = "".join(f"Take {way}" for way in ways)
        self._button.layout.display = "" if ways else "none"
        self.recall()

    def _write(self, words: str, kind: str) -> None:
        said = f'<div class="{kind}" role="status">{html.escape(words)}</div>'
        self._words.value = said if words else ""

    def _taken(self) -> None:
        if self._slow is not None and self._slow.ways:
            self._take(self._slow.ways[0])
