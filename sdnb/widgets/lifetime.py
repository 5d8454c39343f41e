"""Stops a widget's runs when its cell runs again or is deleted, and when the kernel is interrupted.

IPython names the cell that is about to run, and the widgets that this cell made before are stopped.
The browser counts the views of a widget. The count falls when a cell is deleted or its output is
cleared, but not when the page is closed or reloaded: runs then go on.
An interrupt reaches the main thread alone: a cell that runs there gets a KeyboardInterrupt, and
between cells a kernel ignores it. Then it is ours.
"""

from __future__ import annotations

import asyncio
import contextvars
import signal
import threading
import weakref
from contextlib import suppress
from typing import Any

UNSEEN_SECONDS = 5.0  # long enough to move a cell, or to undo its deletion
_AGAIN = 0.2  # seconds


def tie(owner: Any) -> None:
    """Call a widget's `stop` in all three cases."""
    tie_to_cell(owner)
    tie_to_view(owner)
    tie_to_interrupt(owner)


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


_interrupted: weakref.WeakSet[Any] = weakref.WeakSet()  # whose `stop` an interrupt calls
_listening = False


def tie_to_interrupt(owner: Any) -> None:
    """Call `owner.stop` when the kernel is interrupted while it runs no cell: a cell's interrupt is
    its own. Outside a kernel of IPython, do nothing.
    """
    global _listening  # noqa: PLW0603 - so is the signal's handler
    from IPython import get_ipython

    _interrupted.add(owner)
    is_kernel = getattr(get_ipython(), "kernel", None) is not None
    if _listening or not is_kernel or threading.current_thread() is not threading.main_thread():
        return
    with suppress(RuntimeError):  # some kernel without asyncio
        loop = asyncio.get_running_loop()
        loop.call_soon(_listen, loop)
        _listening = True


def _listen(loop: asyncio.AbstractEventLoop) -> None:
    """Take the interrupt that the kernel ignores; while a cell has it, try again soon."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        loop.call_later(_AGAIN, _listen, loop)
        return
    # Not in the handler itself, which may be called in the middle of anything.
    signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(_stop_all))


def _stop_all() -> None:
    for owner in list(_interrupted):
        owner.stop()


def running_cell() -> tuple[str | None, str]:
    """The id of the cell that runs, or None, and a text that is another each time that it runs."""
    from IPython import get_ipython

    try:
        parent = get_ipython().get_parent()
        return str(parent["metadata"]["cellId"]), str(parent["header"]["msg_id"])
    except (AttributeError, KeyError, TypeError):
        return None, ""
