"""What has come of a grid's cells so far: pictures, failures, and what was measured of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sdnb import checks
from sdnb.sweeps.cells import Cell, Made
from sdnb.sweeps.models import Source

if TYPE_CHECKING:
    from sdnb.sweeps.store import Store


@dataclass
class Pictures:
    """By the keys of cells; a grid and the parts selected from it share one."""

    made: dict[str, Made] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)
    measured: dict[tuple[str, ...], dict[str, float]] = field(default_factory=dict)

    def why_empty(self, cell: Cell) -> str:
        """Why a cell has no picture, in words."""
        error = self.errors.get(cell.key)
        return "is not made yet" if error is None else f"failed: {error}"

    def size(self, cells: Iterable[Cell]) -> tuple[int, int]:
        """The largest width and height among the pictures; without one, what is asked for."""
        every = list(cells)
        made = [self.made[cell.key] for cell in every if cell.key in self.made]
        sizes = [checks.png_size(each.png) for each in made] or [
            (cell.request.width or 256, cell.request.height or 256) for cell in every
        ]
        return max(w for w, _ in sizes), max(h for _, h in sizes)

    def take(self, cells: Sequence[Cell], sources: Iterable[Source], store: Store | None) -> None:
        """Begin a run: what the store has is taken, what it lacks is given to it, what has failed
        may try again. Raises ValueError where there are pictures of another model.
        """
        there = {} if store is None else store.finished(cells)
        for source in sources:
            for cell in source.cells:
                _refuse_other_model(there, source, cell, f"store={str(store and store.folder)!r}")
                _refuse_other_model(self.made, source, cell, "this grid")
        for cell in cells:
            self.errors.pop(cell.key, None)
            if cell.key in there:
                self.made[cell.key] = there[cell.key]
            elif cell.key in self.made and store is not None:
                self.made[cell.key] = store.keep(cell, self.made[cell.key])

    def raise_failures(self, cells: Sequence[Cell]) -> None:
        """RuntimeError when cells have failed, each named with its reason."""
        failed = [cell for cell in cells if cell.key in self.errors]
        if not failed:
            return
        reasons: dict[str, list[str]] = {}
        for cell in failed:
            error = self.errors[cell.key]
            reasons.setdefault(f"{type(error).__name__}: {error}", []).append(cell.label)
        said = "\n".join(f"  {'; '.join(labels)}: {why}" for why, labels in reasons.items())
        done = sum(cell.key in self.made for cell in cells)
        raise RuntimeError(
            f"{len(failed)} of {len(cells)} cells failed, {done} are made and kept; running again "
            f"tries the failed ones again:\n{said}"
        ) from self.errors[failed[0].key]


def _refuse_other_model(made: Mapping[str, Made], source: Source, cell: Cell, where: str) -> None:
    there = made.get(cell.key)
    if there is not None and there.fingerprint != source.fingerprint:
        raise ValueError(
            f"{where} was made by another model: {cell.label} by {there.model} (fingerprint "
            f"{there.fingerprint[:16]}, now {source.fingerprint[:16]}). Give that model; or "
            f"{'sweep anew' if where == 'this grid' else 'give another folder'}"
        )
