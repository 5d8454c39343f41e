"""Live: whoever moves a control asks anew each time, and the newest request wins.

    live = Live(worker.submit, result=show, error=print)
    live.ask(request)                      # from any thread, as often as one likes
    live.stop()

One request runs and at most one waits, however many were asked for. What runs is stopped when a
newer one comes, inside a step where its executor can do that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from sdnb.jobs.executor import FAILED, Job, Watch

if TYPE_CHECKING:
    from sdnb.images.result import Progress, Result
    from sdnb.request import Request

T = TypeVar("T")

START, STOP, WAIT = "start", "stop", "wait"  # what is to be done now


class Newest(Generic[T]):
    """Which of the things that were asked for runs, and which waits: the newest one.

    It starts and stops nothing itself: `ask`, `saw` and `drop` say what is to be done, and `end`
    what is to start next. It knows no threads: its owner has a lock around each call.

    Who drags a slider asks sooner than anything can be seen. So a thing that follows one that was
    stopped unseen is stopped when something of it was seen, which is a step later at most.
    """

    def __init__(self) -> None:
        self.running: T | None = None
        self.waiting: T | None = None
        self.stopping = False  # whether what runs was told to stop
        self.dropped = False  # whether nobody wants to see it any more
        self._seen = False
        self._unseen_before = False  # whether the one before was stopped with nothing seen of it

    def ask(self, item: T) -> str:
        """Want this instead of all before. START it, STOP what runs, or WAIT."""
        if self.running is None:
            self._begin(item)
            return START
        self.waiting = item
        return self._look()

    def replace(self, item: T) -> None:
        """Want this in place of what is to run and has not begun; it keeps its turn."""
        self.running, self.waiting = item, None

    def saw(self) -> str:
        """Something of what runs was seen. STOP it, or WAIT."""
        self._seen = True
        return self._look()

    def end(self) -> T | None:
        """What ran has ended, in whatever way. The next to start, or None."""
        self._unseen_before = self.stopping and not (self._seen or self.dropped)
        item, self.waiting, self.running = self.waiting, None, None
        self.stopping = self.dropped = False
        if item is not None:
            self._begin(item)
        return item

    def drop(self) -> str:
        """Want nothing any more. STOP what runs, or WAIT for nothing."""
        self.waiting = None
        if self.running is None:
            return WAIT
        told, self.stopping, self.dropped = self.stopping, True, True
        return WAIT if told else STOP

    def _begin(self, item: T) -> None:
        self.running = item
        self.stopping = self.dropped = self._seen = False

    def _look(self) -> str:
        may = self._seen or not self._unseen_before
        if self.waiting is None or self.stopping or not may:
            return WAIT
        self.stopping = True
        return STOP


class Live:
    """Runs the newest request on an executor: `submit` is that of the executor.

    `preview` is called with each `Progress` that has a latent, `result` with the `Result`, `error`
    with what a run failed of, and `began` with the request when a run begins: all in the thread of
    the job, one after the other, and none of them for a run that `stop` ended. They must be quick,
    and may ask again. An error of theirs is the run's.
    """

    def __init__(
        self,
        submit: Callable[[Request, Watch], Job],
        *,
        result: Callable[[Result], object],
        error: Callable[[BaseException], object],
        preview: Callable[[Progress], object] = lambda _: None,
        began: Callable[[Request], object] = lambda _: None,
    ) -> None:
        self._submit = submit
        self._result, self._error, self._preview, self._began = result, error, preview, began
        self._lock = threading.RLock()
        self._newest: Newest[Request] = Newest()
        self._job: Job | None = None  # what runs, or is next in its executor's line

    @property
    def busy(self) -> bool:
        """Whether something runs or waits."""
        with self._lock:
            return self._newest.running is not None

    @property
    def waits(self) -> bool:
        """Whether something newer waits for what runs."""
        with self._lock:
            return self._newest.waiting is not None

    @property
    def job(self) -> Job | None:
        """The job that runs, or has its turn in the executor's line."""
        return self._job

    def ask(self, request: Request) -> None:
        """Want this request's picture, and no earlier one's any more. Raises as `submit` does."""
        with self._lock:
            fresh = self._job is not None and not self._newest.stopping
            if fresh and self._job is not None and self._job.renew(request):
                self._newest.replace(request)
                return
            self._act(self._newest.ask(request))

    def stop(self) -> None:
        """End what runs within a second, and forget what waits. Nothing of it is shown."""
        with self._lock:
            self._act(self._newest.drop())

    def _act(self, order: str) -> None:
        if order == START:
            self._start()
        elif order == STOP and self._job is not None:
            self._job.stop()

    def _start(self) -> None:
        """Submit what is to run. Raises as `submit` does; then nothing runs."""
        request = self._newest.running
        if request is None:
            return
        try:
            job = self._submit(request, self._watch)
        except BaseException:
            self._newest.end()
            raise
        if not job.ended:  # an executor may have run it meanwhile
            self._job = job

    # -- in the job's thread ----------------------------------------------------------------------

    def _watch(self, job: Job) -> None:
        with self._lock:
            self._job = job  # before `submit` has returned it
            wanted = not self._newest.dropped
        if job.state == FAILED and job.error is not None:
            try:
                if wanted:
                    self._error(job.error)
            finally:
                self._next()
            return
        if wanted:
            self._tell(job)  # if it raises, the job fails, and comes here again
        if job.ended:
            self._next()

    def _tell(self, job: Job) -> None:
        progress = job.progress
        if job.ended:
            if job.result is not None:
                self._result(job.result)
        elif progress is None:
            self._began(job.request)
        elif progress.latent is not None:
            self._preview(progress)
            with self._lock:
                self._act(self._newest.saw())

    def _next(self) -> None:
        with self._lock:
            self._job = None
            if self._newest.end() is None:
                return
            try:
                self._start()
            except RuntimeError as refused:  # the executor is closed
                error = refused
            else:
                return
        self._error(error)
