"""When a cell runs again or is deleted, what its last run started is stopped.

IPython tells which cell is about to run: the panels that the same cell made before are then asked
to stop. A browser counts the views of a widget, and takes one off when a cell is deleted or its
output cleared; not when the page is closed or loaded anew, so a run goes on then.
"""

from __future__ import annotations

import contextvars
import threading
import weakref
from typing import Any, Protocol

UNSEEN_SECONDS = 5.0  # seconds: a cell that is moved, or whose deletion is undone, is shown again


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
        alive = reference()
        if alive is None:
            shell.events.unregister("pre_run_cell", before)
        elif getattr(info, "cell_id", None) == cell:
            shell.events.unregister("pre_run_cell", before)
            alive.stop()

    shell.events.register("pre_run_cell", before)


def tie_to_view(owner: Any) -> None:
    """Stop `owner`, a widget, when it was shown and has been out of sight for `UNSEEN_SECONDS`."""
    reference = weakref.ref(owner)

    def look() -> None:
        alive = reference()
        if alive is not None and not alive._view_count:  # noqa: SLF001 - ipywidgets' own
            alive.stop()

    def counted(change: Any) -> None:
        if change["old"] and not change["new"]:
            timer = threading.Timer(UNSEEN_SECONDS, contextvars.copy_context().run, (look,))
            timer.daemon = True
            timer.start()

    owner.set_trait("_view_count", 0)  # from now on the browser counts
    owner.observe(counted, "_view_count")


def _running_cell(shell: Any) -> str | None:
    """The id that the front end gives the cell; None where it gives none."""
    try:
        return str(shell.get_parent()["metadata"]["cellId"])
    except (AttributeError, KeyError, TypeError):
        return None
