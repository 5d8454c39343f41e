"""Live in a panel: a switch; while it is on, each change of a control asks for the picture anew."""

from __future__ import annotations

import html
import secrets
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import ipywidgets as widgets

from sdnb.images.result import Progress, Result
from sdnb.jobs.executor import Job, Watch
from sdnb.jobs.live import Live
from sdnb.request import Request, Resolved
from sdnb.request.quick_enough import too_slow
from sdnb.widgets.ahead import jobs_of, line_of
from sdnb.widgets.buttons import text_button
from sdnb.widgets.engine_door import for_few_steps
from sdnb.widgets.form.form import Form
from sdnb.widgets.jpegs import enlarged
from sdnb.widgets.outcome import Outcome
from sdnb.widgets.pause import Pause
from sdnb.widgets.plan_line import PlanLine
from sdnb.widgets.progress import PREVIEW_SIDE, ErrorBox, Throttle
from sdnb.widgets.run_queue import RunQueue
from sdnb.widgets.style import quiet_line, row
from sdnb.widgets.way_back import SeedCame

if TYPE_CHECKING:
    from sdnb.engine.model import Model

_PAUSE = 0.3  # seconds without a key: then a word is asked for that may go on
_LIVELY = "sdnb-lively"  # in one column, what has this class is above the controls
_PREVIEW_EVERY = 0.1  # seconds, after the first one of a run
_PREVIEW_SHARE = 0.05  # of the time of all runs


class LiveMode:
    """`switch` is the button that switches it. `line`, above the picture, says how quick it is and
    has the button that keeps the picture; `below` says why it is not quick, or what failed.

    `asked` gives the request of `form`, and raises ValueError where it cannot run. What runs, runs
    on the executor of `queue`, beside the jobs there, and `outcome` takes what comes of it. `plan`
    is told when it is on. `began` is called when somebody switched it on.
    """

    def __init__(
        self, switch: widgets.ToggleButton, form: Form, queue: RunQueue, *, outcome: Outcome,
        plan: PlanLine, asked: Callable[[], Resolved], began: Callable[[], object], model: Model,
    ) -> None:  # fmt: skip
        self._switch = switch
        self._form, self._queue, self._outcome, self._plan = form, queue, outcome, plan
        self._view, self._asked, self._began = outcome.view, asked, began
        self._lock = threading.RLock()
        self._last: Resolved | None = None  # what was asked for; None: the next one is, whatever
        self._looked: Request | None = None  # the controls as they were at the last look
        self._seed_before: int | None = None  # when it was switched on
        self._composing = False
        self._is_first = True  # whether the next preview is the first of its run
        self._fast = ""
        self._live = Live(
            self._submit,
            result=self._took,
            error=self._failed,
            preview=self._preview,
            began=self._has_begun,
        )
        self._pause = Pause(_PAUSE, self._ask)
        self._previews = Throttle(_PREVIEW_EVERY, _PREVIEW_SHARE)
        self._build()
        self.serve(model)
        queue.more_to_stop = lambda: self.on

    @property
    def on(self) -> bool:
        """Whether it is switched on; to assign is to switch it."""
        return bool(self._switch.value)

    @on.setter
    def on(self, value: bool) -> None:
        self._switch.value = value

    @property
    def busy(self) -> bool:
        """Whether a picture of it is being made."""
        return self._live.busy

    def serve(self, model: Model) -> None:
        """Judge by this model from now on, and preview by it."""
        self._model = model

    def look(self) -> None:
        """A control has changed, by whoever: ask for its picture, if it is on. Of words that are
        being typed, at the end of each and at a pause.
        """
        self._seed_stays.look(self._form.seed.value)
        if not self.on or self._composing:
            return
        if self._is_in_a_word():
            self._pause.begin()
        else:
            self._pause.forget()
            self._ask()

    def compose(self, composing: bool) -> None:
        """Somebody composes a letter of several keys, which are in the box first; or no more."""
        self._composing = composing
        self.look()

    def rest(self) -> None:
        """Stop what runs, and ask for nothing until a control changes: something else runs now."""
        self._pause.forget()
        self._live.stop()
        self._last = None

    def forget(self) -> None:
        """Offer to keep the last picture no more: another one comes."""
        self._outcome.live = None
        if not self.on:
            self._view.remove_class(_LIVELY)
        self._show_keep()

    # -- building --------------------------------------------------------------------------------
    def _build(self) -> None:
        self._switch.observe(lambda _: self._switched(), "value")
        self._words = quiet_line()
        self._words.layout.flex = "1 1 0"
        tip = "Put this picture into the gallery, which saves it as all others"
        self._keep = text_button("Keep", "star", tip, self._kept)
        self._slow = widgets.HTML(layout=widgets.Layout(display="none"))
        self._problem = ErrorBox()
        self._wrong = False  # whether that is the controls' fault
        self._seed_stays = SeedCame(lambda: self._form.change(seed=None))
        self._head = row([self._words, self._keep], flex_flow="row nowrap")
        self.line = widgets.VBox([self._head, self._seed_stays])
        # Below the picture: what comes and goes there moves it by nothing.
        self.below = widgets.VBox([self._slow, self._problem])
        for part in (self.line, self.below):
            part.add_class(_LIVELY)
        self._show_keep()

    def _say(self, words: str) -> None:
        self._words.value = f'<span role="status">{html.escape(words)}</span>' if words else ""

    def _show_keep(self) -> None:
        there = self._outcome.live is not None
        self._keep.disabled = not there
        if there:
            self._keep.description = "Keep"
        self._head.layout.display = "" if self.on or there else "none"

    # -- what a person does ----------------------------------------------------------------------
    def _switched(self) -> None:
        self._plan.only_time = self.on
        if self.on:
            self._began()
        with self._lock:  # else a picture that comes now would be shown as one of live
            self._problem.hide()
            self._slow.layout.display = "none"
            if self.on:
                self._start()
            else:
                self._end()
            self._show_keep()
        self._queue.show_line()

    def _start(self) -> None:
        self._seed_stays.forget()
        self._view.add_class(_LIVELY)
        self._last = self._looked = None
        self._fast = for_few_steps(self._model)
        self._say("The first picture is on its way.")
        self._seed_before = self._form.seed.value
        self._lock_seed(new=False)
        self.look()

    def _end(self) -> None:
        self.rest()
        self._view.settle()
        self._say("The last picture of live.")
        self._seed_stays.tell(self._form.seed.value, self._seed_before, "stays from live")

    def _lock_seed(self, *, new: bool) -> None:
        """Lock the last seed where it is open, or a new one: somebody opened it to have another."""
        if self._form.seed.value is None:
            last = None if new else self._form.seed.last
            self._form.change(seed=secrets.randbits(32) if last is None else last)

    def _kept(self) -> None:
        self._outcome.keep_live()
        self._keep.description = "Kept"
        self._show_keep()

    def _is_in_a_word(self) -> bool:
        """Whether nothing has changed since the last look but words, and none is at its end."""
        try:
            before, now = self._looked, self._form.request
        except ValueError:  # which is said when it is asked for
            return False
        self._looked = now
        if before is None or before == now:
            return False
        if replace(before, prompt=now.prompt, negative=now.negative) != now:
            return False
        return not (
            ends_a_word(before.prompt, now.prompt) or ends_a_word(before.negative, now.negative)
        )

    # -- asking ----------------------------------------------------------------------------------
    def _ask(self) -> None:
        """Ask for what the controls say now, if that is new and comes quickly enough."""
        with self._lock:
            if not self.on or self._queue.paused:
                return
            self._lock_seed(new=True)
            try:
                request = replace(self._asked(), count=1)
            except (ValueError, TypeError) as error:
                self._last, self._wrong = None, True
                self._problem.complain(error)
                return
            if self._wrong:
                self._problem.hide()
            if request == self._last:
                return
            self._last = None
            if self._is_slow(request):
                self._live.stop()
                return
            try:
                self._live.ask(request)
            except RuntimeError as error:  # the executor was shut down
                self._failed(error)
                return
            self._last = request
            self._say_waiting()

    def _is_slow(self, request: Resolved) -> bool:
        """Say so where a picture takes too long to be made at each change."""
        why = too_slow(request, self._model.pace, self._form.settings, fast=self._fast)
        if why:  # a computer that was busy for a moment is not slow for ever
            why += " Generate makes it all the same, and measures again."
        self._slow.value = (
            f'<div class="sdnb-warn" role="status">{html.escape(why)}</div>' if why else ""
        )
        self._slow.layout.display = "" if why else "none"
        return bool(why)

    def _submit(self, request: Request, watch: Watch) -> Job:
        executor = self._queue.executor
        job = executor.submit(request, watch)
        line_of(executor).pass_by(job)
        return job

    def _say_waiting(self) -> None:
        """Say what runs before, if anything but live does."""
        executor = self._queue.executor
        for job in (jobs_of(executor) or ())[:1]:
            self._say(f"Waiting for {line_of(executor).named(job, self._queue.jobs)}.")

    # -- in the job's thread ---------------------------------------------------------------------
    def _has_begun(self, _: Request) -> None:
        self._is_first = True

    def _preview(self, progress: Progress) -> None:
        """Show a preview, the first of each run at any rate."""
        asked = self._last
        if not (self.on and asked and (self._is_first or self._previews.due())):
            return
        if asked.padding is not None and asked.mask is not None:
            return  # it is one of the masked part alone, which has another place
        began = self._previews.now()
        small = self._model.preview(progress.latent)
        share = progress.step / max(progress.total, 1)
        self._view.show_coming(enlarged(small, PREVIEW_SIDE), small.width * 8, share)
        self._is_first = False
        self._previews.spent(began)

    def _took(self, result: Result) -> None:
        with self._lock:
            if not self.on:
                return
            self._outcome.take_live(result)
            self._problem.hide()
            self._say(f"Live: {result.seconds:.1f} s a picture.")
            self._show_keep()
            self._is_slow(result.request.resolved(self._form.settings))

    def _failed(self, error: BaseException) -> None:
        """Say it once: it stays until there is a picture again, and the next change tries."""
        with self._lock:
            self._last, self._wrong = None, False
            if self.on:
                self._problem.complain(error)


def ends_a_word(before: str, after: str) -> bool:
    """Whether the change of a text ends a word: what was put in ends with a space or a comma."""
    start, most = _alike(before, after), min(len(before), len(after))
    end = min(_alike(before[::-1], after[::-1]), most - start)
    put = after[start : len(after) - end]
    return put[-1:].isspace() or put.endswith(",")


def _alike(one: str, other: str) -> int:
    """How many letters two texts begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
