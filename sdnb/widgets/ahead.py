"""What a request would wait for: the runs of all tabs, cells and grids that share an executor."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sdnb.jobs.executor import Executor, Job, Worker

_CELL, _GRID = "a cell of the grid", "grid"
_EVERY = 1.0  # seconds between two words of how far a run is
_lines: weakref.WeakKeyDictionary[Any, RunLine] = weakref.WeakKeyDictionary()


class RunLine:
    """Who uses an executor. Whoever shows it says `heard`, and `tell` after each change."""

    def __init__(self) -> None:
        self._owners: weakref.WeakKeyDictionary[Job, str] = weakref.WeakKeyDictionary()
        self._passing: weakref.WeakSet[Job] = weakref.WeakSet()
        self._heard: list[weakref.WeakMethod[Callable[[], object]]] = []
        self._lock = threading.Lock()
        self._told = 0.0  # when it was last said how far a run is
        self._grids = 0  # that are filled; between two cells they have no job

    def heard(self, show: Callable[[], object]) -> None:
        """Call this method after each change, as long as its object lives."""
        with self._lock:
            self._heard.append(weakref.WeakMethod(show))

    def tell(self) -> None:
        """Say that something came or went."""
        with self._lock:
            self._heard = [each for each in self._heard if each() is not None]
            shows = [each() for each in self._heard]
        for show in filter(None, shows):
            show()

    def tick(self) -> None:
        """Say that a run is a step further, once in a second."""
        now = time.monotonic()
        if now - self._told >= _EVERY:
            self._told = now
            self.tell()

    def own(self, job: Job, owner: str) -> None:
        """Note whose a job is, such as "inpaint"."""
        self._owners[job] = owner

    def pass_by(self, job: Job) -> None:
        """Note a job of live: it is over in a moment, and nobody is told that he waits for it."""
        self._passing.add(job)

    def lasting(self, jobs: Sequence[Job]) -> tuple[Job, ...]:
        """These jobs without those of live."""
        return tuple(job for job in jobs if job not in self._passing)

    @contextmanager
    def filled(self) -> Iterator[None]:
        """A context manager for a grid: its cells are jobs one after the other."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def words(self, jobs: Sequence[Job], mine: Collection[Job]) -> str:
        """ "next: after this picture", "next: after 3 others"; "" where nothing is ahead.

        `jobs` are those of the executor in their order, `mine` those of the one who asks.
        """
        ahead = [job for job in jobs if not job.stopping]
        if len(ahead) > 1:
            return f"next: after {len(ahead)} others"
        if ahead:
            return f"next: after {self.named(ahead[0], mine)}"
        return f"next: after {_CELL}" if self._grids else ""

    def elsewhere(self, jobs: Sequence[Job], mine: Collection[Job]) -> tuple[str, str]:
        """The tab in which something runs, such as "inpaint", where it is not one's own, and how
        far it is; "" and "" where there is none.
        """
        now = next((job for job in jobs if not job.stopping), None)
        if now is None or now in mine:
            return (_GRID, "") if now is None and self._grids else ("", "")
        tab = self._owners.get(now) or (_GRID if self._grids else "")
        at = now.progress if tab != _GRID else None
        return tab, f"step {at.step}/{at.total}" if at and not at.waiting else ""  # in a short line

    def named(self, job: Job, mine: Collection[Job] = ()) -> str:
        """A run as it is spoken of: "the picture of inpaint", "this picture", "another run"."""
        several = job.request.count > 1
        if job in mine:
            return "these pictures" if several else "this picture"
        if owner := self._owners.get(job):
            return f"the {'pictures' if several else 'picture'} of {owner}"
        return _CELL if self._grids else "another run"

    def _count(self, more: int) -> None:
        with self._lock:
            self._grids += more
        self.tell()


def line_of(executor: Executor) -> RunLine:
    """The one line of an executor."""
    return _lines.setdefault(executor, RunLine())


def jobs_of(executor: Executor) -> Sequence[Job] | None:
    """The jobs of an executor that runs one after the other, in their order and without those of
    live; None of another executor.
    """
    return line_of(executor).lasting(executor.jobs) if isinstance(executor, Worker) else None
