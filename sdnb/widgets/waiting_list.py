"""The queue as a list: what runs, what waits behind it, and buttons that take it out."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from functools import partial

import ipywidgets as widgets

from sdnb.jobs.executor import WAITING, Job
from sdnb.request import Request
from sdnb.request.plain_words import counted
from sdnb.widgets.buttons import text_button
from sdnb.widgets.style import quiet_line

_LINES = 10  # of jobs that wait; more are only counted
_NOW, _NEXT = "now: ", "next: "
_WORDS = 48  # characters of a prompt


class WaitingList(widgets.VBox):
    """A line for each job, hidden while none waits.

    `drop` is called with a job when its button is pressed, and `clear` when all that wait are to
    go.
    """

    def __init__(self, drop: Callable[[Job], object], clear: Callable[[], object]) -> None:
        self._drop, self._clear = drop, clear
        # A line belongs to one job for good: a click that comes late must not meet another job.
        self._lines: dict[tuple[Job, str], widgets.HBox] = {}
        self._foot: widgets.HBox | None = None  # made when something waits for the first time
        super().__init__(layout=widgets.Layout(display="none"))
        self.add_class("sdnb-waiting")

    def show(self, now: Sequence[Job], waiting: Sequence[Job]) -> None:
        """Show the jobs that run, or are next in line, and those that wait behind them."""
        shown = [(job, _NEXT if job.state == WAITING else _NOW) for job in now]
        shown += [(job, "") for job in waiting[:_LINES]]
        old, self._lines = self._lines, {}
        if waiting:
            self._lines = {key: old.get(key) or self._line(*key) for key in shown}
        self.children = (*self._lines.values(), *([self._last(len(waiting))] if waiting else []))
        self.layout.display = "" if waiting else "none"
        for key in old.keys() - self._lines.keys():
            for part in (*old[key].children, old[key]):
                part.close()

    def _line(self, job: Job, turn: str) -> widgets.HBox:
        what = in_a_line(job.request)
        if turn == _NOW:
            tip = f"As Stop: end {what} at once, and keep what is finished; what waits is next"
            button = text_button("Skip", "step-forward", tip, partial(self._drop, job))
        else:
            tip = f"Take {what} out of the queue"
            button = text_button("Remove", "times", tip, partial(self._drop, job))
        return _line(f"{turn}{what}", button)

    def _last(self, count: int) -> widgets.HBox:
        if self._foot is None:
            tip = "Take all that waits out of the queue; what runs goes on"
            self._foot = _line("", text_button("Remove all", "times", tip, self._clear))
        self._foot.children[0].value = f"and {count - _LINES} more" if count > _LINES else ""
        return self._foot


def in_a_line(request: Request) -> str:
    """A request in a few words: its prompt's beginning, size, steps and number of pictures."""
    words = " ".join(request.prompt.split())
    prompt = f"{words[: _WORDS - 1].rstrip()}…" if len(words) > _WORDS else words or "no prompt"
    size = f"{request.width} × {request.height}" if request.width and request.height else ""
    steps = counted(request.steps, "step") if request.steps else ""
    several = counted(request.count, "picture") if request.count > 1 else ""
    return " · ".join(filter(None, (prompt, size, steps, several)))  # what is open is not said


def _line(what: str, button: widgets.Button) -> widgets.HBox:
    words = quiet_line()
    words.value = html.escape(what)
    words.layout.flex, button.layout.flex = "1 1 0", "0 0 auto"
    return widgets.HBox([words, button], layout=widgets.Layout(align_items="center"))
