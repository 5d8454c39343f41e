"""Progress of a grid's run: which cells have ended, and what share of the work is done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdnb.grid.cells import Cell
from sdnb.grid.outcomes import Pictures
from sdnb.images.made import Made
from sdnb.images.result import Progress
from sdnb.request.choices import PASSES

if TYPE_CHECKING:
    from sdnb.grid.store import Store


@dataclass(frozen=True)
class GridProgress:
    """How far a grid's run is, after a step of a cell or at its end."""

    done: int  # cells that have ended, with those of earlier runs
    total: int
    share: float  # of the work, 0..1: a cell of more steps and pixels counts for more
    seconds: float  # of this run
    share_before: float = 0.0  # what share was done before this run
    cell: Cell | None = None
    progress: Progress | None = None  # of the cell
    made: Made | None = None  # the cell's picture, when it is finished
    error: BaseException | None = None  # why the cell has failed


class RunAccount:
    """Bookkeeping of one run: keeps its pictures and errors, and reports progress."""

    def __init__(self, cells: Sequence[Cell], pictures: Pictures, store: Store | None) -> None:
        self._keys, self._pictures, self.store = [cell.key for cell in cells], pictures, store
        self._work = {cell.key: work_of(cell) for cell in cells}
        self._began = time.perf_counter()
        self._ended = {key for key in self._work if key in pictures.made}
        self._work_done = set(self._ended)  # also cells whose PNG is not written yet
        self._share_before = self._share()

    def now(self, cell: Cell | None = None, progress: Progress | None = None) -> GridProgress:
        """The progress of the run; `cell` is the one that is running or has just ended."""
        return GridProgress(
            done=sum(key in self._ended for key in self._keys),
            total=len(self._keys),
            share=self._share(cell, progress),
            seconds=time.perf_counter() - self._began,
            share_before=self._share_before,
            cell=cell,
            progress=progress,
            made=None if cell is None else self._pictures.made.get(cell.key),
            error=None if cell is None else self._pictures.errors.get(cell.key),
        )

    def _share(self, cell: Cell | None = None, progress: Progress | None = None) -> float:
        """How much of the work is done, 0..1."""
        done = sum(work for key, work in self._work.items() if key in self._work_done)
        if cell is not None and progress is not None and cell.key not in self._work_done:
            done += self._work[cell.key] * progress.step / (progress.total or 1)
        return min(1.0, done / (sum(self._work.values()) or 1))

    def work_done(self, cell: Cell) -> None:
        """Count the work of a cell as done, although its PNG is still to be written."""
        self._work_done.add(cell.key)

    def keep(self, cell: Cell, made: Made) -> GridProgress:
        """Enter a finished picture: in memory first, so that a full disk loses nothing."""
        self._pictures.made[cell.key] = made
        if self.store is not None and made.path is None:
            self._pictures.made[cell.key] = self.store.keep(cell, made)
        self._end(cell)
        return self.now(cell)

    def fail(self, cell: Cell, error: BaseException) -> GridProgress:
        self._pictures.errors[cell.key] = error
        self._end(cell)
        return self.now(cell)

    def _end(self, cell: Cell) -> None:
        self._ended.add(cell.key)
        self._work_done.add(cell.key)


def work_of(cell: Cell) -> float:
    """What a cell costs, about, in passes of the UNet at 512x512."""
    request = cell.request
    pixels = (request.width or 512) * (request.height or 512) / 512**2
    halves = (request.cfg not in (0, 1)) + 1  # with the prompt, and without
    passes = PASSES.get(request.sampler or "", 1) * halves
    steps = request.steps or 25
    if request.image is not None and request.schedule != "lcm":
        return pixels * (1 + steps * passes * request.strength)
    return pixels * (1 + steps * passes)
