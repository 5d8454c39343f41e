"""Where runs happen: a `Job` is one request on its way, an executor takes requests and gives jobs.

    worker = Worker(partial(sdnb.run, model))
    job = worker.submit(sdnb.Request("a castle"))
    job.stop()                                         # ends within a step
    job.wait(); job.result

Panels, grids and scripts use the same three lines whatever stands behind them: the caller's own
thread (`Inline`), a thread beside the kernel (`Worker`), or another machine (`sdnb.remote`).
Nothing here knows of torch: what an executor runs is any function from a request to `Progress`.
"""

from __future__ import annotations

import contextvars
import queue
import threading
import traceback
import weakref
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sdnb.images.result import Progress, Result
    from sdnb.request.request import Request

Make = Callable[["Request"], "Generator[Progress, None, None]"]
Watch = Callable[["Job"], None]

WAITING, RUNNING, DONE, STOPPED, FAILED = "waiting", "running", "done", "stopped", "failed"


class Job:
    """One request on its way. Everything here may be read from any thread at any time.

    `state` is waiting, running, and at the end done, stopped or failed. `watch` is called after
    each change, in the thread that made it: it must be quick, and what it raises ends the job.
    """

    def __init__(self, request: Request, watch: Watch | None = None) -> None:
        self.request = request
        self.state = WAITING
        self.progress: Progress | None = None  # the newest
        self.result: Result | None = None  # when it is finished, whatever its watcher then does
        self.error: BaseException | None = None  # when it has failed
        self._watch = watch
        self._stop = threading.Event()
        self._ended = threading.Event()

    @property
    def ended(self) -> bool:
        """Done, stopped or failed: nothing more will happen."""
        return self.state in (DONE, STOPPED, FAILED)

    @property
    def stopping(self) -> bool:
        """Someone has asked for the end."""
        return self._stop.is_set()

    @property
    def finished(self) -> bool:
        """Its work is over, and the result is here or on its way: stopping changes nothing more."""
        return self.result is not None

    @property
    def traceback(self) -> str:
        """Where it failed, as Python prints it; empty when it has not."""
        return "".join(traceback.format_exception(self.error)) if self.error else ""

    def stop(self) -> None:
        """Ask for the end: a waiting job never starts, a running one ends within a step."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended and its watcher knows; False if not after so many seconds."""
        return self._ended.wait(seconds)

    def run(self, make: Make) -> None:
        """Do the work in this thread. Executors call it, once; it raises nothing but what ends a
        thread or a program, such as `KeyboardInterrupt`.
        """
        try:
            if self.finished or not self._stop.is_set():
                self._run(make)
            self._enter(DONE if self.result is not None else STOPPED)
        except Exception as error:  # noqa: BLE001 - whatever it was: told to who watches, not lost
            self._fail(error)
        except BaseException as error:
            self._fail(error)
            raise
        finally:
            self._ended.set()

    def _run(self, make: Make) -> None:
        self._enter(RUNNING)
        with closing(make(self.request)) as steps:
            for progress in steps:
                self.progress = progress
                if progress.result is not None:  # finished, whoever asked for the end by now
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
            with suppress(Exception):  # it may be the watcher itself that has failed
                self._watch(self)

    def __repr__(self) -> str:
        step = f", step {self.progress.step} of {self.progress.total}" if self.progress else ""
        return f"Job({self.state}{step}, {self.request!r})"


class Executor(Protocol):
    """Takes requests and gives jobs."""

    def submit(self, request: Request, watch: Watch | None = None) -> Job:
        """Begin, or queue, the work; never raises for what the work itself may raise."""
        ...

    def shutdown(self) -> None:
        """Stop all jobs; no more are taken."""
        ...


class Inline:
    """Runs each request at once in the caller's thread: `submit` returns when it has ended."""

    def __init__(self, make: Make) -> None:
        self._make = make

    def submit(self, request: Request, watch: Watch | None = None) -> Job:
        job = Job(request, watch)
        job.run(self._make)
        return job

    def shutdown(self) -> None:
        """Nothing runs between calls."""


class _QueuedJob(Job):
    """A worker's job: stopped before it begins, it ends at once, in the thread that stops it, and
    does not wait for its turn to do so.
    """

    def __init__(self, request: Request, watch: Watch | None = None) -> None:
        super().__init__(request, watch)
        self._taken = threading.Lock()  # by whoever begins it, or ends it before; never given back

    def stop(self) -> None:
        super().stop()
        self.run(_empty_run)

    def run(self, make: Make) -> None:
        if self._taken.acquire(blocking=False):
            super().run(make)


def _empty_run(request: Request) -> Generator[Progress, None, None]:  # noqa: ARG001
    """The run of a job that was stopped before it began."""
    yield from ()


class Worker:
    """One thread that runs requests one after the other, so that the kernel stays free.

    The thread is a daemon and begins with the first request: a kernel that ends takes it along. It
    ends after `shutdown`, and when nobody holds the worker any more, which it does not do itself.
    """

    def __init__(self, make: Make) -> None:
        self._make = make
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()  # None: the end
        self._lock = threading.Lock()
        self._jobs: list[Job] = []  # waiting and running
        self._thread: threading.Thread | None = None
        self._closed = False
        weakref.finalize(self, self._queue.put, None).atexit = False

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Those that have not ended, in their order."""
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
                # The context is the caller's: in some versions of ipykernel a widget's value can
                # be set from a thread only with it.
                context = contextvars.copy_context()
                self._thread = threading.Thread(
                    target=context.run, args=(_run_jobs, self._queue, self._make),
                    name="sdnb-worker", daemon=True,
                )  # fmt: skip
                self._thread.start()
        return job

    def shutdown(self) -> None:
        """Stop all jobs, waiting ones at once and the running one within a step."""
        with self._lock:
            self._closed = True
            jobs = self._jobs
            self._queue.put(None)
        for job in jobs:  # outside the lock: those that wait end here, and are watched
            job.stop()


def _run_jobs(jobs: queue.SimpleQueue[Job | None], make: Make) -> None:
    """What a worker's thread does."""
    while (job := jobs.get()) is not None:
        job.run(make)
        del job  # its pictures are not held until the next one
