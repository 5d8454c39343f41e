"""Live in a panel: a switch; while it is on, each change of a control asks for the picture anew."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import ipywidgets as widgets

from sdnb.images.result import Result
from sdnb.request import Request, Resolved
from sdnb.request.quick_enough import Quicker
from sdnb.widgets.buttons import text_button
from sdnb.widgets.form.form import Form
from sdnb.widgets.live_line import LiveLine
from sdnb.widgets.live_runs import LiveRuns
from sdnb.widgets.outcome import Outcome
from sdnb.widgets.plan_line import PlanLine
from sdnb.widgets.run_queue import RunQueue
from sdnb.widgets.way_back import SeedCame

if TYPE_CHECKING:
    from sdnb.engine.model import Model

_LIVELY = "sdnb-lively"  # in one column, what has this class is above the controls


class LiveMode(LiveRuns):
    """`switch` is the button that switches it. `line`, above the picture, says how quick it is, or
    why not, and has the button that keeps the picture; `below` says what failed, and which seed
    stays.

    `asked` gives the request of `form`, and raises ValueError where it cannot run. What runs, runs
    on the executor of `queue`, beside the jobs there, and `outcome` takes what comes of it. `plan`
    is told when it is on. `began` is called when somebody switched it on, and `take` with what
    would make a picture quick, where somebody wants that.
    """

    def __init__(
        self, switch: widgets.ToggleButton, form: Form, queue: RunQueue, *, outcome: Outcome,
        plan: PlanLine, asked: Callable[[], Resolved], began: Callable[[], object],
        take: Callable[[Quicker], object], model: Model,
    ) -> None:  # fmt: skip
        super().__init__(switch, form, queue, model)
        self._outcome, self._plan, self._view = outcome, plan, outcome.view
        self._asked, self._began = asked, began
        self._seed_before: int | None = None  # when it was switched on
        self._locked: int | None = None  # the seed that it found open
        self._build(take)
        queue.more_to_stop = lambda: self.on

    def look(self) -> None:
        """A control has changed, by whoever: ask for its picture, if it is on. Of words that are
        being typed, at the end of each and at a pause.
        """
        self._seed_stays.look(self._form.seed.value)
        super().look()

    def as_before(self, request: Request) -> Request:
        """The request without a seed that live has locked, and not a person."""
        is_lent = self._locked is not None and request.seed == self._locked
        return request.but(seed=None) if is_lent else request

    def end(self) -> None:
        """Somebody stops what runs: it is switched off."""
        self.on = False

    def forget(self) -> None:
        """Offer to keep the last picture no more: another one comes."""
        self._outcome.live = None
        if not self.on:
            self._view.remove_class(_LIVELY)
        self._show_keep()

    # -- building --------------------------------------------------------------------------------
    def _build(self, take: Callable[[Quicker], object]) -> None:
        tip = "Put this picture into the gallery, which saves it as all others"
        self._keep = text_button("Keep", "star", tip, self._kept)
        self._seed_stays = SeedCame(lambda: self._form.change(seed=None))
        self.head = LiveLine(take, self._keep)
        self.line = widgets.VBox([self.head])
        self.below.children = (*self.below.children, self._seed_stays)
        for part in (self.line, self.below):
            part.add_class(_LIVELY)
        self._show_keep()

    def _show_keep(self) -> None:
        there = self._outcome.live is not None
        self._keep.disabled = not there
        if there:
            self._keep.description = "Keep"
        self.head.layout.display = "" if self.on or there else "none"

    # -- what a person does ----------------------------------------------------------------------
    def _switched(self) -> None:
        self._plan.only_time = self.on
        if self.on:
            self._began()
        with self._lock:  # else a picture that comes now would be shown as one of live
            self._say_nothing()
            if self.on:
                self._start()
            else:
                self._end()
            self._show_keep()
        self._queue.show_line()

    def _start(self) -> None:
        self._seed_stays.forget()
        self._view.add_class(_LIVELY)
        self._looked, self._goes = None, False
        self.head.say("The first picture is on its way.")
        self._seed_before = self._form.seed.value
        self._lock_seed(new=False)
        self.look()

    def _end(self) -> None:
        self.rest()
        self._view.settle()
        self.head.say("The last picture of live.")
        self._seed_stays.tell(self._form.seed.value, self._seed_before, "stays from live")

    def _lock_seed(self, *, new: bool) -> None:
        """Lock the last seed where it is open, or a new one: somebody opened it to have another."""
        if self._form.seed.value is None:
            last = None if new else self._form.seed.last
            self._locked = secrets.randbits(32) if last is None else last
            self._form.change(seed=self._locked)

    def _kept(self) -> None:
        self._outcome.keep_live()
        self._keep.description = "Kept"
        self._show_keep()

    # -- asking ----------------------------------------------------------------------------------
    def _wanted(self) -> Resolved:
        """What the controls say now; of several pictures the first."""
        self._lock_seed(new=True)
        return replace(self._asked(), count=1)

    # -- in the job's thread ---------------------------------------------------------------------
    def _show_coming(self, preview: bytes, width: int, share: float) -> None:
        self._view.show_coming(preview, width, share)

    def _expect(self, *, coming: bool) -> None:
        self._view.expect(coming)

    def _took(self, result: Result) -> None:
        self._outcome.take_live(result)
        self.head.say(f"Live: {result.seconds:.1f} s a picture.")
        self._show_keep()
