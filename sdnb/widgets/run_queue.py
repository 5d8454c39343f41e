"""The jobs of one panel: the one that runs and those that wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from sdnb.images.result import Result
from sdnb.jobs.executor import DONE, RUNNING, STOPPED, WAITING, Executor, Job
from sdnb.request import Request
from sdnb.widgets.actions import Actions
from sdnb.widgets.ahead import jobs_of, line_of
from sdnb.widgets.progress import ProgressView
from sdnb.widgets.waiting_list import WaitingList, in_a_line


class RunQueue:
    """Gives requests to `executor`, and shows the state of their jobs on `actions` and `progress`;
    those that wait are a list, `waiting`.

    `began` is called when a job starts, `took` with each result, the one before it of the same
    job and how many pictures the job makes, both in the job's thread: of several pictures, each is
    taken when it is finished. `owner` is how the others are told whose jobs they are, such as
    "inpaint".
    """

    def __init__(
        self,
        executor: Executor,
        actions: Actions,
        progress: ProgressView,
        began: Callable[[], None],
        took: Callable[[Result, Result | None, int], None],
    ) -> None:
        self.executor = executor
        self.owner = ""
        self.has_tabs = False  #: whether there are others, by which their runs are called
        self.jobs: list[Job] = []  # running and waiting, in order
        self.more_to_stop: Callable[[], bool] = lambda: False  #: whether Stop ends more than jobs
        self.paused = ""  # why requests are refused; "" if they are not
        self.waiting = WaitingList(self.drop, self.clear)
        self._actions, self._progress = actions, progress
        self._began, self._took = began, took
        self._lock = threading.RLock()
        # Held alone while the buttons are set: other queues tell this one what they have done.
        self._showing = threading.Lock()
        self._taken: dict[Job, Result] = {}  # of each job, what was taken last
        self._dropped = 0  # how many waiting jobs `stop` dropped
        self._cut = False  # whether a running job was ended: its progress line stays in sight
        line_of(executor).heard(self.show_line)
        self.show_line()

    @property
    def running(self) -> bool:
        with self._lock:
            return bool(self.jobs)

    def submit(self, request: Request, then: Callable[[Result], None] | None = None) -> Job | None:
        """Queue a request. If it is refused, show why on the progress view and return None."""
        self._progress.forget_problem()
        self._dropped, self._cut = 0, False
        if self.paused:
            self._progress.complain(RuntimeError(self.paused))
            return None
        try:
            job = self.executor.submit(request, partial(self._watch, then))
        except RuntimeError as error:
            self._progress.complain(error)
            return None
        line_of(self.executor).own(job, self.owner)
        self._track(job)
        self._show_counts()  # it may have begun before it was known whose it is
        return job

    def stop(self) -> None:
        """End the running job within a second, and drop those that wait."""
        with self._lock:
            jobs = self.jobs
            if not jobs:
                return
            waiting = sum(job.state == WAITING for job in jobs)
            self._cut = waiting < len(jobs)
            self._dropped = waiting if self._cut else waiting - 1
            self._progress.say("stopping")
            for job in jobs:  # a worker's waiting jobs end at once
                job.stop()
            self._show_counts()

    def skip(self) -> None:
        """End what runs, or is next in line, within a second; what waits goes on."""
        with self._lock:
            for job in self._now():
                self.drop(job)

    def drop(self, job: Job) -> None:
        """End this job, or take it out of those that wait; the others go on."""
        with self._lock:
            if job not in self.jobs:
                return  # it has ended meanwhile
            if job.state == RUNNING:
                self._cut = True
                self._progress.say("stopping")
            job.stop()
            self._show_counts()

    def clear(self) -> None:
        """Take out all that wait; what runs goes on."""
        with self._lock:
            for job in self._behind():
                self.drop(job)

    def forget_stopped(self) -> None:
        """Say no more of a run that was stopped or failed, once none is there: others came."""
        if not self.running:
            self._progress.clear()

    def pause(self, why: str) -> None:
        """Stop, and refuse requests until `serve`; `why` is shown beside the buttons."""
        self.stop()
        self.paused = why
        self._show_counts()

    def serve(self, executor: Executor) -> None:
        """Stop, and run with this executor from now on."""
        self.stop()
        if executor is not self.executor:
            line_of(executor).heard(self.show_line)
        self.executor, self.paused = executor, ""
        self._show_counts()

    # -- in the job's own thread -------------------------------------------------------------

    def _watch(self, then: Callable[[Result], None] | None, job: Job) -> None:
        self._track(job)
        if job.state == RUNNING and job.progress is None:
            self._cut = False
            self._show_counts()
            self._began()
        never_begun = job.state in (STOPPED, WAITING) and job.progress is None
        last = job.state == STOPPED and not self.jobs
        if not never_begun or (last and not self._cut):
            self._progress.watch(job)
        self._take(job)
        if job.state == RUNNING and job.progress is not None:
            line_of(self.executor).tick()
        if job.state == STOPPED and not never_begun:
            self._offer_again(job, then)
        if job.state == DONE and job.result is not None and then is not None and not job.stopping:
            then(job.result)
        with self._lock:
            if job.ended and self.jobs and self._behind_others(self.jobs[0]):
                self._say_waiting()

    def _offer_again(self, job: Job, then: Callable[[Result], None] | None) -> None:
        """Offer the rest of a stopped job: the picture that was under way, and those after it."""
        made, request = len(job.so_far.images) if job.so_far else 0, job.request
        if request.seed is None or made == request.count:
            return
        rest = request.but(seed=request.seed + made, count=request.count - made)
        self._progress.after_stop.offer(
            request.seed + made, lambda: self.submit(rest, then), rest=rest.count, of=request.count
        )

    def _take(self, job: Job) -> None:
        """Take what is finished, whatever becomes of the rest."""
        result, before = job.so_far, self._taken.get(job)
        if result is not None and result is not before:
            self._taken[job] = result
            self._took(result, before, job.request.count)
        if job.ended:
            self._taken.pop(job, None)

    def _track(self, job: Job) -> None:
        """Keep the list of jobs, and the buttons, up to date."""
        with self._lock:
            if job.ended:
                self.jobs = [other for other in self.jobs if other is not job]
            elif job not in self.jobs:
                self.jobs = [*self.jobs, job]
                if len(self.jobs) == 1 and self._behind_others(job):
                    self._progress.watch(job)  # no running job of this panel needs the view
                    self._say_waiting()
            else:
                return
            self._show_counts()

    def _behind_others(self, job: Job) -> bool:
        """Whether a job of another panel runs first."""
        jobs = jobs_of(self.executor)
        return job.state == WAITING and jobs is not None and jobs[:1] != (job,)

    def _say_waiting(self) -> None:
        """Say for what the first job waits: it runs in another tab, or another cell."""
        ahead, line = (jobs_of(self.executor) or ())[:1], line_of(self.executor)
        what = "".join(f"{line.named(job)}: {in_a_line(job.request)}" for job in ahead)
        self._progress.say(f"waiting for {what or 'another run'}")

    def _show_counts(self) -> None:
        with self._lock:
            self.waiting.show(self._now(), self._behind())
            line_of(self.executor).tell()

    def show_line(self) -> None:
        """Show on the buttons what is ahead, of this panel and of all others."""
        with self._showing:
            mine, line = self.jobs, line_of(self.executor)
            jobs = jobs_of(self.executor)
            if jobs is None:  # several may run at once
                waiting = sum(job.state == WAITING and not job.stopping for job in mine)
                ahead, elsewhere = f"{waiting} waiting" if waiting else "", ""
            else:
                ahead, (elsewhere, at) = line.words(jobs, mine), line.elsewhere(jobs, mine)
                if elsewhere and self.has_tabs and len(jobs) < 2:
                    ahead = f"{elsewhere}: {at or 'at work'}"
            stoppable = self.more_to_stop() or any(not job.stopping for job in self._now())
            self._actions.show(
                ahead,
                stoppable=stoppable,
                dropped=self._dropped,
                paused=self.paused,
                elsewhere=elsewhere if self.has_tabs else "",
            )

    def _now(self) -> list[Job]:
        """The jobs that run; if none does, the one that is next in line."""
        return [job for job in self.jobs if job.state == RUNNING] or self.jobs[:1]

    def _behind(self) -> list[Job]:
        """The jobs that wait behind those."""
        now = self._now()
        return [job for job in self.jobs if job not in now and not job.stopping]
