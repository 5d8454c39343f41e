"""A list of lines, each a button: a click takes what the line is about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import ipywidgets as widgets

from sdnb.widgets.hearing import in_order
from sdnb.widgets.style import shared


@dataclass(frozen=True)
class Line:
    """A line's words, its icon (Font Awesome's name), its tooltip, and whether a click takes it."""

    words: str
    icon: str
    tooltip: str
    enabled: bool = True


class LineList(widgets.Box):
    """Shows lines, and calls `take` with the number of one that is clicked."""

    def __init__(self, take: Callable[[int], object]) -> None:
        self._take, self._shown = take, 0
        self._pool: list[widgets.Button] = []
        super().__init__()
        self.add_class("sdnb-library")

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines."""
        self._make(len(lines))
        for button, line in zip(self._pool, lines, strict=False):
            with button.hold_sync():
                button.description, button.disabled = line.words, not line.enabled
                button.icon, button.tooltip = line.icon, line.tooltip
        if self._shown != len(lines):
            self._shown, self.children = len(lines), self._pool[: len(lines)]

    def _make(self, count: int) -> None:
        made = []
        for n in range(len(self._pool), count):
            button = widgets.Button(
                layout=shared(widgets.Layout), style=shared(widgets.ButtonStyle)
            )
            button.on_click(partial(self._clicked, n))
            made.append(button)
        in_order(*made)
        self._pool += made

    def _clicked(self, n: int, _: Any) -> None:
        if n < self._shown:
            self._take(n)
