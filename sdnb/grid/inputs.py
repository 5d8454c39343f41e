"""What has come of a grid's cells so far: pictures, failures, and what was measured of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from sdnb.grid.cells import Cell
from sdnb.grid.checkpoints import Source
from sdnb.images.made import Made
from sdnb.request import png_header
from sdnb.request.fingerprint import difference
from sdnb.request.request import Settings

if TYPE_CHECKING:
    from sdnb.grid.store import Store

# What a model's settings fill in where a request leaves it open.
_OPEN = (*(item.name for item in fields(Settings)), "eta")


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
        sizes = [png_header.size(each.png) for each in made] or [
            (cell.request.width or 256, cell.request.height or 256) for cell in every
        ]
        return max(w for w, _ in sizes), max(h for _, h in sizes)

    def take(self, cells: Sequence[Cell], sources: Iterable[Source], store: Store | None) -> None:
        """Begin a run: what the store has is taken, what it lacks is given to it, what has failed
        may try again. Raises ValueError where there are pictures of another model, or of other
        settings of the same one.
        """
        there = {} if store is None else store.finished(cells)
        for source in sources:
            for cell in source.cells:
                if store is not None and cell.key in there:
                    refuse_other(there[cell.key], source, cell, store.name)
                if cell.key in self.made:
                    refuse_other(self.made[cell.key], source, cell, "this grid")
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


def refuse_other(there: Made, source: Source, cell: Cell, where: str) -> None:
    """Raise ValueError for a picture of this cell that this model would not make: another model's,
    or one that was made when the model's settings filled the open fields otherwise.
    """
    way_out = "sweep anew" if where == "this grid" else "give another folder"
    differs = difference(there.fingerprint, source.fingerprint)
    if differs:
        what, digits, now = differs
        raise ValueError(
            f"{where} was made by {what}: {cell.label} by {there.model} ({digits}, now {now}). "
            f"Give that one; or {way_out}"
        )
    wanted = cell.request.resolved(source.settings)
    values = [
        f"{name}={getattr(there.request, name)} there, {getattr(wanted, name)} here"
        for name in _OPEN
        if getattr(cell.request, name) is None
        and getattr(there.request, name) != getattr(wanted, name)
    ]
    if values:
        raise ValueError(
            f"{where} was made when the model's settings were others: {cell.label} with "
            f"{'; '.join(values)}. Load the model with those settings, or "
            f"{way_out}"
        )
