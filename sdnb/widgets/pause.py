"""Waits until a person pauses: an act is done when nobody has asked for it anew for a moment."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable


class Pause:
    """Calls `act` once, `seconds` after the last `begin`, in a thread of its own: one, however
    often somebody begins, and none while nothing is to come.
    """

    def __init__(self, seconds: float, act: Callable[[], object]) -> None:
        self._seconds, self._act = seconds, act
        self._changed = threading.Condition()
        self._due: float | None = None  # when to act; None: not at all
        self._waits = False  # whether the thread is there

    def begin(self) -> None:
        """Wait from now on, in place of what was waited for."""
        with self._changed:
            self._due = time.monotonic() + self._seconds
            if not self._waits:
                self._waits = True
                # Some versions of ipykernel let a thread set a widget's value only in the context
                # of the caller.
                run = contextvars.copy_context().run
                thread = threading.Thread(target=run, args=(self._wait,), name="sdnb-pause")
                thread.daemon = True
                thread.start()

    def forget(self) -> None:
        """Do nothing, unless somebody begins again."""
        with self._changed:
            self._due = None
            self._changed.notify()

    def _wait(self) -> None:
        with self._changed:
            while self._due is not None and (left := self._due - time.monotonic()) > 0:
                self._changed.wait(left)
            due, self._due, self._waits = self._due is not None, None, False
        if due:
            self._act()
