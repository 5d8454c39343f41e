"""Whether a picture comes quickly enough to follow a hand, and what would make it so."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sdnb.request.pace import Pace, in_words
from sdnb.request.plain_words import counted
from sdnb.request.request import Resolved
from sdnb.request.settings import Settings
from sdnb.request.sizes import Size

#: Seconds that a picture may take which is made anew at each change of a control.
LIMIT = 3.0
_FIRST = 3.0  # times as long as all others the first run of a size may take
_GOING = 1.25  # times the limit, once live has run: a single picture may be a little slower
_FEWEST = 4  # steps: with fewer, most models show nothing yet
_SKETCHED = 6  # steps that show more, where the size is smaller too
_STEP = 64  # pixels of a side between two sizes that are proposed
_SMALLEST = 0.5  # of the model's own sides: below, it draws nothing of use


@dataclass(frozen=True)
class Quicker:
    """Steps or a size, or both, with which a picture is quick enough; what is None stays."""

    seconds: float
    steps: int | None = None
    size: Size | None = None

    def __str__(self) -> str:
        """ "12 steps", "344 × 192", "6 steps at 192 × 192"."""
        steps = "" if self.steps is None else counted(self.steps, "step")
        size = "" if self.size is None else f"{self.size[0]} × {self.size[1]}"
        return " at ".join(filter(None, (steps, size)))

    @property
    def fields(self) -> dict[str, int]:
        """The fields of a request that it changes."""
        sides = {} if self.size is None else dict(zip(("width", "height"), self.size, strict=True))
        return sides if self.steps is None else {"steps": self.steps, **sides}


@dataclass(frozen=True)
class TooSlow:
    """Why a picture is not made live: the `seconds` that it takes. `ways` are what makes it quick,
    first what changes least of what is seen, and `fast` is the name of a model for few steps, or
    "".
    """

    seconds: float
    ways: tuple[Quicker, ...]
    fast: str

    @property
    def why(self) -> str:
        """A few words: they stand above the picture."""
        return f"{_words(self.seconds).capitalize()} a picture: live takes {LIMIT:g} s at most."

    @property
    def way_out(self) -> str:
        """All that makes it quick, in a sentence."""
        ways = [f"{way} ({_words(way.seconds)})" for way in self.ways]
        if self.fast:
            ways.append(f'the model for few steps, sdnb.load("{self.fast}")')
        return f"Quicker: {_listed(ways)}." if ways else "Nothing makes it as quick here."


def too_slow(
    request: Resolved, pace: Pace, settings: Settings, *, fast: str = "", going: bool = False
) -> TooSlow | None:
    """Whether a picture takes too long to be made live, and what would make it quick; None where it
    is quick enough, or nothing is known yet.

    `settings` are the model's. `fast` is the name of the same model for few steps, where there is
    one. After one run of a size alone three times as long is quick enough: it was the first. While
    live is `going`, which is once a picture of it came, a quarter more is: the computer may have
    been busy for a moment, and one picture of 3.2 s is no reason to stop. What is proposed takes
    the limit itself at most.
    """
    most = LIMIT * (_GOING if going else 1.0) if pace.is_sure(request) else LIMIT * _FIRST
    seconds = pace.seconds(request)
    if seconds is None or seconds <= most:
        return None
    ways = [*_fewer_steps(request, pace), *_smaller(request, pace, settings)]
    return TooSlow(seconds, tuple(ways or _both(request, pace, settings)), fast)


def _fewer_steps(request: Resolved, pace: Pace, size: Size | None = None) -> list[Quicker]:
    """The most steps that are quick enough, at this size if one is given."""
    fields = Quicker(0.0, size=size).fields
    fewer = range(_FEWEST, request.steps)
    count = bisect_right(fewer, LIMIT, key=lambda n: _seconds(request, pace, steps=n, **fields))
    if not count:
        return []
    steps = fewer[count - 1]
    return [Quicker(_seconds(request, pace, steps=steps, **fields), steps, size)]


def _smaller(request: Resolved, pace: Pace, settings: Settings) -> list[Quicker]:
    """The largest size of these proportions that is quick enough."""
    for width, height in _sizes(request, settings):
        seconds = _seconds(request, pace, width=width, height=height)
        if seconds <= LIMIT:
            return [Quicker(seconds, size=(width, height))]
    return []


def _both(request: Resolved, pace: Pace, settings: Settings) -> list[Quicker]:
    """The largest size at which a few steps are quick enough, with as many as are."""
    for least in (_SKETCHED, _FEWEST):
        for size in _sizes(request, settings):
            for way in _fewer_steps(request, pace, size):
                if way.steps is not None and way.steps >= least:
                    return [way]
    return []


def _sizes(request: Resolved, settings: Settings) -> Iterator[Size]:
    """Smaller sizes of these proportions, the largest first."""
    longer = max(request.width, request.height)
    least = round(_SMALLEST * max(settings.width, settings.height))
    for side in range((longer - 1) // _STEP * _STEP, least - 1, -_STEP):
        yield _scaled(request, side)


def _scaled(request: Resolved, longer: int) -> Size:
    """The request's size with a longer side of so many pixels."""
    by = longer / max(request.width, request.height)
    width, height = (max(8, round(side * by / 8) * 8) for side in (request.width, request.height))
    return width, height


def _seconds(request: Resolved, pace: Pace, **fields: Any) -> float:
    """What the request takes with other fields; for ever, where they contradict each other."""
    with suppress(ValueError):
        return pace.seconds(replace(request, **fields)) or math.inf
    return math.inf


def _words(seconds: float) -> str:
    """ "about 3.4 s", which is not to look like the limit; "about 4 min"."""
    return f"about {seconds:.1f} s" if seconds < 10 else in_words(seconds)


def _listed(ways: list[str]) -> str:
    *first, last = ways
    return f"{', '.join(first)}, or {last}" if first else last
