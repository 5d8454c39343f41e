"""How far the host runs ahead of a card, which decides how soon a run can stop.

Work is only enqueued on a card: the host enqueues a whole step in milliseconds, and what is
enqueued cannot be taken back. So where a pass is long, the host waits in the middle of it: each
look of the layers (`sdnb.request.stop`) puts a mark behind what is enqueued, and waits while the
card has too much before it. What the card takes from look to look is known from the pass before. A
pass that is known to be short runs as it is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from sdnb.request import stop

#: Seconds of a card's work that may be enqueued, and of a pass that needs no marks.
MOST = 0.2
#: Pieces of unknown length, from look to look, that may be enqueued.
_UNKNOWN = 4
#: Seconds between two questions to the card.
_PAUSE = 0.0001


@dataclass
class _Mark:
    """A place in a card's queue."""

    event: Any
    piece: int  # the number of the piece of the pass before it; 0 at a pass's beginning
    seconds: float  # what that piece is thought to take
    is_last: bool  # of a pass


class RunAhead:
    """Bounds how far the host runs ahead of `device` in passes that are alike. A device that is no
    card computes at once, and needs no bound.
    """

    def __init__(self, device: torch.device) -> None:
        self.short = device.type != "cuda"  # whether a pass is known to be short
        self._device = device
        self._took: list[float] = []  # seconds of each piece, as they were measured last
        self._measured = False  # whether a whole pass was
        self._marks: deque[_Mark] = deque()  # which the card has not passed
        self._passed: Any = None  # the event of the last one that it has
        self._pieces = 0  # of this pass, so far
        self._enqueued = 0.0  # seconds before the last mark

    @contextmanager
    def bounded(self) -> Iterator[None]:
        """Inside, a pass is enqueued. Raises `stop.Stopped` where the run is to stop."""
        self.judge()
        if self.short:
            yield
            return
        try:
            self._pieces = 0
            self._mark()
            asked = stop.asked()
            with stop.heard(lambda: self._look(asked)):
                yield
            self._mark(is_last=True)
        except BaseException:
            self._marks.clear()
            self._enqueued = 0.0
            raise

    def judge(self) -> bool:
        """Whether a pass is known to be short, which the end of the first one shows: it is waited
        for.
        """
        while not self.short and self._marks and (not self._measured or self._is_past()):
            stop.look()
            self._settle()
        return self.short

    def _look(self, asked: stop.Asked) -> bool:
        """What a look of the layers does: mark, and wait while too much is enqueued."""
        self._mark()
        while self._enqueued > MOST:
            if asked():
                return True
            self._settle()
        return False

    def _mark(self, *, is_last: bool = False) -> None:
        piece = self._pieces
        known = piece < len(self._took)
        seconds = (self._took[piece] if known else MOST / _UNKNOWN) if piece else 0.0
        self._marks.append(_Mark(_recorded(self._device), piece, seconds, is_last))
        self._enqueued += seconds
        self._pieces += 1

    def _is_past(self) -> bool:
        """Whether the card has passed the first mark."""
        return bool(self._marks[0].event.query())

    def _settle(self) -> None:
        """Note what the card took to come to the first mark, or pause where it has not."""
        if not self._is_past():
            time.sleep(_PAUSE)
            return
        mark = self._marks.popleft()
        took = self._passed.elapsed_time(mark.event) / 1000 if mark.piece else 0.0
        self._passed = mark.event
        self._took[mark.piece :] = [took, *self._took[mark.piece + 1 :]]
        self._enqueued = self._enqueued - mark.seconds if self._marks else 0.0
        if mark.is_last:
            self._measured = True
            self.short = sum(self._took) <= MOST


def _recorded(device: torch.device) -> Any:
    """An event behind all that is enqueued in the current stream."""
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(device))
    return event
