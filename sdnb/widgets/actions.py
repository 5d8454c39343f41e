"""A panel's buttons Generate and Stop, and the text beside them: how many requests wait."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence

import ipywidgets as widgets

from sdnb.jobs.executor import Job
from sdnb.widgets.style import box, quiet_line, shared


class Actions(widgets.VBox):
    """Two buttons that call `generate` and `stop`; `show` updates them. `beside` stands beside
    Stop, and `below` under both.
    """

    def __init__(
        self,
        generate: Callable[[], object],
        stop: Callable[[], object],
        beside: widgets.Widget,
        below: widgets.Widget,
    ) -> None:
        self.generate = widgets.Button(
            description="Generate", button_style="primary", icon="play",
            style=shared(widgets.ButtonStyle),
            tooltip="Make the picture (Ctrl+Enter); pressed again, the next one waits its turn",
        )  # fmt: skip
        self.generate.add_class("sdnb-generate")  # by which `keys.js` finds it
        self.stop = widgets.Button(
            description="Stop", icon="stop", disabled=True,
            tooltip="End what runs at once, and keep what is finished; what waits is next",
        )  # fmt: skip
        self.generate.on_click(lambda _: generate())
        self.stop.on_click(lambda _: stop())
        self.message = quiet_line()
        self.generate.add_class("sdnb-main")
        row = box("sdnb-beside", [self.stop, beside])
        super().__init__([self.generate, row, below, self.message])
        self.add_class("sdnb-actions")

    def show(self, now: Sequence[Job], waiting: int, dropped: int, paused: str) -> None:
        """Show how many wait; `now` are the jobs that run, or are next in line.

        `dropped` counts the waiting jobs that went with them; `paused` says why requests are
        refused.
        """
        self.generate.description = "Queue another" if now else "Generate"
        self.generate.disabled = bool(paused)
        self.stop.disabled = all(job.stopping for job in now)
        gone = f"{dropped} waiting, dropped" if dropped else ""
        self.message.value = html.escape(paused) or (f"{waiting} waiting" if waiting else gone)
