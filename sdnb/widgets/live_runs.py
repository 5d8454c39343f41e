"""The runs of live beside a panel's own: what is asked for, and what is said where none comes."""

from __future__ import annotations

import html
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import ipywidgets as widgets

from sdnb.images.result import Progress, Result
from sdnb.jobs.executor import Job, Watch
from sdnb.jobs.live import Live
from sdnb.request import Request, Resolved
from sdnb.request.quick_enough import TooSlow, too_slow
from sdnb.widgets.ahead import jobs_of, line_of
from sdnb.widgets.engine_door import for_few_steps
from sdnb.widgets.form.form import Form
from sdnb.widgets.jpegs import enlarged, jpeg
from sdnb.widgets.live_line import LiveLine
from sdnb.widgets.pause import Pause
from sdnb.widgets.progress import PREVIEW_SIDE, ErrorBox, Throttle
from sdnb.widgets.progress import line as how_far
from sdnb.widgets.run_queue import RunQueue
from sdnb.widgets.style import quiet_line

if TYPE_CHECKING:
    from sdnb.engine.model import Model

_PREVIEW_EVERY = 0.1  # seconds, after the first one of a run
_PREVIEW_SHARE = 0.05  # of the time of all runs
_FEW = 4  # steps; the first of so many shows all that will be in the picture
_PAUSE = 0.3  # seconds without a key: then a word is asked for that may go on


class LiveRuns:
    """While `switch` is on, asks for a picture at each change: `look` hears of those of `form`, and
    `ask` of any other. The newest wins. What runs, runs on the executor of `queue`.

    A subclass says what is asked for and what is shown; `line` stands above the picture, and in it
    `head`, which says why a picture takes too long. `below`, which stands below it, so that what
    comes there moves it by nothing, says what else would make it quick, or what failed.
    """

    line: widgets.Widget
    head: LiveLine

    #: The way to a picture that is not made live; the pace is measured again by it.
    ALL_THE_SAME: ClassVar[str] = "Generate makes it all the same, and measures again."

    def __init__(
        self, switch: widgets.ToggleButton, form: Form, queue: RunQueue, model: Model
    ) -> None:
        self._switch, self._form, self._queue = switch, form, queue
        self._lock = threading.RLock()
        self._last: Resolved | None = None  # what was asked for; None: the next one is, whatever
        self._looked: Request | None = None  # the controls as they were at the last look
        self._shows = False  # whether what comes is shown
        self._goes = False  # whether a picture has come since it was switched on
        self._tells = False  # whether it says how far what runs is: that takes long
        self._is_first = True  # whether the next preview is the first of its run
        self._had_full = False  # whether its run has had one of full size
        self._previews = Throttle(_PREVIEW_EVERY, _PREVIEW_SHARE)
        self._composing = False
        self._fast: str | None = None  # the model for few steps; None: nobody has looked yet
        self._live = Live(
            self._submit,
            result=self._came,
            error=self._failed,
            preview=self._preview,
            began=self._has_begun,
        )
        self._pause = Pause(_PAUSE, self.ask)
        self._quicker = quiet_line()
        self._quicker.layout.display = "none"
        self._problem = ErrorBox()
        self._wrong = False  # whether that is the controls' fault
        self.below = widgets.VBox([self._quicker, self._problem])
        self.below.add_class("sdnb-why")
        self.serve(model)
        switch.observe(lambda _: self._switched(), "value")

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
        self.rest()
        self._model, self._fast, self._goes = model, None, False

    def look(self) -> None:
        """A control has changed, by whoever: ask for its picture, if it is on. Of words that are
        being typed, at the end of each and at a pause.
        """
        if not self.on or self._composing:
            return
        if self._is_in_a_word():
            self._pause.begin()
        else:
            self._pause.forget()
            self.ask()

    def compose(self, composing: bool) -> None:
        """Somebody composes a letter of several keys, which are in the box first; or no more."""
        self._composing = composing
        self.look()

    def rest(self) -> None:
        """Stop what runs, and ask for nothing until something changes: something else runs now."""
        self._pause.forget()
        with self._lock:
            self._show_no_more()
            self._last = None
        self._live.stop()

    def as_before(self, request: Request) -> Request:
        """A request of the form, without what live alone has set in it."""
        return request

    def end(self) -> None:
        """Somebody stops what runs: rest, or be switched off."""
        self.rest()

    def forget(self) -> None:
        """Offer to keep the last picture no more: another one comes."""

    def ask(self, *, anyway: bool = False) -> None:
        """Ask for the present picture, if that is new and comes quickly enough; `anyway` also where
        it does not, or live is off.
        """
        with self._lock:
            if self._queue.paused or not (self.on or anyway):
                return
            try:
                request = self._wanted()
            except (ValueError, TypeError) as error:
                self._last, self._wrong = None, True
                self._complain(error)
                return
            if self._wrong:
                self._wrong = False
                self._problem.hide()
                self.head.recall()
            if request is None:
                self.rest()
                self._say_nothing()
            elif request != self._last:
                self._ask_for(request, anyway)

    # -- what a subclass says --------------------------------------------------------------------

    def _switched(self) -> None:
        """Called when it was switched on or off."""
        raise NotImplementedError

    def _wanted(self) -> Resolved | None:
        """The present request; None where there is nothing to make. Raises ValueError or TypeError
        where it cannot run.
        """
        raise NotImplementedError

    def _took(self, result: Result) -> None:
        """Show a result, in the thread that made it."""
        raise NotImplementedError

    def _show_coming(self, preview: bytes, width: int, share: float) -> None:
        """Show a preview, a JPEG of a picture so many pixels wide, over the picture: `share` of its
        run is done. In the thread that makes it.
        """
        raise NotImplementedError

    def _expect(self, *, coming: bool) -> None:
        """Show that the next picture is on its way, or no more."""
        raise NotImplementedError

    def _give_up(self) -> None:
        """Called where the present picture is too slow to be made by itself."""

    def _for_few_steps(self) -> str:
        """The name of the model to take where this one is slow; "" for none."""
        return for_few_steps(self._model)

    # -- inside ----------------------------------------------------------------------------------

    def _ask_for(self, request: Resolved, anyway: bool) -> None:
        self._last = None
        slow = self._is_slow(request)
        if slow and not anyway:
            self._show_no_more()
            self._live.stop()
            self._give_up()
            return
        self._last, self._shows = request, True
        self._tell(slow)
        try:
            self._live.ask(request)
        except RuntimeError as error:  # the executor was shut down
            self._failed(error)
            return
        if self._shows:  # an executor may have run it meanwhile
            self._expect(coming=self._live.busy)
        self._say_waiting()

    def _show_no_more(self) -> None:
        """Show nothing of what runs, which is to be stopped."""
        if self._shows:
            self._expect(coming=False)
            self._tell(False)
            self.head.recall()
        self._shows = False

    def _tell(self, tells: bool) -> None:
        """Say from now on how far what runs is, and let Stop stop it; or no more."""
        if tells != self._tells:
            self._tells = tells
            self._queue.show_line()

    def _say_nothing(self) -> None:
        """Take back why there was no picture."""
        self._problem.hide()
        self.head.recall()
        self._refuse(None)

    def _is_slow(self, request: Resolved) -> bool:
        """Say so where a picture takes too long to be made at each change."""
        if self._fast is None:
            self._fast = self._for_few_steps()
        pace, settings = self._model.pace, self._form.settings
        slow = too_slow(request, pace, settings, fast=self._fast, going=self._goes)
        self._refuse(slow)
        return slow is not None

    def _refuse(self, slow: TooSlow | None) -> None:
        self.head.refuse(slow)
        if slow is not None:  # a computer that was busy for a moment is not slow for ever
            self._quicker.value = html.escape(f"{slow.way_out} {self.ALL_THE_SAME}")
        self._quicker.layout.display = "none" if slow is None else ""

    def _complain(self, error: BaseException) -> None:
        """Say below the picture what is wrong, and above it that no picture comes."""
        self._problem.complain(error)
        self.head.interrupt("No picture comes: why stands below.")

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

    def _submit(self, request: Request, watch: Watch) -> Job:
        executor = self._queue.executor
        job = executor.submit(request, watch)
        line_of(executor).pass_by(job)
        return job

    def _say_waiting(self) -> None:
        """Say what runs before, if anything but live does."""
        executor = self._queue.executor
        for job in (jobs_of(executor) or ())[:1]:
            self.head.say(f"Waiting for {line_of(executor).named(job, self._queue.jobs)}.")

    # -- in the job's thread ---------------------------------------------------------------------

    def _has_begun(self, _: Request) -> None:
        self._is_first, self._had_full = True, False

    def _preview(self, progress: Progress) -> None:
        """Show a preview: the first of each run at any rate, and one of full size as soon as all
        that is in a picture is there, where the model has a tiny VAE for it: half-way, and where
        the steps are few after the first.
        """
        asked = self._last
        if self._shows and self._tells:
            self.head.interrupt(how_far(progress, None))
        there = 1 if progress.total <= _FEW else progress.total / 2
        whole = not self._had_full and there <= progress.step < progress.total
        if not (self._shows and asked and (self._is_first or whole or self._previews.due())):
            return
        if asked.padding is not None and asked.mask is not None:
            return  # it is one of the masked part alone, which has another place
        began = self._previews.now()
        full = self._model.full_preview(progress.latent) if whole else None
        if full is not None:
            preview, width, share = jpeg(full), full.width, 1.0
        else:
            small = self._model.preview(progress.latent)
            preview, width = enlarged(small, PREVIEW_SIDE), small.width * 8
            share = progress.step / max(progress.total, 1)
        with self._lock:  # else one that comes while it is stopped would stay over the picture
            if self._shows:
                self._show_coming(preview, width, share)
        self._is_first, self._had_full = False, self._had_full or whole
        self._previews.spent(began)

    def _came(self, result: Result) -> None:
        with self._lock:  # else one that comes while it is switched off would be shown
            if self._shows:
                self._problem.hide()
                self._queue.forget_stopped()
                self._tell(False)
                self._took(result)
                self._goes = True
                self._expect(coming=self._live.waits)
                self._is_slow(result.request.resolved(self._form.settings))

    def _failed(self, error: BaseException) -> None:
        """Say it once: it stays until there is a picture again, and the next change tries."""
        with self._lock:
            self._last, self._wrong = None, False
            if self._shows:
                self._expect(coming=False)
                self._tell(False)
                self._complain(error)


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
