"""Executors run requests: `submit` takes a request and returns a `Job`, which can be watched.

    worker = Worker(partial(sdnb.run, model))
    job = worker.submit(sdnb.Request("a castle"))
    job.wait()
    job.result

The same lines work in the caller's own thread (`Inline`), in a thread beside it (`Worker`) and on
another machine (`sdnb.remote`). An executor runs any function that takes a request and yields
`Progress`.
"""

from __future__ import annotations

import contextvars
import queue
import threading
import traceback
import weakref
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from sdnb.request import stop

if TYPE_CHECKING:
    from sdnb.images.result import Progress, Result
    from sdnb.request import Request

Make = Callable[["Request"], "Generator[Progress, None, None]"]
Watch = Callable[["Job"], None]

WAITING, RUNNING, DONE, STOPPED, FAILED = "waiting", "running", "done", "stopped", "failed"


class Job:
    """A request and the state of its run. Any thread may read it at any time.

    `state` is waiting, then running, and at the end done, stopped or failed. `watch` is called
    after each change, in the thread that runs the job, and must be quick. If it raises, the job
    fails.
    """

    def __init__(self, request: Request, watch: Watch | None = None) -> None:
        self.request = request
        self.state = WAITING
        self.progress: Progress | None = None  # the latest
        self.result: Result | None = None  # kept even if the watcher then raises
        self.so_far: Result | None = None  # of several pictures those that are finished
        self.error: BaseException | None = None  # why it has failed
        self._watch = watch
        self._stop = threading.Event()
        self._ended = threading.Event()

    @property
    def ended(self) -> bool:
        """Whether it is done, stopped or failed."""
        return self.state in (DONE, STOPPED, FAILED)

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    @property
    def finished(self) -> bool:
        """Whether the pictures are made. Stopping it then changes nothing."""
        return self.result is not None

    @property
    def traceback(self) -> str:
        """The traceback as Python prints it, or an empty text where it has not failed."""
        return "".join(traceback.format_exception(self.error)) if self.error else ""

    def stop(self) -> None:
        """Stop it: a waiting job never starts, a running one ends within a second."""
        self._stop.set()

    def renew(self, request: Request) -> bool:  # noqa: ARG002 - of those that have a turn
        """Ask for this instead, in the same turn. False where that is not possible: it has begun,
        or was sent to somebody.
        """
        return False

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended and its watcher was called. False if that takes longer."""
        return self._ended.wait(seconds)

    def run(self, make: Make) -> None:
        """Run the job in this thread. An executor calls it once. Errors become the job's `error`;
        only those that end a thread or a program, such as `KeyboardInterrupt`, are raised as well.
        """
        try:
            if self.finished or not self._stop.is_set():
                self._run(make)
            self._enter(DONE if self.result is not None else STOPPED)
        except Exception as error:  # noqa: BLE001 - the job holds it, and its watcher shows it
            self._fail(error)
        except BaseException as error:
            self._fail(error)
            raise
        finally:
            self._ended.set()

    def _run(self, make: Make) -> None:
        self._enter(RUNNING)
        with (
            suppress(stop.Stopped),
            stop.heard(self._stop.is_set),
            closing(make(self.request)) as steps,
        ):
            for progress in steps:
                self.progress = progress
                self.so_far = progress.result or progress.so_far or self.so_far
                if progress.result is not None:  # kept, even if it was stopped meanwhile
                    self.result = progress.result
                elif self._stop.is_set():
                    return
                else:
                    self._enter(RUNNING)

    def _enter(self, state: str) -> None:
        self.state = state
        if self._watch is not None:
            self._watch(self)

    def _fail(self, error: BaseException) -> None:
        self.error = error
        self.state = FAILED
        if self._watch is not None:
            with suppress(BaseException):  # the watcher itself may have failed
                self._watch(self)

    def __repr__(self) -> str:
        step = f", step {self.progress.step} of {self.progress.total}" if self.progress else ""
        return f"Job({self.state}{step}, {self.request!r})"


class Executor(Protocol):
    """Runs requests."""

    def submit(self, request: Request, watch: Watch | None = None) -> Job:
        """Begin or queue a run. Errors of the run are in the job and are not raised here."""

    def shutdown(self) -> None:
        """Stop all jobs and accept no more."""


class Inline:
    """Runs each request in the caller's thread: `submit` returns when the run has ended."""

    def __init__(self, make: Make) -> None:
        self._make = make

    def submit(self, request: Request, watch: Watch | None = None) -> Job:
        job = Job(request, watch)
        job.run(self._make)
        return job

    def shutdown(self) -> None:
        """Nothing runs between calls."""


class _QueuedJob(Job):
    """A job of a `Worker`. Stopped before it begins, it ends at once, in the caller's thread."""

    def __init__(self, request: Request, watch: Watch | None = None) -> None:
        super().__init__(request, watch)
        self._taken = False  # whether somebody runs the job: the first one does
        self._taking = threading.Lock()

    def stop(self) -> None:
        super().stop()
        self.run(_empty_run)

    def renew(self, request: Request) -> bool:
        with self._taking:
            if not self._taken:
                self.request = request
            return not self._taken

    def run(self, make: Make) -> None:
        with self._taking:
            taken, self._taken = self._taken, True
        if not taken:
            super().run(make)


def _empty_run(request: Request) -> Generator[Progress, None, None]:  # noqa: ARG001
    """The run of a job that was stopped before it began."""
    yield from ()


class Worker:
    """A thread that runs requests one after the other, so that the notebook's kernel stays free.

    The thread starts with the first request. It is a daemon, so it does not outlive the kernel. It
    ends after `shutdown`, or when the worker is garbage: the thread holds no reference to it.
    """

    def __init__(self, make: Make) -> None:
        self._make = make
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()  # None ends the thread
        self._lock = threading.Lock()
        self._jobs: list[Job] = []  # those that wait or run
        self._thread: threading.Thread | None = None
        self._closed = False
        weakref.finalize(self, self._queue.put, None).atexit = False

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs that have not ended, in their order."""
        with self._lock:
            self._jobs = [job for job in self._jobs if not job.ended]
            return tuple(self._jobs)

    def submit(self, request: Request, watch: Watch | None = None) -> Job:
        """Queue a request. Raises RuntimeError after `shutdown`."""
        job = _QueuedJob(request, watch)
        with self._lock:
            if self._closed:
                raise RuntimeError("this worker was shut down; make a new one")
            self._jobs = [*(job for job in self._jobs if not job.ended), job]
            self._queue.put(job)
            if self._thread is None:
                # Some versions of ipykernel let a thread set a widget's value only in the context
                # of the caller.
                context = contextvars.copy_context()
                run = partial(context.run, _run_jobs, self._queue, self._make)
                self._thread = threading.Thread(target=run, name="sdnb-worker", daemon=True)
                self._thread.start()
        return job

    def shutdown(self) -> None:
        """Stop all jobs: waiting ones at once, the running one within a second."""
        with self._lock:
            self._closed = True
            jobs = self._jobs
            self._queue.put(None)
        for job in jobs:  # without the lock: waiting jobs end here and call their watchers
            job.stop()


def _run_jobs(jobs: queue.SimpleQueue[Job | None], make: Make) -> None:
    """The loop of a worker's thread."""
    while (job := jobs.get()) is not None:
        # Every error is in the job. Some are no Exception, such as a panic of a library in Rust,
        # and would end the thread, so that later jobs waited for ever.
        # The thread has the context of who began it, and that one's stop is not this job's.
        with suppress(BaseException), stop.unheard():
            job.run(make)
        del job  # else its pictures stay in memory until the next job
