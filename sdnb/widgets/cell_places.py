"""What stands in whose place when a cell runs again: the first that it made in that of the first
that it had made before, and so on.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sdnb.widgets.lifetime import running_cell

_Made = TypeVar("_Made")


@dataclass
class _CellRun(Generic[_Made]):
    """What a cell made when it ran last, in its order."""

    run: str
    made: list[_Made] = field(default_factory=list)
    before: list[_Made] = field(default_factory=list)  # that of the time before


class CellPlaces(Generic[_Made]):
    """Things of one kind by the cells that made them."""

    def __init__(self) -> None:
        self._cells: dict[str, _CellRun[_Made]] = {}
        self._lock = threading.Lock()

    def take(self, new: _Made) -> _Made | None:
        """Note what the running cell made, and return the one in whose place it stands; None for
        the first time, and outside a notebook.
        """
        cell, run = running_cell()
        if cell is None:
            return None
        with self._lock:
            now = self._cells.get(cell)
            if now is None or now.run != run:
                now = self._cells[cell] = _CellRun(run, before=now.made if now else [])
            now.made.append(new)
            return now.before.pop(0) if now.before else None

    def name(self, made: _Made) -> str | None:
        """The cell that made this when it ran last, and its number there: the same in any kernel.
        None for what no cell has made.
        """
        with self._lock:
            for cell, now in self._cells.items():
                for number, other in enumerate(now.made):
                    if other is made:
                        return f"{cell} {number}"
        return None
