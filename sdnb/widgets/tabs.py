"""Tabs that a person turns at the page, and the kernel too."""

from __future__ import annotations

import threading
from collections.abc import Collection
from functools import partial
from typing import Any

import ipywidgets as widgets

from sdnb.widgets.keys import Keys

_NAME, _MARKED = "sdnb-tabs", "sdnb-runs-"


class Tabs(widgets.Tab):
    """Tabs whose page does not undo what `turn` did; `ear` must be shown beside them.

    The page keeps a click on a tab back while its message before is on its way, and sends it even
    though the kernel has turned to another tab meanwhile. So what comes before the page has heard
    of `turn`, which `ear` asks it, is of before, and is not obeyed.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        self.ear = Keys("tabs", self._ready)
        self._answers = self._deaf = False
        self._turns, self._lock = 0, threading.Lock()
        super().__init__(*args, **more)
        self.add_class(_NAME)

    def turn(self, place: int) -> None:
        """Select the tab at this place."""
        self._turns += 1
        self._deaf = self._answers
        try:
            self.selected_index = place
        finally:  # whatever fails in a tab that opens, clicks are heard again
            self._ask()

    def mark(self, places: Collection[int]) -> None:
        """Mark the tabs at these places, and no others: something goes on there."""
        with self._lock:  # runs tell of themselves in threads of their own
            for place in range(len(self.children)):
                (self.add_class if place in places else self.remove_class)(f"{_MARKED}{place}")

    def focus(self, widget: widgets.DOMWidget) -> None:
        """Move the browser's focus to what is in a tab; the row of tabs comes to the page's top."""
        self.ear.focus(widget, _NAME)

    def _ready(self, _: dict[str, Any]) -> None:
        """A page is there that answers, and shows the tab that is selected."""
        self._answers, self._deaf = True, False

    def _ask(self) -> None:
        self.ear.when_heard(partial(self._heard, self._turns))

    def _heard(self, turn: int) -> None:
        if turn == self._turns:
            self._deaf = False

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take what the page sends."""
        if "selected_index" in sync_data and self._deaf:
            sync_data = {name: sync_data[name] for name in sync_data.keys() - {"selected_index"}}
            self.send_state("selected_index")
            self._ask()  # an answer that was lost costs a click, and not all that follow
        super().set_state(sync_data)
