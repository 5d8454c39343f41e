"""Below a prompt: what is wrong with the LoRAs that its tags name, each with a way out."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from functools import partial

import ipywidgets as widgets

from sdnb.widgets.buttons import text_button
from sdnb.widgets.hearing import in_order

_MOST = 8  # that are shown


class TagWarnings(widgets.VBox):
    """A line for each warning; its button calls `take_out` with the number of its tag."""

    def __init__(self, take_out: Callable[[int], object]) -> None:
        self._take_out = take_out
        self._numbers: list[int] = []
        self._pool: list[widgets.Box] = []
        super().__init__(layout=widgets.Layout(margin="0 0 0 86px", display="none"))

    def show(self, warnings: Sequence[tuple[int, str, str]]) -> None:
        """Show what is wrong: the number of a tag, the tag, and words."""
        shown = warnings[:_MOST]
        self._numbers = [number for number, _, _ in shown]
        while len(self._pool) < len(shown):
            self._pool.append(self._line(len(self._pool)))
        for line, (_, tag, words) in zip(self._pool, shown, strict=False):
            said, button = line.children
            said.value = f'<div class="sdnb-warn">{html.escape(f"{tag}: {words}")}</div>'
            button.tooltip = f"Take {tag} out of the prompt"
        self.children = self._pool[: len(shown)]
        self.layout.display = "" if shown else "none"

    def _line(self, place: int) -> widgets.Box:
        button = text_button("Take it out", "times", "", partial(self._clicked, place))
        line = widgets.HBox([widgets.HTML(layout=widgets.Layout(flex="1 1 0")), button])
        line.add_class("sdnb-tag-warning")
        in_order(line)
        return line

    def _clicked(self, place: int) -> None:
        if place < len(self._numbers):
            self._take_out(self._numbers[place])
