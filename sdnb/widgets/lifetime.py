"""When a cell runs again, what its last run started is stopped.

A widget is not told that its view has gone. IPython tells which cell is about to run: the panels
that the same cell made before are then asked to stop.
"""

from __future__ import annotations

import weakref
from typing import Any, Protocol


class Stoppable(Protocol):
    """Something that runs."""

    def stop(self) -> None: ...


def tie_to_cell(owner: Stoppable) -> None:
    """Stop `owner` when the cell that is running now runs again; without IPython, nothing."""
    try:
        from IPython import get_ipython
    except ImportError:  # pragma: no cover - ipywidgets brings IPython
        return
    shell = get_ipython()
    cell = _running_cell(shell)
    if shell is None or cell is None:
        return
    reference = weakref.ref(owner)

    def before(info: Any) -> None:
        found = reference()
        if found is None:
            shell.events.unregister("pre_run_cell", before)
        elif getattr(info, "cell_id", None) == cell:
            shell.events.unregister("pre_run_cell", before)
            found.stop()

    shell.events.register("pre_run_cell", before)


def _running_cell(shell: Any) -> str | None:
    """The id that the front end gives the cell; None where it gives none."""
    try:
        return str(shell.get_parent()["metadata"]["cellId"])
    except (AttributeError, KeyError, TypeError):
        return None
