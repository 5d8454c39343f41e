"""Filling a grid, cell after cell: a generator, so that progress, preview and stopping are the
caller's `for` and `break`.
"""

from __future__ import annotations

import contextlib
import os
import queue
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

from sdnb.grid.axes import Axis
from sdnb.grid.bookkeeping import Book, Filling
from sdnb.grid.cells import Cell
from sdnb.grid.checkpoints import Source, portable
from sdnb.grid.inputs import refuse_other
from sdnb.images.made import Made
from sdnb.images.result import Progress
from sdnb.jobs.executor import DONE, Executor, Job
from sdnb.jobs.remote import Remote, is_pool
from sdnb.request import checks

if TYPE_CHECKING:
    from sdnb.engine.model import Model
    from sdnb.grid.store import Store
    from sdnb.images.result import Result


Send = Callable[[Source], Executor]  # what runs the cells of a model


def here(sources: Iterable[Source], book: Book, store: Store | None) -> Generator[Filling]:
    """Fill in this thread; cells that are alike go together, as many as the memory plan says."""
    with closing(_Encoder(book, store)) as encoder:
        for source in sources:
            if not source.cells:
                continue
            with contextlib.ExitStack() as stack:
                model = _opened(source, stack)
                if isinstance(model, Exception):
                    for cell in source.cells:
                        yield book.fail(cell, model)
                    continue
                for cells in _batches(source.cells, model):
                    found = _elsewhere(cells, source, store)
                    for cell, made in found.items():
                        yield book.keep(cell, made, store)
                    left = [cell for cell in cells if cell not in found]
                    if left:
                        yield from _made(model, left, book, encoder)
                    if _waits(model):
                        yield from encoder.finished(wait=True)
        yield from encoder.finished(wait=True)


def _opened(source: Source, stack: contextlib.ExitStack) -> Model | Exception:
    """The model, or why it cannot be had: that ends its own cells, and no others."""
    try:
        return stack.enter_context(source.model())
    except Exception as error:  # noqa: BLE001 - whatever it was: told with its cells, not lost
        return error


def _waits(model: Model) -> bool:
    """Whether a cell is written before the next begins: on a CPU nothing is won by less."""
    return str(model.device) == "cpu"


#: PNGs that are made at once, where there are cores for it.
_PNGS = max(1, min(8, (os.cpu_count() or 1) // 2))


class _Encoder:
    """PNGs are made in threads beside the next cells: a fast card would wait for them a third of
    its time, and cells of one pass are all finished at once. Whatever ends the run, a picture that
    is finished is kept.
    """

    def __init__(self, book: Book, store: Store | None) -> None:
        self._book, self._store = book, store
        self._pool = ThreadPoolExecutor(_PNGS, "sdnb-png")
        self._under_way: deque[tuple[Cell, Future[Made]]] = deque()

    def take(self, cell: Cell, result: Result, steps: int) -> None:
        self._book.worked(cell)
        self._under_way.append((cell, self._pool.submit(Made.of, result, steps)))

    def finished(self, wait: bool = False) -> Generator[Filling]:
        """Keep those that are done, in their order; with `wait` all."""
        while self._under_way and (wait or self._under_way[0][1].done()):
            yield self._keep(*self._under_way.popleft())

    def close(self) -> None:
        for cell, made in self._under_way:
            with contextlib.suppress(OSError):  # it is in memory, and the next run stores it
                self._keep(cell, made)
        self._pool.shutdown()

    def _keep(self, cell: Cell, made: Future[Made]) -> Filling:
        error = made.exception()
        return (
            self._book.fail(cell, error)
            if error
            else self._book.keep(cell, made.result(), self._store)
        )


def through(
    send: Send, sources: Iterable[Source], book: Book,
    store: Store | None, ahead: int | None,
) -> Generator[Filling]:  # fmt: skip
    """Fill by an executor's jobs, at most `ahead` of them under way at once (None: all)."""
    senders = [(send(source), source) for source in sources]
    waiting = deque((runs_in, source, cell) for runs_in, source in senders for cell in source.cells)
    under_way: dict[Job, Cell] = {}
    news: queue.SimpleQueue[Job] = queue.SimpleQueue()
    try:
        while waiting or under_way:
            while waiting and (ahead is None or len(under_way) < ahead):
                runs_in, source, cell = waiting.popleft()
                for found, made in _elsewhere([cell], source, store).items():
                    yield book.keep(found, made, store)
                    break
                else:
                    request = cell.request.resolved(source.settings)  # as it was checked
                    under_way[runs_in.submit(request, news.put)] = cell
            if not under_way:
                continue
            job = _next(news)
            if job is None:
                yield book.at()  # nothing new: whoever looks may break off now
                continue
            if job not in under_way:
                continue
            cell = under_way[job]
            if not job.ended:
                yield book.at(cell, job.progress)
                continue
            at = _ended(job, cell, book, store)
            del under_way[job]
            yield at
    finally:
        _stopped(under_way, book, store)


def _ended(job: Job, cell: Cell, book: Book, store: Store | None) -> Filling:
    """Book a job that has ended."""
    if job.state == DONE and job.result is not None:
        steps = job.progress.total if job.progress else 0
        return book.keep(cell, Made.of(job.result, steps), store)
    return book.fail(cell, job.error or RuntimeError("it was stopped"))


#: Seconds in which the results of jobs that are finished must arrive when a run is broken off.
_ARRIVAL = 10


def _stopped(under_way: Mapping[Job, Cell], book: Book, store: Store | None) -> None:
    """Stop what is under way. What is finished, though no one has looked at it yet, is kept: who
    broke off may have been busy while the workers were not.
    """
    for job in under_way:
        job.stop()
    until = time.monotonic() + _ARRIVAL
    for job, cell in under_way.items():
        if job.ended or job.finished:
            job.wait(max(0.0, until - time.monotonic()))
        if job.state == DONE:
            with contextlib.suppress(OSError):  # it is in memory, and the next run stores it
                _ended(job, cell, book, store)


def _next(news: queue.SimpleQueue[Job]) -> Job | None:
    """The next job that has something new; None after half a second, because an interrupt does not
    end a wait on every system.
    """
    try:
        return news.get(timeout=0.5)
    except queue.Empty:
        return None


def _elsewhere(cells: Sequence[Cell], source: Source, store: Store | None) -> dict[Cell, Made]:
    """What another process has put into the store since the run began. Raises ValueError where it
    has another model.
    """
    if store is None:
        return {}
    found = store.finished(cells)
    there = {cell: found[cell.key] for cell in cells if cell.key in found}
    for cell, made in there.items():
        refuse_other(made, source, cell, store.name)
    return there


def _made(model: Model, cells: Sequence[Cell], book: Book, encoder: _Encoder) -> Generator[Filling]:
    from sdnb.engine.pipeline import run, run_together

    requests = [cell.request for cell in cells]
    steps = run(model, requests[0]) if len(cells) == 1 else run_together(model, requests)
    with closing(steps):
        while True:
            at, error = _step(steps)
            if at is None:
                break
            yield from encoder.finished()  # what it raises is no failure of this cell
            results = at.results if at.result is None else (at.result,)
            if not results:
                yield book.at(cells[0], at)
                continue
            for cell, result in zip(cells, results, strict=True):
                encoder.take(cell, result, at.total)
    if error is not None:
        for cell in cells:
            yield book.fail(cell, error)


def _step(steps: Iterator[Progress]) -> tuple[Progress | None, Exception | None]:
    """The next step, or why there is none; neither of them at the end."""
    try:
        return next(steps, None), None
    except Exception as error:  # noqa: BLE001 - whatever it was: told with its cell, not lost
        return None, error


def _batches(cells: Sequence[Cell], model: Model) -> list[list[Cell]]:
    """Cells that are alike together, at most `memory.batch` of them, in their first one's order."""
    most = model.memory.batch
    if most == 1:
        return [[cell] for cell in cells]
    from sdnb.engine.pipeline import alike

    groups: dict[object, list[Cell]] = {}
    for cell in cells:
        request = cell.request.resolved(model.settings)
        together = request.image is None or request.strength > 0
        groups.setdefault(alike(request) if together else cell.key, []).append(cell)
    return [group[i : i + most] for group in groups.values() for i in range(0, len(group), most)]


def sender(executor: Any, axes: Sequence[Axis]) -> tuple[Send, int | None]:
    """What gives each model its executor, and how many jobs are under way at once (None: all).

    Raises TypeError for what runs nothing, and for a local executor where models are an axis.
    """
    if is_pool(executor):
        executor = Remote(executor)
    if isinstance(executor, Remote):
        remote = executor
        return (lambda source: remote.of(portable(source.load), source.fingerprint)), None
    if not hasattr(executor, "submit"):
        raise TypeError(
            f"executor={checks.shown(executor)} runs nothing: expected a "
            "concurrent.futures.Executor, a Dask Client, or an executor of sdnb.jobs.executor"
        )
    varied = [axis.name for axis in axes if axis.name in ("model", "memory")]
    if varied:
        raise TypeError(
            f"this executor has one model, and {varied[0]} is an axis: leave executor out, or give "
            "a concurrent.futures.Executor or a Dask Client"
        )
    local: Executor = executor
    return (lambda _: local), 1
