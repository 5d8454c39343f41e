"""Whether a picture comes quickly enough to follow a hand, and what would make it so."""

from __future__ import annotations

import math
from bisect import bisect_right
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sdnb.request.pace import Pace, in_words
from sdnb.request.plain_words import counted
from sdnb.request.request import Resolved
from sdnb.request.settings import Settings
from sdnb.request.sizes import Size

#: Seconds that a picture may take which is made anew at each change of a control.
LIMIT = 3.0
_FIRST = 3.0  # times as long as all others the first run of a size may take
_FEWEST = 4  # steps: with fewer, most models show nothing yet
_STEP = 64  # pixels of a side between two sizes that are proposed
_SMALLEST = 0.5  # of the model's own sides: below, it draws nothing of use


def too_slow(request: Resolved, pace: Pace, settings: Settings, *, fast: str = "") -> str:
    """Why a picture is not made live, with what would make it quick; "" where it is quick enough,
    or nothing is known yet.

    `settings` are the model's. `fast` is the name of the same model for few steps, where there is
    one. After one run of a size alone three times as long is quick enough: it was the first.
    """
    seconds, most = pace.seconds(request), LIMIT if pace.is_sure(request) else _FIRST * LIMIT
    if seconds is None or seconds <= most:
        return ""
    ways = [*_fewer_steps(request, pace), *_smaller(request, pace, settings)]
    ways = ways or _both(request, pace, settings)
    if fast:
        ways.append(f'the model for few steps, sdnb.load("{fast}")')
    way_out = f" Quicker: {_listed(ways)}." if ways else " Nothing makes it as quick here."
    return (
        f"A picture takes {_words(seconds)} with these settings, and live makes those that take "
        f"{LIMIT:g} s at most.{way_out}"
    )


def _fewer_steps(request: Resolved, pace: Pace) -> list[str]:
    """The most steps that are quick enough, in words."""
    fewer = range(_FEWEST, request.steps)
    count = bisect_right(fewer, LIMIT, key=lambda n: _seconds(request, pace, steps=n))
    if not count:
        return []
    steps = fewer[count - 1]
    return [f"{counted(steps, 'step')} ({_words(_seconds(request, pace, steps=steps))})"]


def _smaller(request: Resolved, pace: Pace, settings: Settings) -> list[str]:
    """The largest size of these proportions that is quick enough, in words."""
    longer = max(request.width, request.height)
    least = round(_SMALLEST * max(settings.width, settings.height))
    for side in range((longer - 1) // _STEP * _STEP, least - 1, -_STEP):
        width, height = _scaled(request, side)
        seconds = _seconds(request, pace, width=width, height=height)
        if seconds <= LIMIT:
            return [f"{width} × {height} ({_words(seconds)})"]
    return []


def _both(request: Resolved, pace: Pace, settings: Settings) -> list[str]:
    """Whether the fewest steps at the smallest size are quick enough, in words."""
    least = round(_SMALLEST * max(settings.width, settings.height))
    width, height = _scaled(request, min(least, max(request.width, request.height)))
    steps = min(_FEWEST, request.steps)
    seconds = _seconds(request, pace, steps=steps, width=width, height=height)
    return ["fewer steps and a smaller size together"] if seconds <= LIMIT else []


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
