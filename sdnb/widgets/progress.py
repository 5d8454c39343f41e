"""The progress of a run: a bar, a line, a preview of the picture, and the error if it failed.

The job's own thread writes all of it, a few times a second at most: the browser keeps up, and the
run loses less than 3 % of its time.
"""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
from PIL import Image

from sdnb.images.result import Progress
from sdnb.jobs.executor import DONE, FAILED, STOPPED, WAITING, Job
from sdnb.request import Request
from sdnb.request.pace import in_words
from sdnb.widgets.after_stop import AfterStop
from sdnb.widgets.jpegs import enlarged, jpeg
from sdnb.widgets.style import box, quiet_line

Left = Callable[[Request, Progress], float | None]  # a run's seconds to its end, where known
Preview = Callable[[Any], Image.Image]  # a latent [b, 4, h/8, w/8] to a small picture
# The same to one of full size; None where nothing makes one.
FullPreview = Callable[[Any], Image.Image | None]

_BAR_EVERY = 0.1  # seconds between two updates of the bar
_PREVIEW_EVERY = 0.25  # seconds between two previews, at least
_PREVIEW_SHARE = 0.02  # of a run's time that previews may take
PREVIEW_SIDE = 256  # pixels of a preview's JPEG; the browser shows it at the result's size
_FULL_SIDE = 1024  # and at most of that of a full preview
_FIRST_FULL = 2.0  # seconds of a run before the first of these, whose cost is not known yet
_STAYS = 2.0  # seconds that it is seen, before rough ones go on where the next one is not due yet


def line(progress: Progress, left: float | None) -> str:
    """ "step 7 of 25 · 3.2 s · about 8 s left", or without the `left` seconds."""
    words = [progress.where, f"{progress.seconds:.1f} s"]
    if left and not progress.waiting:
        words.append(f"{in_words(left)} left")
    return " · ".join(words)


def folded(trace: str) -> str:
    """HTML of a traceback behind a fold; "" for none."""
    text = html.escape(trace)
    return (
        f"<details><summary>where in the code</summary><pre>{text}</pre></details>" if trace else ""
    )


def _which(job: Job) -> str:
    """ "picture 5 of 8 · " where there are several."""
    count, made = job.request.count, len(job.so_far.images) if job.so_far else 0
    return f"picture {min(made + 1, count)} of {count} · " if count > 1 else ""


class Throttle:
    """Limits work to once in `every` seconds, and to a `share` of the time; `wait` is how long
    `rest` waits before any work.
    """

    def __init__(
        self, every: float, share: float = 1.0, clock: Callable[[], float] = time.perf_counter,
        wait: float = 0.0,
    ) -> None:  # fmt: skip
        self._every, self._share, self.now = every, share, clock
        self._wait, self._next = wait, -float("inf")

    def due(self) -> bool:
        return self.now() >= self._next

    def spent(self, began: float) -> None:
        """Note that work began at `began` and ends now; the next wait is in proportion to it."""
        self._wait = max(self._every, (self.now() - began) / self._share)
        self.rest()

    def rest(self, seconds: float | None = None) -> None:
        """Wait from now on so long, or as long as the last wait was."""
        self._next = self.now() + (self._wait if seconds is None else seconds)


class ErrorBox(widgets.HTML):
    """A red box for an error, hidden until there is one; screen readers announce it at once."""

    def __init__(self) -> None:
        super().__init__(layout=widgets.Layout(display="none"))

    def show(self, body: str) -> None:
        self.value = f'<div class="sdnb-error" role="alert">{body}</div>'
        self.layout.display = ""

    def show_error(self, error: BaseException) -> None:
        """Show the error's message, with its line breaks."""
        self.show(html.escape(str(error)).replace("\n", "<br>"))

    def complain(self, error: BaseException, trace: str = "") -> None:
        """Show an error's message, and its traceback folded below."""
        words = str(error)
        if " " not in words:  # as a KeyError's, which say nothing alone
            words = f"{type(error).__name__}: {words}".removesuffix(": ")
        self.show(f"{html.escape(words)}{folded(trace)}")

    def hide(self) -> None:
        self.layout.display = "none"


class ProgressView(widgets.VBox):
    """Bar and line of one job after the other; an executor calls `watch`.

    `picture` shows the preview; the owner of the view lays it out. `left` says how long a run still
    takes. Each kind of preview takes 2 % of a run's time at most: a run has rough ones while none
    of full size is due, which is when that has been earned; how long it takes, the first one shows.
    While `wanted` says no, there are none.
    """

    def __init__(
        self,
        preview: Preview | None = None,
        left: Left = lambda *_: None,
        full_preview: FullPreview | None = None,
    ) -> None:
        self.preview_of, self._left, self.full_preview_of = preview, left, full_preview
        self.wanted: Callable[[], bool] = lambda: True
        self._bar = widgets.FloatProgress(max=1.0, layout=widgets.Layout(width="auto"))
        self._bar.add_class("sdnb-thin")
        self._line = quiet_line()
        self._line.add_class("sdnb-line")
        self.picture = widgets.Image(format="jpeg", layout=widgets.Layout(display="none"))
        self.picture.add_class("sdnb-picture")
        self.after_stop = AfterStop()
        self._problem = ErrorBox()
        self._refused = ""  # what of it the controls are to blame for
        said = box("sdnb-run-line", [self._line, self.after_stop])
        super().__init__([self._bar, said, self._problem])
        self.add_class("sdnb-run")
        self._bars = Throttle(_BAR_EVERY)
        self._previews = Throttle(_PREVIEW_EVERY, _PREVIEW_SHARE)
        self._full_previews = Throttle(_PREVIEW_EVERY, _PREVIEW_SHARE, wait=_FIRST_FULL)
        self._has_full = full_preview is not None  # false in a run where none came, too
        # How many previews were sent, and what they cost: `sdnb bench widgets` reads this.
        self.previews = 0
        self.preview_seconds = 0.0
        self.preview_bytes = 0
        self.clear()

    @property
    def line(self) -> str:
        return html.unescape(str(self._line.value))

    @property
    def problem(self) -> str:
        """The HTML of the last failure; "" when there was none."""
        return str(self._problem.value)

    def clear(self) -> None:
        """Reset to the state before the first job."""
        self._show_bar(0.0, "", "")
        self._bar.layout.visibility = "hidden"
        self.after_stop.forget()
        self.forget_problem()
        self.picture.layout.display = "none"

    def watch(self, job: Job) -> None:
        if job.ended:
            self._finish(job)
        elif job.progress is None:
            self._begin(job)
        else:
            self._step(job, job.progress)

    def say(self, words: str) -> None:
        self._line.value = html.escape(words)

    def complain(self, error: BaseException, trace: str = "") -> None:
        """Show an error's message, and its traceback folded below."""
        self._problem.complain(error, trace)
        self._refused = ""

    def refuse(self, error: Exception) -> None:
        """Show why the controls ask for what cannot run."""
        self.complain(error)
        self._refused = str(error)

    def look_again(self, check: Callable[[], object]) -> None:
        """Hide that, if `check` raises it no longer."""
        if not self._refused:
            return
        try:
            check()
        except (ValueError, TypeError) as error:
            if str(error) == self._refused:
                return
        self.forget_problem()

    def forget_problem(self) -> None:
        self._problem.value = self._refused = ""
        self._problem.hide()

    def _begin(self, job: Job) -> None:
        self.after_stop.forget()
        self.forget_problem()
        self._full_previews.rest()
        self._has_full = self.full_preview_of is not None
        words = "waiting for another run" if job.state == WAITING else "preparing"
        self._show_bar(0.0, "", words)
        self._bar.layout.visibility = "visible"

    def _step(self, job: Job, progress: Progress) -> None:
        if self._bars.due():
            began = self._bars.now()
            self._bar.value = progress.step / max(progress.total, 1)
            words = f"{_which(job)}{line(progress, self._left(job.request, progress))}"
            self.say("stopping" if job.stopping else words)
            self._bars.spent(began)
        if progress.latent is not None and self.preview_of is not None and self.wanted():
            if self._has_full and self._full_previews.due():
                self._show_preview(self.preview_of, progress.latent, self.full_preview_of)
            elif self._previews.due():
                self._show_preview(self.preview_of, progress.latent)

    def _show_preview(
        self, preview: Preview, latent: Any, full_preview: FullPreview | None = None
    ) -> None:
        asked = self._previews.now()
        small = preview(latent)  # on CUDA this waits for the step, which costs nothing
        began = self._previews.now()
        full = full_preview(latent) if full_preview else None
        if full is not None:
            data = jpeg(full, _FULL_SIDE)
        else:
            self._has_full = self._has_full and full_preview is None
            data = enlarged(small, PREVIEW_SIDE)
        self._put(data, (small.width * 8, small.height * 8))
        if full is None:
            self._previews.spent(began)
        else:
            self._full_previews.spent(began)
            self._previews.rest(_STAYS)
        self.previews += 1
        self.preview_bytes += len(data)
        self.preview_seconds += self._previews.now() - asked

    def _finish(self, job: Job) -> None:
        if job.state != DONE and job.so_far:  # what is finished is in sight again
            self.picture.value = b""
        progress = job.progress
        share = progress.step / max(progress.total, 1) if progress else 0.0
        begun = progress is not None and not progress.waiting
        at = f" at step {progress.step} of {progress.total}" if progress and begun else ""
        if job.state == FAILED and job.error is not None:
            self._show_bar(share, "danger", f"failed{at}")
            self.complain(job.error, job.traceback)
        elif job.state == STOPPED:
            never = "" if at or job.so_far else " before it began"
            self._show_bar(share, "warning", f"stopped{at}{never}")
        else:
            self._show_bar(1.0, "success", "")
            self._bar.layout.visibility = "hidden"

    def _show_bar(self, share: float, style: str, words: str) -> None:
        self._bar.value, self._bar.bar_style = share, style
        self.say(words)

    def _put(self, data: bytes, size: tuple[int, int]) -> None:
        self.picture.layout.width = f"{size[0]}px"
        # Of what the browser has not read yet it knows the shape: nothing below moves.
        self.picture.width, self.picture.height = map(str, size)
        self.picture.value = data
        self.picture.layout.display = ""
