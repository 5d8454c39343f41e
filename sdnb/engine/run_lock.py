"""One run of a model at a time: a run moves weights and fills buffers, so two would disturb each
other. Runs go in the order in which they asked.

    with run_lock.ask() as turn:
        while not turn.come():   # waits for a fraction of a second, so that a caller may break off
            ...
        ...                      # the model is ours until the end of the block

The garbage collector may end a generator that holds a turn at any time and in any thread, also in
one that waits here. So leaving takes no lock: the queue is a deque, whose changes are atomic.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress

from sdnb.engine import openmp

#: Seconds of one wait: an interrupt, or Stop, is heard after them on every system.
PATIENCE = 0.2


_process = 0  # the id of the process that has loaded or run a model, here or before a fork


def refuse_forks() -> None:
    """Raise RuntimeError in a process that was forked after a model was loaded or run: torch's
    threads, and a card, do not come along, and it would wait for them for ever.
    """
    global _process  # noqa: PLW0603 - so is the process
    _process = _process or os.getpid()
    if _process != os.getpid():
        raise RuntimeError(
            "this process was forked from one that had loaded or run a model, and torch hangs in "
            'such a process: begin it with multiprocessing.get_context("spawn"), or load and run '
            "models in forked processes alone"
        )


class RunLock:
    """The queue before a model."""

    def __init__(self) -> None:
        self._line: deque[Turn] = deque()  # the first of it has its turn

    @contextmanager
    def ask(self, *, within: bool = False) -> Generator[Turn]:
        """A turn to wait for. With `within` it comes at once where the same thread has the turn.

        Raises RuntimeError in a process that was forked from one with a model.
        """
        refuse_forks()
        turn = Turn(self._line, within)
        try:
            with openmp.borrowed():
                yield turn
        finally:
            turn.leave()


class Turn:
    """A place in the queue; then the turn, until the block ends."""

    def __init__(self, line: deque[Turn], within: bool) -> None:
        self.waited = 0.0  # seconds
        self._line, self._within = line, within
        self._thread = 0
        self._called = threading.Lock()

    def come(self, seconds: float = PATIENCE) -> bool:
        """Wait at most so long; returns whether it is our turn. If not, we leave the queue, so that
        nobody waits behind a caller who has gone away.

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
        """Wait until it is our turn, or until an interrupt."""
        while not self.come():
            pass

    def _first(self) -> bool:
        return self._line[0] is self

    def leave(self) -> None:
        """Leave the queue, and wake the next one."""
        with suppress(ValueError):
            self._line.remove(self)
        with suppress(IndexError, RuntimeError):  # nobody is there, or is called already
            self._line[0]._called.release()  # noqa: SLF001
