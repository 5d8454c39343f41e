"""How far the host runs ahead of a card, which decides how soon a run can stop.

Work is only enqueued on a card: the host enqueues a whole step in milliseconds, and what is
enqueued cannot be taken back. So where a pass is long, the host waits in the middle of it: a look
of the layers (`sdnb.request.stop`) puts a mark behind what is enqueued, unless the mark before it
is near, and waits while the card has too much before it. What the card takes from look to look is
known from the pass before, or guessed from the looks before. A pass that is known to be short runs
as it is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from sdnb.request import stop

#: Seconds of a card's work that may be enqueued, and of a pass that needs no marks.
MOST = 0.2
#: Seconds between two marks: each costs the host some microseconds, and the card a moment.
_BETWEEN = MOST / 16
#: What is thought of a piece, from look to look, of which nothing is known, and at least of others
#: that were not measured.
_UNKNOWN, _LEAST = MOST / 4, MOST / 64
#: Seconds between two questions to the card.
_PAUSE = 0.0001
#: Kinds of passes that are known at once: each has a time for each of its pieces.
_MOST_KINDS = 16


@dataclass
class _Mark:
    """A place in a card's queue."""

    event: Any
    first: int  # the number in its pass of the first piece after the mark before it
    pieces: int  # how many there are between both; 0 at a pass's beginning
    seconds: float  # what they are thought to take
    is_last: bool  # of a pass


class RunAhead:
    """Bounds how far the host runs ahead of `device` in passes that are alike; one that takes up to
    `short` seconds needs no bound. A device that is no card computes at once, and needs none.
    """

    def __init__(self, device: torch.device, short: float = MOST) -> None:
        self.short = device.type != "cuda"  # whether a pass is known to be short
        self._device, self._short = device, short
        self._took: list[float] = []  # seconds of each piece, as they were measured last
        self._guess = _UNKNOWN  # of a piece that was not
        self._measured = False  # whether a whole pass was
        self._marks: deque[_Mark] = deque()  # which the card has not passed
        self._passed: Any = None  # the event of the last one that it has
        self._pieces = 0  # of this pass that are before the last mark
        self._after, self._since = 0, 0.0  # pieces after it, and what they are thought to take
        self._enqueued = 0.0  # seconds before the last mark

    @contextmanager
    def bounded(self) -> Iterator[None]:
        """Inside, a pass is enqueued. Raises `stop.Stopped` where the run is to stop."""
        self.judge()
        if self.short:
            yield
            return
        try:
            self._pieces, self._after, self._since = 0, 0, 0.0
            self._mark()
            asked = stop.asked()
            with stop.unheard(), stop.heard(lambda: self._look(asked)):
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

    @property
    def seconds(self) -> float:
        """What a pass takes on the card, as it was measured last."""
        return sum(self._took)

    def _look(self, asked: stop.Asked) -> bool:
        """What a look of the layers does: mark, unless the last mark is near, and wait while too
        much is enqueued. Stop is heard at a mark: there are thousands of looks.
        """
        piece = self._pieces + self._after
        self._after += 1
        self._since += self._took[piece] if piece < len(self._took) else self._guess
        if self._since < _BETWEEN:
            return False
        self._mark()
        while self._enqueued > MOST and not asked():
            self._settle()
        return asked()

    def _mark(self, *, is_last: bool = False) -> None:
        event = _recorded(self._device)
        self._marks.append(_Mark(event, self._pieces, self._after, self._since, is_last))
        self._enqueued += self._since
        self._pieces, self._after, self._since = self._pieces + self._after, 0, 0.0

    def _is_past(self) -> bool:
        """Whether the card has passed the first mark."""
        return bool(self._marks[0].event.query())

    def _settle(self) -> None:
        """Note what the card took to come to the first mark, or pause where it has not."""
        if not self._is_past():
            time.sleep(_PAUSE)
            return
        mark = self._marks.popleft()
        if mark.pieces:
            took = self._passed.elapsed_time(mark.event) / 1000 / mark.pieces
            self._guess, after = max(took, _LEAST), mark.first + mark.pieces
            self._took[mark.first : after] = [took] * mark.pieces
        self._passed = mark.event
        self._enqueued = self._enqueued - mark.seconds if self._marks else 0.0
        if mark.is_last:
            self._measured = True
            self.short = self.seconds <= self._short


class KnownPasses:
    """A `RunAhead` for each kind of pass, so that what one took is known when the next one comes,
    in a later run too.
    """

    def __init__(self) -> None:
        self._known: dict[Hashable, RunAhead] = {}

    def of(self, kind: Hashable, device: torch.device) -> RunAhead:
        """That of a kind, which says all on which the time of its passes depends."""
        if kind not in self._known:
            if len(self._known) == _MOST_KINDS:
                del self._known[next(iter(self._known))]  # the oldest
            self._known[kind] = RunAhead(device)
        return self._known[kind]

    def forget(self) -> None:
        """Know nothing: passes take another time now."""
        self._known.clear()


def _recorded(device: torch.device) -> Any:
    """An event behind all that is enqueued in the current stream."""
    event = torch.cuda.Event(enable_timing=True)
    event.record(torch.cuda.current_stream(device))
    return event
