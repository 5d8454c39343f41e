"""How long a request will take, learnt from the last runs of a model in this process."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import mean, median_low
from typing import Protocol

from sdnb.request.choices import steps_run
from sdnb.request.guidance_steps import GuidanceSteps
from sdnb.request.prompt import PromptError
from sdnb.request.prompt.guidance import guidance
from sdnb.request.request import Resolved

# A pass of the UNet costs p + p²/p1 at p pixels: what its self-attention does grows with their
# square. Of Stable Diffusion's 339 G multiplications at 512x512 those are 61 G, so p1 is
# 512² * (339 - 61) / 61.
_ATTENTION_EQUAL = 1_195_000.0
# What somebody has begun knowing how long it takes is worth a word again when it is so many times
# as long.
WORSE = 1.5
_MOST_SIZES = 32  # that are remembered: the newest


class Listener(Protocol):
    """Who is told that there is more to know."""

    def refresh(self) -> None: ...


@dataclass
class Times:
    """When the steps of a run ended, in seconds since it began."""

    ends: list[float] = field(default_factory=list)
    whole: float | None = None  # the run with all that is beside its steps; None: it did not end
    count: int = 1  # pictures
    at_once: int = 1  # pictures in a step


@dataclass(frozen=True)
class Seen:
    """What the last run of one size took, in seconds."""

    pixels: int  # width * height
    one_pass: float  # of one picture through the UNet
    # Beside its steps: before them, and after them for each picture. None if no run ended.
    ended: tuple[float, float] | None
    runs: int = 0  # that ended

    def far_from(self, pixels: int) -> float:
        """How far this size is from another one, beside others."""
        return abs(math.log(pixels / self.pixels))


@dataclass(frozen=True)
class Stretches:
    """Seconds of a run that is still to come."""

    before: float  # what is done once, before the steps
    steps: float  # all steps
    rest: float  # of one picture, after its steps
    count: int  # pictures

    @property
    def whole(self) -> float:
        return self.before + self.steps + self.count * self.rest

    def until(self, step: int, total: int) -> float:
        """Until the end of this step, of the `total` of all pictures."""
        pictures = max(0, step - 1) * self.count // total  # that are finished before it ends
        return self.before + self.steps * step / total + pictures * self.rest


class Pace:
    """What the runs of one model took. `listeners` are told after each, in its thread."""

    def __init__(self) -> None:
        self.listeners: weakref.WeakSet[Listener] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._seen: dict[int, Seen] = {}

    @contextmanager
    def timed(self, request: Resolved) -> Generator[Times]:
        """Learn from the run inside, also where it is stopped: it may be for its time."""
        times = Times()
        try:
            yield times
        finally:
            self.learn(request, times)

    def learn(self, request: Resolved, times: Times) -> None:
        """Remember a run. Its first step may wait for what is done once: alone it says nothing."""
        gaps = [after - before for before, after in pairwise(times.ends)]
        if not gaps:
            return
        # Between two pictures, a gap is longer by the decoder's time. Steps without guidance are
        # shorter than others.
        is_even = len(_guidance_steps(request).guesses) == 1
        step = median_low(gaps) if is_even else mean(gaps)
        pixels = request.width * request.height
        with self._lock:
            before = self._seen.pop(pixels, None)
            ended = before.ended if before else None
            if times.whole is not None:
                began = max(0.0, times.ends[0] - step)
                rest = max(0.0, times.whole - began - step * len(times.ends)) / times.count
                ended = began, rest
            runs = (before.runs if before else 0) + (times.whole is not None)
            self._seen[pixels] = Seen(pixels, step / times.at_once / calls(request), ended, runs)
            while len(self._seen) > _MOST_SIZES:
                del self._seen[next(iter(self._seen))]
        for listener in tuple(self.listeners):
            listener.refresh()

    @property
    def learnt(self) -> bool:
        """Whether a run was seen."""
        return bool(self._seen)

    def seconds(self, request: Resolved) -> float | None:
        """How long it will take; None while nothing is known, and for a prompt that cannot be."""
        stretches = self._stretches(request)
        return stretches.whole if stretches else None

    def is_sure(self, request: Resolved) -> bool:
        """Whether that is known of more than one run of the size that is nearest: the first one is
        slower than all others.
        """
        pixels = request.width * request.height
        with self._lock:
            seen = tuple(self._seen.values())
        return bool(seen) and min(seen, key=lambda one: one.far_from(pixels)).runs > 1

    def left(self, request: Resolved, step: int, total: int, seconds: float) -> float | None:
        """How long a run still takes that came to this step of `total` in so many seconds: by what
        the last runs took, at the speed of this one. None while nothing is known.
        """
        stretches = self._stretches(request)
        if stretches is None:
            return seconds / step * (total - step) if step else None
        until = stretches.until(step, total) if step else 0.0
        if not until:
            return stretches.whole
        # The beginning of a run says little of its speed.
        slower = 1 + (seconds / until - 1) * step / total
        return (stretches.whole - until) * slower

    def _stretches(self, request: Resolved) -> Stretches | None:
        with self._lock:
            seen = tuple(self._seen.values())
        try:
            return predicted(request, seen)
        except PromptError:
            return None


def predicted(request: Resolved, seen: Sequence[Seen]) -> Stretches | None:
    """What a request will take, scaled from the nearest size seen; None where none was. Raises
    PromptError.
    """
    if not seen:
        return None
    pixels = request.width * request.height
    near = min(seen, key=lambda one: one.far_from(pixels))
    steps = request.steps
    if request.image is not None:
        steps = steps_run(steps, request.schedule, request.strength)
    passes = steps * calls(request) * near.one_pass * work(pixels) / work(near.pixels)
    ended = [one for one in seen if one.ended is not None]
    before = rest = 0.0
    if ended:
        like = min(ended, key=lambda one: one.far_from(pixels))
        before, rest = (part * pixels / like.pixels for part in like.ended or ())
    return Stretches(before, request.count * passes, rest, request.count)


def calls(request: Resolved) -> float:
    """Passes of the UNet that a step of one picture takes on average: one for each text that guides
    it, the negative prompt and the prompt, or several prompts, which AND joins. Raises PromptError.
    """
    return _guidance_steps(request).passes


def _guidance_steps(request: Resolved) -> GuidanceSteps:
    guided = guidance(request)
    return GuidanceSteps.of(request, request.steps, len(guided.texts), guided.at)


def work(pixels: float) -> float:
    """What a pass of the UNet costs, in the time that a pixel takes without self-attention."""
    return pixels * (1 + pixels / _ATTENTION_EQUAL)


def in_words(seconds: float) -> str:
    """ "about 8 s", "about 4 min", "about 2 h"."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} min"
    return f"about {round(seconds / 3600)} h"
