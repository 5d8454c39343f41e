"""A panel's buttons Generate, Live and Stop, and the words below: what a request waits for."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence

import ipywidgets as widgets

from sdnb.request.quick_enough import LIMIT
from sdnb.widgets.buttons import text_button
from sdnb.widgets.style import box, quiet_line, shared

#: The word and the tooltip of the main button of most panels.
GENERATE = "Generate", "Make the picture (Ctrl+Enter), when what is ahead of it has ended"


class Actions(widgets.VBox):
    """Two buttons that call `generate` and `stop`; `show` updates them. `live` is a switch, which
    its owner hears. `beside` stand beside Stop, and `below` under them. `called` are the word and
    the tooltip of the first. `go` is called with the tab in which something runs, where there is
    one and somebody wants to see it.
    """

    def __init__(
        self,
        generate: Callable[[], object],
        stop: Callable[[], object],
        beside: Sequence[widgets.Widget],
        below: Sequence[widgets.Widget],
        called: tuple[str, str] = GENERATE,
    ) -> None:
        self._word, tip = called
        self.generate = widgets.Button(
            description=self._word, button_style="primary", icon="play",
            style=shared(widgets.ButtonStyle), tooltip=tip,
        )  # fmt: skip
        self.generate.add_class("sdnb-generate")  # by which `keys.js` finds it
        self.stop = widgets.Button(
            description="Stop", icon="stop", disabled=True,
            tooltip="End what runs at once, and keep what is finished; what waits is next",
        )  # fmt: skip
        self.generate.on_click(lambda _: generate())
        self.stop.on_click(lambda _: stop())
        self.live = widgets.ToggleButton(
            description="Live", icon="bolt",
            tooltip=f"Make the picture again at each change, where it takes {LIMIT:g} s at most",
        )  # fmt: skip
        self.message = quiet_line()
        self.go: Callable[[str], object] = lambda _: None
        self._elsewhere = ""
        tip = "Open the tab in which it runs"
        self._there = text_button("Show", "", tip, lambda: self.go(self._elsewhere))
        self._there.add_class("sdnb-way")
        self.generate.add_class("sdnb-main")
        first = box("sdnb-beside", [self.generate, self.live])
        second = box("sdnb-beside", [self.stop, *beside])
        super().__init__([first, second, *below, self.message, self._there])
        self.add_class("sdnb-actions")

    def show(
        self, ahead: str, *, stoppable: bool, dropped: int, paused: str, elsewhere: str = ""
    ) -> None:
        """Show what the next request waits for, if for anything: `ahead` says so; and `paused`, why
        requests are refused. `dropped` counts the waiting jobs that went;
        `elsewhere` is another tab in which something runs.
        """
        self.generate.description = "Queue" if ahead else self._word
        self.generate.icon = "plus" if ahead else "play"
        self.generate.disabled = self.live.disabled = bool(paused)
        self.stop.disabled = not stoppable
        self._elsewhere = elsewhere
        self._there.layout.display = "" if elsewhere and not (paused or dropped) else "none"
        gone = f"{dropped} waiting, dropped" if dropped else ""
        self.message.value = html.escape(paused or gone or ahead)
