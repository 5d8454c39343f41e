"""Running a grid's cells, in this thread or through an executor.

Both ways are generators: the caller shows progress in a `for`, and stops with a `break`.
"""

from __future__ import annotations

import os
import queue
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, Any

from sdnb.grid.axes import Axis
from sdnb.grid.cells import Cell
from sdnb.grid.checkpoints import CheckpointGroup, portable
from sdnb.grid.outcomes import refuse_other
from sdnb.grid.run_account import GridProgress, RunAccount
from sdnb.images.made import Made
from sdnb.images.result import Progress
from sdnb.jobs.executor import DONE, Executor, Job
from sdnb.jobs.remote import Remote, is_pool
from sdnb.request import checks, words

if TYPE_CHECKING:
    from sdnb.engine.model import Model
    from sdnb.grid.store import Store
    from sdnb.images.result import Result


ExecutorOf = Callable[[CheckpointGroup], Executor]  # runs the cells of a model


def fill_here(groups: Iterable[CheckpointGroup], account: RunAccount) -> Generator[GridProgress]:
    """Run the cells in this thread: alike ones in one pass, as many as the memory plan allows."""
    with closing(_PngWriter(account)) as png_writer:
        for group in groups:
            if not group.cells:
                continue
            with ExitStack() as stack:
                model = _open_model(group, stack)
                if isinstance(model, Exception):
                    for cell in group.cells:
                        yield account.fail(cell, model)
                    continue
                for cells in _batches(group.cells, model):
                    elsewhere = _made_elsewhere(cells, group, account.store)
                    for cell, made in elsewhere.items():
                        yield account.keep(cell, made)
                    left = [cell for cell in cells if cell not in elsewhere]
                    if left:
                        yield from _run_cells(model, left, account, png_writer)
                    if _waits_for_pngs(model):
                        yield from png_writer.finished(wait=True)
        yield from png_writer.finished(wait=True)


def _open_model(group: CheckpointGroup, stack: ExitStack) -> Model | Exception:
    """The model, or the error of loading it, which ends the cells of this model and no others."""
    try:
        return stack.enter_context(group.model())
    except Exception as error:  # noqa: BLE001 - becomes the error of its cells
        return error


def _waits_for_pngs(model: Model) -> bool:
    """Whether a cell's PNG is written before the next cell: threads gain nothing on a CPU."""
    return str(model.device) == "cpu"


_PNG_THREADS = max(1, min(8, (os.cpu_count() or 1) // 2))


class _PngWriter:
    """Encodes PNGs in threads while the next cells run. Without them a fast card waits a third of
    its time. A finished picture is kept, whatever ends the run.
    """

    def __init__(self, account: RunAccount) -> None:
        self._account = account
        self._pool = ThreadPoolExecutor(_PNG_THREADS, "sdnb-png")
        self._under_way: deque[tuple[Cell, Future[Made]]] = deque()

    def take(self, cell: Cell, result: Result, steps: int) -> None:
        self._account.work_done(cell)
        self._under_way.append((cell, self._pool.submit(Made.of, result, steps)))

    def finished(self, wait: bool = False) -> Generator[GridProgress]:
        """Enter the PNGs that are ready, in their order; with `wait`, all."""
        while self._under_way and (wait or self._under_way[0][1].done()):
            yield self._keep(*self._under_way.popleft())

    def close(self) -> None:
        for cell, made in self._under_way:
            with suppress(OSError):  # it is in memory, and the next run stores it
                self._keep(cell, made)
        self._pool.shutdown()

    def _keep(self, cell: Cell, made: Future[Made]) -> GridProgress:
        error = made.exception()
        if error:
            return self._account.fail(cell, error)
        return self._account.keep(cell, made.result())


def fill_through(
    executor_of: ExecutorOf,
    groups: Iterable[CheckpointGroup],
    account: RunAccount,
    ahead: int | None,
) -> Generator[GridProgress]:
    """Run the cells as jobs of executors, at most `ahead` jobs at once (None: all)."""
    executors = [(executor_of(group), group) for group in groups]
    waiting = deque((ex, group, cell) for ex, group in executors for cell in group.cells)
    under_way: dict[Job, Cell] = {}
    news: queue.SimpleQueue[Job] = queue.SimpleQueue()
    try:
        while waiting or under_way:
            while waiting and (ahead is None or len(under_way) < ahead):
                executor, group, cell = waiting.popleft()
                made = _made_elsewhere([cell], group, account.store).get(cell)
                if made is not None:
                    yield account.keep(cell, made)
                else:
                    request = group.resolved(cell.request)  # as it was checked
                    under_way[executor.submit(request, news.put)] = cell
            job = _next_job(news) if under_way else None
            if job is None and under_way:
                yield account.now()  # nothing new, but the caller may stop here
            elif job in under_way and not job.ended:
                yield account.now(under_way[job], job.progress)
            elif job in under_way:
                progress = _enter_job(job, under_way[job], account)
                del under_way[job]
                yield progress
    finally:
        _stop_jobs(under_way, account)


def _enter_job(job: Job, cell: Cell, account: RunAccount) -> GridProgress:
    """Enter the picture or the error of a job that has ended."""
    if job.state == DONE and job.result is not None:
        steps = job.progress.total if job.progress else 0
        return account.keep(cell, Made.of(job.result, steps))
    return account.fail(cell, job.error or RuntimeError("it was stopped"))


#: Seconds to wait for the results of finished jobs when a run is stopped.
_ARRIVAL_SECONDS = 10


def _stop_jobs(under_way: Mapping[Job, Cell], account: RunAccount) -> None:
    """Stop the running jobs. Pictures that workers have finished meanwhile are kept."""
    for job in under_way:
        job.stop()
    until = time.monotonic() + _ARRIVAL_SECONDS
    for job, cell in under_way.items():
        if job.ended or job.finished:
            job.wait(max(0.0, until - time.monotonic()))
        if job.state == DONE:
            with suppress(OSError):  # it is in memory, and the next run stores it
                _enter_job(job, cell, account)


def _next_job(news: queue.SimpleQueue[Job]) -> Job | None:
    """The next job that has news. On some systems an interrupt ends no wait: then None, soon."""
    try:
        return news.get(timeout=0.5)
    except queue.Empty:
        return None


def _made_elsewhere(
    cells: Sequence[Cell], group: CheckpointGroup, store: Store | None
) -> dict[Cell, Made]:
    """Cells that another process has put into the store since the run began. Raises ValueError
    where it has used another model.
    """
    if store is None:
        return {}
    stored = store.finished(cells)
    made_elsewhere = {cell: stored[cell.key] for cell in cells if cell.key in stored}
    for cell, made in made_elsewhere.items():
        refuse_other(made, group, cell, store.name)
    return made_elsewhere


def _run_cells(
    model: Model, cells: Sequence[Cell], account: RunAccount, png_writer: _PngWriter
) -> Generator[GridProgress]:
    from sdnb.engine.pipeline import run, run_together

    requests = [cell.request for cell in cells]
    steps = run(model, requests[0]) if len(cells) == 1 else run_together(model, requests)
    with closing(steps):
        while True:
            progress, error = _next_progress(steps)
            if progress is None:
                break
            yield from png_writer.finished()  # here, so that its errors are not this cell's
            results = progress.results if progress.result is None else (progress.result,)
            if not results:
                yield account.now(cells[0], progress)
                continue
            for cell, result in zip(cells, results, strict=True):
                png_writer.take(cell, result, progress.total)
    if error is not None:
        for cell in cells:
            yield account.fail(cell, error)


def _next_progress(steps: Iterator[Progress]) -> tuple[Progress | None, Exception | None]:
    """The next progress, or the error that ended the run; neither at the end."""
    try:
        return next(steps, None), None
    except Exception as error:  # noqa: BLE001 - becomes the error of its cells
        return None, error


def _batches(cells: Sequence[Cell], model: Model) -> list[list[Cell]]:
    """Groups of alike cells for one pass each, at most `memory.batch` cells in a group."""
    most = model.memory.batch
    if most == 1:
        return [[cell] for cell in cells]
    from sdnb.engine.stages.in_turn import alike

    alike_cells: dict[object, list[Cell]] = {}
    for cell in cells:
        settled = words.settled(cell.request, model)
        request = settled.resolved(model.suited(settled)[0])
        together = request.image is None or request.strength > 0
        alike_cells.setdefault(alike(request) if together else cell.key, []).append(cell)
    return [
        group[i : i + most] for group in alike_cells.values() for i in range(0, len(group), most)
    ]


def executor_choice(executor: Any, axes: Sequence[Axis]) -> tuple[ExecutorOf, int | None]:
    """A function from a model to its executor, and how many jobs run at once (None: all).

    Raises TypeError for what is no executor, and for a local executor where models are an axis.
    """
    if is_pool(executor):
        executor = Remote(executor)
    if isinstance(executor, Remote):
        remote = executor
        return (lambda group: remote.of(portable(group.load_arguments), group.fingerprint)), None
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
