"""Stops a widget's runs when its cell runs again or is deleted.

IPython names the cell that is about to run, and the widgets that this cell made before are stopped.
The browser counts the views of a widget. The count falls when a cell is deleted or its output is
cleared, but not when the page is closed or reloaded: runs then go on.
"""

from __future__ import annotations

import contextvars
import threading
import weakref
from typing import Any

UNSEEN_SECONDS = 5.0  # long enough to move a cell, or to undo its deletion


def tie_to_cell(owner: Any) -> None:
    """Call `owner.stop` when the current cell runs again; outside IPython, do nothing."""
    from IPython import get_ipython

    shell = get_ipython()
    cell, _ = running_cell()
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
    """Call a widget's `stop` when it was shown and then was in no view for `UNSEEN_SECONDS`."""
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


def running_cell() -> tuple[str | None, str]:
    """The id of the cell that runs, or None, and a text that is another each time that it runs."""
    from IPython import get_ipython

    try:
        parent = get_ipython().get_parent()
        return str(parent["metadata"]["cellId"]), str(parent["header"]["msg_id"])
    except (AttributeError, KeyError, TypeError):
        return None, ""
