"""Whose turn it is with a model: its weights move and its buffers are filled during a run, so two
at once would disturb each other. First come, first served.

    with run_lock.ask() as turn:
        while not turn.come():   # a fraction of a second at a time: whoever waits may break off
            ...
        ...                      # it is ours, until the end of the block

A generator that holds a turn may be collected at any time in any thread, also while that thread
waits here. So nothing waits on the way out: the line is a deque, whose changes are atomic.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress

#: Seconds of one wait: an interrupt, or Stop, is heard after them on every system.
PATIENCE = 0.2


class RunLock:
    """The line before a model."""

    def __init__(self) -> None:
        self._line: deque[Turn] = deque()  # the first of it has its turn

    @contextmanager
    def ask(self, *, within: bool = False) -> Generator[Turn]:
        """A turn to wait for; one `within` is at once there in the middle of a turn that the same
        thread has, as a part of it.
        """
        turn = Turn(self._line, within)
        try:
            yield turn
        finally:
            turn.leave()


class Turn:
    """A place in the line, while it is waited for; then the turn, until the block ends."""

    def __init__(self, line: deque[Turn], within: bool) -> None:
        self.waited = 0.0  # seconds
        self._line, self._within = line, within
        self._thread = 0
        self._called = threading.Lock()

    def come(self, seconds: float = PATIENCE) -> bool:
        """Wait so long at the most; whether it is our turn. Out of the line again if not, so that
        nobody stands behind one who has gone away.

        Raises RuntimeError where this thread itself has the turn: it would wait for ever.
        """
        self._thread = threading.get_ident()
        with suppress(IndexError):
            if self._line[0]._thread == self._thread:  # noqa: SLF001
                if self._within:
                    return True
                raise RuntimeError(
                    "another run of this model is half-way in this thread, and two at once would "
                    "mix their pictures: finish it, or close it (steps.close(), where steps is "
                    "what sdnb.run or grid.steps gave), and then begin this one"
                )
        began = time.perf_counter()
        self._called.acquire(blocking=False)
        self._line.append(self)
        while not self._first():
            left = began + seconds - time.perf_counter()
            if left <= 0 or not self._called.acquire(timeout=left):
                break
        self.waited += time.perf_counter() - began
        if self._first():
            return True
        self.leave()
        return False

    def wait(self) -> None:
        """Wait as long as it takes; an interrupt ends it."""
        while not self.come():
            pass

    def _first(self) -> bool:
        return self._line[0] is self

    def leave(self) -> None:
        """Out of the line; whoever comes next is called."""
        with suppress(ValueError):
            self._line.remove(self)
        with suppress(IndexError, RuntimeError):  # nobody is there, or is called already
            self._line[0]._called.release()  # noqa: SLF001
