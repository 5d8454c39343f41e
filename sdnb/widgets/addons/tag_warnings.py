"""Below a prompt: what is wrong with the LoRAs that its tags name, each with a way out."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import ipywidgets as widgets

from sdnb.widgets.buttons import text_button
from sdnb.widgets.hearing import in_order

_MOST = 8  # that are shown


class TagWarning(NamedTuple):
    """What is wrong with a tag of the prompt, by its number; `near` is a name that may be meant."""

    number: int
    tag: str
    words: str
    near: str = ""


class TagWarnings(widgets.VBox):
    """A line for each warning; its buttons call `take_out` with the number of its tag, and `put`
    with that and the name that may be meant, if there is one.
    """

    def __init__(
        self, take_out: Callable[[int], object], put: Callable[[int, str], object]
    ) -> None:
        self._take_out, self._put = take_out, put
        self._shown: list[TagWarning] = []
        self._pool: list[widgets.Box] = []
        super().__init__(layout=widgets.Layout(margin="0 0 0 86px", display="none"))

    def show(self, warnings: Sequence[TagWarning]) -> None:
        """Show what is wrong."""
        self._shown = list(warnings[:_MOST])
        while len(self._pool) < len(self._shown):
            self._pool.append(self._line(len(self._pool)))
        for line, (_, tag, words, near) in zip(self._pool, self._shown, strict=False):
            said, put, out = line.children
            said.value = f'<div class="sdnb-warn">{html.escape(f"{tag}: {words}")}</div>'
            put.description, put.layout.display = f"Put {near}", "" if near else "none"
            put.tooltip = f"Put {near} into the tag; its numbers stay"
            out.tooltip = f"Take {tag} out of the prompt"
        self.children = self._pool[: len(self._shown)]
        self.layout.display = "" if self._shown else "none"

    def _line(self, place: int) -> widgets.Box:
        put = text_button("", "check", "", partial(self._renamed, place))
        out = text_button("Take it out", "times", "", partial(self._clicked, place))
        line = widgets.HBox([widgets.HTML(layout=widgets.Layout(flex="1 1 0")), put, out])
        line.add_class("sdnb-tag-warning")
        in_order(line)
        return line

    def _clicked(self, place: int) -> None:
        if place < len(self._shown):
            self._take_out(self._shown[place].number)

    def _renamed(self, place: int) -> None:
        if place < len(self._shown) and (near := self._shown[place].near):
            self._put(self._shown[place].number, near)
