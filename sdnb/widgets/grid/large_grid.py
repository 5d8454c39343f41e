"""How many pictures a grid has, and how long they take; and a question before a large one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from sdnb.grid.axes import Axis
from sdnb.grid.cells import make_cells, with_seed
from sdnb.request import Request
from sdnb.request.pace import in_words
from sdnb.request.plain_words import counted
from sdnb.widgets.yes_or_no import YesOrNo

ASKED_FROM = 100  # cells
MOST = 10_000  # cells that a page shows; the kernel is busy for seconds with so many
_SAMPLES = 4  # values of each axis, by which the time is estimated


class LargeGrid(YesOrNo):
    """A question before a large grid."""

    def about(self, count: int, seconds: float | None, make: Callable[[], object]) -> None:
        """Ask whether to make `count` pictures, which take so long where that is known; `make` is
        called if someone says yes.
        """
        words = f"{in_numbers(count, seconds)}. Make all of them? Stop ends it at any time."
        self.ask(words, make, yes=f"Make {count:,}", does="Begin with the grid")


def in_numbers(count: int, seconds: float | None) -> str:
    """ "9 pictures, about 12 s by the last runs"."""
    time = "" if seconds is None else f", {in_words(seconds)} by the last runs"
    return counted(count, "picture") + time


def count_of(axes: Sequence[Axis]) -> int:
    """How many cells these axes make. Raises ValueError where they are more than a page shows."""
    count = math.prod(map(len, axes))
    if count > MOST:
        raise ValueError(
            f"{' x '.join(str(len(axis)) for axis in axes)} are {count:,} cells, and this page "
            f"shows {MOST:,} at most; take fewer values, or sdnb.sweep in code"
        )
    return count


def seconds_of(model: Any, base: Request, axes: Sequence[Axis]) -> float | None:
    """How long all cells take, by some that lie evenly among them; None while nothing is known."""
    some = tuple(axis.part(_spread(len(axis))) for axis in axes)
    with suppress(ValueError, TypeError, LookupError, OSError):  # said when they are made
        cells = make_cells(with_seed(base), some)
        times = [model.pace.seconds(cell.request.resolved(model.settings)) for cell in cells]
        known = [time for time in times if time is not None]
        return math.prod(map(len, axes)) * sum(known) / len(known) if known else None
    return None


def _spread(count: int) -> list[int]:
    """Places in the middle of equal parts of a list."""
    parts = min(count, _SAMPLES)
    return [(2 * part + 1) * count // (2 * parts) for part in range(parts)]
