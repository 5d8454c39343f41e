"""A page that asks before it is left, while what would be lost with it runs or waits, or is drawn.

The question is the browser's own (`beforeunload`), in its words.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import anywidget
import ipywidgets as widgets
import traitlets

from sdnb.widgets.ahead import line_of

if TYPE_CHECKING:
    from sdnb.jobs.executor import Executor


def html() -> str:
    """What the page needs before it shows the studio, as HTML that is not seen."""
    script = Path(__file__).with_name("leaving.js").read_text(encoding="utf-8")
    return f"<script>\n{script}</script>"


class _Busy(anywidget.AnyWidget):
    """What `leaving.js` asks."""

    _esm = """export default {
      initialize({ model }) { window.sdnbIsBusy = () => model.get("busy"); },
    };"""
    busy = traitlets.Bool().tag(sync=True)


class Leaving(widgets.Box):
    """Asks while `busy` says that something runs or waits, and calls `changed` when that is another
    answer than before; it must be shown in the page.
    """

    def __init__(self, busy: Callable[[], bool], changed: Callable[[], object]) -> None:
        self._busy, self._changed = busy, changed
        self._told = _Busy()
        self._lock = threading.Lock()  # runs tell of themselves in threads of their own
        # A box around it, since a browser that cannot load it shows an error in its place.
        super().__init__([self._told], layout=widgets.Layout(display="none"))

    @property
    def asks(self) -> bool:
        """Whether the page asks before it is left."""
        return self._told.busy

    def hear(self, executor: Executor) -> None:
        """Follow what runs there, too."""
        line_of(executor).heard(self.look)
        self.look()

    def look(self) -> None:
        """Note whether something runs or waits."""
        with self._lock:
            before, self._told.busy = self._told.busy, self._busy()
            if self._told.busy != before:
                self._changed()
