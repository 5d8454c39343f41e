"""`Remote` runs requests on the workers of a `concurrent.futures.Executor` or a Dask `Client`.

    with dask.distributed.Client("tcp://scheduler:8786") as client:
        job = Remote(client, {"path": "sd-v1-4.ckpt"}).submit(sdnb.Request("a castle"))

A worker receives a `Request` and the arguments of `sdnb.load`, and sends PNG bytes back. It keeps
the model until `release` is called. A process runs one request at a time, however many threads it
has. For one GPU a worker, let each worker see only its own (Dask-CUDA sets CUDA_VISIBLE_DEVICES),
or give `resources={"GPU": 1}`. A stopped run ends within a second or so if its worker can see the
stop signal: in a thread, in a process of this machine, or in a Dask cluster
(`sdnb.jobs.stop_signal`).
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Generator, Mapping
from concurrent.futures import Executor as Pool
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from sdnb.images.made import Made
from sdnb.images.result import Progress
from sdnb.jobs import stop_signal, worker_side
from sdnb.jobs.executor import Job, Watch
from sdnb.library import Library, named, opened
from sdnb.request import Request, checks
from sdnb.request.plain_words import counted


class Remote:
    """Sends requests to the workers of a pool or a cluster.

    `pool` is any `concurrent.futures.Executor`, or a Dask `Client`. `load` has the arguments of
    `sdnb.load` as the workers can use them. With a `fingerprint`, a worker that finds another model
    refuses the request, and one that has other LoRAs or embeddings of the names in a request does
    so always. `resources` are passed to Dask. Raises TypeError for anything else than a
    pool, and ValueError for a pool that forks its processes.
    """

    def __init__(
        self,
        pool: Any,
        load: Mapping[str, Any] | None = None,
        fingerprint: str = "",
        resources: Mapping[str, float] | None = None,
    ) -> None:
        self.pool, self.resources = pool, resources
        self._load, self._fingerprint = dict(load or {}), fingerprint
        self._library: Library | None = None
        with suppress(FileNotFoundError):  # its folders may be those of the workers alone
            self._library = opened(self._load.get("library"))
        self._jobs: list[_RemoteJob] = []
        self._look: threading.Timer | None = None
        if not is_pool(pool):
            raise TypeError(
                f"{checks.shown(pool)} runs nothing: expected a concurrent.futures.Executor, or "
                "the Client of a Dask cluster (pip install 'sdnb[dask]')"
            )
        _refuse_forks(pool)

    def of(self, load: Mapping[str, Any], fingerprint: str) -> Remote:
        """The same workers with another model."""
        return Remote(self.pool, load, fingerprint, self.resources)

    def submit(self, request: Request, watch: Watch | None = None) -> Job:
        """Send a request. Workers report no steps: the job has no progress until it is done. The
        finished ones of several pictures come with the end of a run that was stopped or has failed.
        """
        job = _RemoteJob(request, watch)
        job.signal = stop_signal.signal_for(self.pool)
        options: dict[str, Any] = {}
        if not isinstance(self.pool, Pool):  # Dask, which else takes equal requests for one
            options = {"pure": False, "resources": self.resources}
        try:
            files = named(request, self._library)
            job.future = self.pool.submit(
                worker_side.work,
                self._load,
                self._fingerprint,
                request,
                job.signal,
                files,
                **options,
            )
        except RuntimeError as error:  # a broken or closed pool
            job.run(partial(_failing_run, error))
            return job
        self._jobs = [*(earlier for earlier in self._jobs if not earlier.ended), job]
        job.future.add_done_callback(job.received)
        if not isinstance(self.pool, Pool) and self._look is None:
            self._look = threading.Timer(_PATIENCE, self._say_what_is_missing)
            self._look.daemon = True
            self._look.start()
        return job

    def _say_what_is_missing(self) -> None:
        """Tell the jobs that no worker will take them, as far as one can see now; they wait on, for
        workers may come.
        """
        self._look = None
        waiting = [job for job in self._jobs if not job.ended and not job.future.done()]
        missing = ""
        with suppress(Exception):  # the cluster may be gone, which the jobs' futures say
            missing = _missing(self.pool, self.resources or {})
        if not (waiting and missing):
            return
        for job in waiting:
            job.waits(missing)
        warnings.warn(f"waiting for {missing}", RuntimeWarning, stacklevel=1)

    def shutdown(self) -> None:
        """Stop the jobs. The pool stays open: its owner shuts it down."""
        for job in self._jobs:
            job.stop()

    def release(self) -> None:
        """Unload the models of all workers, each after the request that it is running. The next
        request loads the model again. Raises TypeError for a pool of processes: they hold their
        models until it is shut down.
        """
        if isinstance(self.pool, ThreadPoolExecutor):
            worker_side.release()
        elif isinstance(self.pool, Pool):
            raise TypeError(
                f"the workers of {checks.shown(self.pool)} cannot be asked one by one: they hold "
                "their models until its shutdown()"
            )
        else:
            self.pool.run(worker_side.release_beside_the_loop)


class _RemoteJob(Job):
    """A job that waits for a future. Stopped, it ends at once where no worker has begun it, and
    otherwise when its worker has seen the signal.
    """

    future: Any = None
    signal: stop_signal.StopSignal

    @property
    def finished(self) -> bool:
        """Whether the pictures are made. They are kept, even if the job was stopped meanwhile."""
        future = self.future
        done = future is not None and future.done() and not future.cancelled()
        return super().finished or (done and future.exception() is None)

    def stop(self) -> None:
        super().stop()
        if self.future is None or self.future.done():
            return
        with suppress(Exception):  # the cluster may be gone
            self.signal.set()
            if self.request.count > 1 and _is_at_a_worker(self.future):
                # It sends the pictures that are finished, which a cancelled future would lose.
                timer = threading.Timer(_PATIENCE, self.future.cancel)
                timer.daemon = True
                timer.start()
                return
        self.future.cancel()

    def waits(self, what: str) -> None:
        """Tell the watcher what it waits for."""
        self.progress = Progress(0, 0, _PATIENCE, waiting=True, waits_for=what)
        if self._watch is not None and not self.ended:
            self._watch(self)

    def received(self, future: Any) -> None:
        """Called when the future is done, cancelled or broken."""
        if isinstance(self.signal, stop_signal.FileSignal):
            self.signal.drop()
        with suppress(BaseException):  # it is in the job; the thread here is the pool's own
            if not future.cancelled():
                made: Made | None = getattr(future.exception(), worker_side.SO_FAR, None)
                self.so_far = made.result() if made else None
            self.run(partial(_received_run, future))


_PATIENCE = 5.0  # seconds that a cluster without workers, or one that was stopped, is waited for


def _is_at_a_worker(future: Any) -> bool:
    """Whether a worker of a Dask cluster has a future's task. A pool's own future is cancelled only
    if no worker has.
    """
    if isinstance(future, Future):
        return False
    return any(future.key in keys for keys in future.client.processing().values())


def _missing(client: Any, resources: Mapping[str, float]) -> str:
    """What keeps a Dask cluster from running a request, in words; "" where a worker can."""
    try:
        told = client.scheduler_info(n_workers=-1)  # all of them, in newer versions
    except TypeError:
        told = client.scheduler_info()
    workers, where = told["workers"].values(), f"the Dask cluster at {told.get('address', '?')}"
    if not workers:
        return f"a worker: {where} has none; start one (dask worker ...), or cluster.scale(1)"
    for worker in workers:
        has = worker.get("resources", {})
        if all(has.get(name, 0) >= amount for name, amount in resources.items()):
            return ""
    asked = ", ".join(f"{name}={amount:g}" for name, amount in resources.items())
    return (
        f"a worker with {asked}: {where} has {counted(len(workers), 'worker')}, and none has that"
    )


def is_pool(thing: object) -> bool:
    """Whether `Remote` can send requests to `thing`."""
    modules = (kind.__module__.partition(".")[0] for kind in type(thing).__mro__)
    return isinstance(thing, Pool) or ("distributed" in modules and hasattr(thing, "submit"))


def _refuse_forks(pool: object) -> None:
    """Raise ValueError for forked processes: torch's threads hang in them."""
    context = getattr(pool, "_mp_context", None) if isinstance(pool, ProcessPoolExecutor) else None
    if context and context.get_start_method() == "fork" and "torch" in sys.modules:
        raise ValueError(
            "this pool forks processes, and torch, which is at work here, hangs in a fork: use "
            'ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"))'
        )


def _received_run(future: Any, request: Request) -> Generator[Progress, None, None]:  # noqa: ARG001
    """The run of a job whose pictures a worker has made."""
    made: Made = future.result()
    yield Progress(made.steps, made.steps, made.seconds, result=made.result())


def _failing_run(error: Exception, request: Request) -> Generator[Progress, None, None]:  # noqa: ARG001
    yield from ()  # makes it a generator, as every run is
    raise error
