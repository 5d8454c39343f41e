"""A list of lines, each a button: a click takes what the line is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import ipywidgets as widgets

from sdnb.widgets.hearing import in_order
from sdnb.widgets.style import shared

_KEPT = 300  # buttons, with those of lines that are not shown any more

_Key = tuple[str, int]  # a line's words, and how many before it have the same


@dataclass(frozen=True)
class Line:
    """What a line is about, its words, its icon (Font Awesome's name), its tooltip, and whether a
    click takes it.
    """

    what: Any
    words: str
    icon: str
    tooltip: str
    enabled: bool = True


class LineList(widgets.Box):
    """Shows lines, and calls `take` with what the one that is clicked is about."""

    def __init__(self, take: Callable[[Any], object]) -> None:
        self._take = take
        # A button belongs to one line for good, the last shown at the end: a page may still show a
        # line that was found before the last letter was typed, and a click on it means that line.
        self._buttons: dict[_Key, widgets.Button] = {}
        self._lines: dict[_Key, Line] = {}
        self._shown: tuple[widgets.Button, ...] = ()
        super().__init__()
        self.add_class("sdnb-library")

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines."""
        shown = tuple(map(self._button, _keys(lines), lines))
        if self._shown != shown:
            self._shown = self.children = shown
        for key in list(self._buttons)[: -max(_KEPT, len(lines)) or None]:
            self._buttons.pop(key).close()
            del self._lines[key]

    def _button(self, key: _Key, line: Line) -> widgets.Button:
        button = self._buttons.pop(key, None) or self._made(key)
        self._buttons[key], self._lines[key] = button, line
        with button.hold_sync():
            button.disabled, button.icon, button.tooltip = not line.enabled, line.icon, line.tooltip
        return button

    def _made(self, key: _Key) -> widgets.Button:
        layout, style = shared(widgets.Layout), shared(widgets.ButtonStyle)
        button = widgets.Button(description=key[0], layout=layout, style=style)
        button.on_click(partial(self._clicked, key))
        in_order(button)
        return button

    def _clicked(self, key: _Key, _: Any) -> None:
        if self._lines[key].enabled:
            self._take(self._lines[key].what)


def _keys(lines: Sequence[Line]) -> list[_Key]:
    before = Counter[str]()
    keys = []
    for line in lines:
        keys.append((line.words, before[line.words]))
        before[line.words] += 1
    return keys
