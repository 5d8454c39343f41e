"""Outcomes of a grid's cells: pictures, errors and measurements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sdnb.grid.cells import OPEN_FIELDS, Cell
from sdnb.grid.checkpoints import CheckpointGroup
from sdnb.images.made import Made
from sdnb.library import others
from sdnb.request import png_header
from sdnb.request.fingerprint import difference
from sdnb.request.plain_words import counted

if TYPE_CHECKING:
    from sdnb.grid.store import Store


@dataclass
class Pictures:
    """Outcomes by the keys of cells. A grid and the parts selected from it share one object."""

    made: dict[str, Made] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)
    measured: dict[tuple[str, ...], dict[str, float]] = field(default_factory=dict)

    def why_empty(self, cell: Cell) -> str:
        """Words for a cell that has no picture."""
        error = self.errors.get(cell.key)
        return "is not made yet" if error is None else f"failed: {error}"

    def size(self, cells: Iterable[Cell]) -> tuple[int, int]:
        """The largest width and height of the pictures, or of the requests where there are none."""
        cells = list(cells)
        pngs = [self.made[cell.key].png for cell in cells if cell.key in self.made]
        sizes = [png_header.size(png) for png in pngs] or [
            (cell.request.width or 256, cell.request.height or 256) for cell in cells
        ]
        return max(w for w, _ in sizes), max(h for _, h in sizes)

    def take(
        self, cells: Sequence[Cell], groups: Iterable[CheckpointGroup], store: Store | None
    ) -> None:
        """Begin a run: take the pictures of the store, put ours there, and forget errors, so that
        failed cells run again. Raises as `refuse_other`.
        """
        stored = {} if store is None else store.finished(cells)
        for group in groups:
            for cell in group.cells:
                if store is not None and cell.key in stored:
                    refuse_other(stored[cell.key], group, cell, store.name)
                if cell.key in self.made:
                    refuse_other(self.made[cell.key], group, cell, "this grid")
        for cell in cells:
            self.errors.pop(cell.key, None)
            if cell.key in stored:
                self.made[cell.key] = stored[cell.key]
            elif cell.key in self.made and store is not None:
                self.made[cell.key] = store.keep(cell, self.made[cell.key])

    def raise_failures(self, cells: Sequence[Cell]) -> None:
        """Raise RuntimeError that names each failed cell and its error."""
        failed = [cell for cell in cells if cell.key in self.errors]
        if not failed:
            return
        reasons: dict[str, list[str]] = {}
        for cell in failed:
            error = self.errors[cell.key]
            reasons.setdefault(f"{type(error).__name__}: {error}", []).append(cell.label)
        listed = "\n".join(f"  {'; '.join(labels)}: {why}" for why, labels in reasons.items())
        done = sum(cell.key in self.made for cell in cells)
        raise RuntimeError(
            f"{len(failed)} of {counted(len(cells), 'cell')} failed; made and kept: {done}. "
            f"Running again tries the failed ones again:\n{listed}"
        ) from self.errors[failed[0].key]


def refuse_other(made: Made, group: CheckpointGroup, cell: Cell, where: str) -> None:
    """Raise ValueError for a picture of this cell that is another model's, that was made with other
    files of the same names, or with other settings of the model for fields that the request leaves
    open.
    """
    way_out = "sweep again" if where == "this grid" else "give another folder"
    differs = difference(made.fingerprint, group.fingerprint)
    if differs:
        what, digits, now = differs
        raise ValueError(
            f"{where} was made by {what}: {cell.label} by {made.model} ({digits}, now {now}). "
            f"Give that one; or {way_out}"
        )
    if made.files:
        replaced = others(made.files, cell.request, group.library)
        if replaced:
            raise ValueError(
                f"{where} was made with other files: {cell.label} with {'; '.join(replaced)}. Give "
                f"those; or {way_out}"
            )
    asked = group.resolved(cell.request)
    values = [
        f"{name}={getattr(made.request, name)} there, {getattr(asked, name)} here"
        for name in OPEN_FIELDS
        if getattr(cell.request, name) is None
        and getattr(made.request, name) != getattr(asked, name)
    ]
    if values:
        raise ValueError(
            f"{where} was made when the model's settings were others: {cell.label} with "
            f"{'; '.join(values)}. Load the model with those settings, or {way_out}"
        )
