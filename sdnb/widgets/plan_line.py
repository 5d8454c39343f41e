"""What a request will take, as lines: memory by its forecast, time by what the last runs took.

The planner works in a thread of its own, so that no control waits for it.
"""

from __future__ import annotations

import contextvars
import html
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from sdnb.request import Request, Resolved, Settings
from sdnb.request.pace import WORSE, in_words
from sdnb.request.plain_words import digits

_LONG = 60.0  # seconds: who waits longer wants to know before
_BURNS = 3.0  # more CFG than that, where 1 is what suits
_MUCH = 0.8  # of the memory that there is
_QUIET, _WARNING = "sdnb-quiet", "sdnb-warn"


class PlanLine(widgets.HTML):
    """Shows the forecast of the newest request given to `ask`; older ones are dropped. The words
    `before` stand before it where it needs no care.
    """

    def __init__(self, before: str = "") -> None:
        super().__init__()
        self.add_class("sdnb-plan")
        self._before = before
        self._lock = threading.RLock()
        self._asked: tuple[Any, Request] | None = None
        self._key: object = None
        self._busy = False
        self._only_time = False
        self._own_cfg = 0.0  # what suits the model
        self._heeded = 0.0  # seconds of what was begun all the same
        self._memory = ("", "")  # a style and words
        self._model: Any = None
        self._request: Request | None = None
        self._runs: tuple[Resolved, ...] = ()

    def ask(self, model: Any, request: Request, *runs: Resolved, settings: Settings) -> None:
        """Show this request's forecast soon, unless the fields that it depends on are the same, and
        how long `runs` take, by default the request's one, as soon as anything is known of it.
        `settings` are those that its open fields get.
        """
        cfg = settings.cfg if request.cfg is None else request.cfg
        key = (
            id(model), request.width, request.height, request.count, cfg in (0, 1),
            request.image, request.padding, request.fit,
            tuple(each.net for each in request.controls),
        )  # fmt: skip
        with self._lock:
            if model is not self._model:
                self._heeded = 0.0
            self._model, self._runs, self._request = model, runs, request
            self._own_cfg = settings.cfg
            with suppress(ValueError):  # Generate shows how the controls contradict each other
                self._runs = runs or (request.resolved(settings),)
            model.pace.listeners.add(self)
            if key != self._key and self._only_time:
                self._memory = ("", "")  # of something else
            self._show()
            if key != self._key and not self._only_time:
                self._key = key
                self._predict(model, request)

    def refresh(self) -> None:
        """Show what is known after a run: its time, and what memory it has left taken."""
        with self._lock:
            self._show()
            if self._model is not None and self._request is not None and not self._only_time:
                self._predict(self._model, self._request)

    def heed(self) -> None:
        """Note that what it speaks of was begun: its time is no warning again before it is much
        longer.
        """
        with self._lock:
            self._heeded = max(self._heeded, self.seconds or 0.0)
            self._show()

    @property
    def seconds(self) -> float | None:
        """How long what was asked for takes, by the last runs; None while nothing is known."""
        times = self._times()
        return sum(times) if times else None

    @property
    def only_time(self) -> bool:
        """Whether memory is not forecast anew: that takes longer than some pictures do."""
        return self._only_time

    @only_time.setter
    def only_time(self, value: bool) -> None:
        self._only_time = value
        self.refresh()

    def _predict(self, model: Any, request: Request) -> None:
        self._asked = model, request
        if not self._busy:
            self._busy = True
            context = contextvars.copy_context()
            # No daemon: an interpreter that ends while torch plans in one is aborted by C++
            # ("terminate called without an active exception"). So it waits for this plan.
            threading.Thread(target=context.run, args=(self._answer,)).start()

    def _show(self) -> None:
        with self._lock:
            if self._model is not None:
                several = self._request is not None and self._request.count > 1
                enough = max(_LONG, WORSE * self._heeded)
                time = _time_in_words(self._times(), enough, several=several)
                held = _held_in_words(self._request)
                burnt = _cfg_in_words(self._request, self._own_cfg)
                self.value = _lines([time, self._memory, held, burnt], self._before)

    def _times(self) -> list[float]:
        """The seconds of each run that something is known of."""
        with self._lock:
            times = [self._model.pace.seconds(run) for run in self._runs]
        return [time for time in times if time is not None]

    def _answer(self) -> None:
        while True:
            with self._lock:
                asked, self._asked = self._asked, None
                if asked is None:
                    self._busy = False
                    return
            words = _memory_in_words(*asked)
            with self._lock:
                self._memory = words
                self._show()


def _lines(said: list[tuple[str, str]], before: str) -> str:
    """HTML: what needs no care is one line, each warning is a line of its own."""
    quiet = " · ".join(words for style, words in said if style == _QUIET and words)
    lines = [(_QUIET, f"{before}{quiet}")] if quiet else []
    lines += [(style, words) for style, words in said if style == _WARNING]
    return "".join(f'<div class="{style}">{html.escape(words)}</div>' for style, words in lines)


def _time_in_words(seconds: list[float], enough: float, *, several: bool) -> tuple[str, str]:
    if not seconds:
        return "", ""
    whole = sum(seconds)
    if whole <= enough:
        return _QUIET, f"{in_words(whole)}, by the last runs"
    fewer = "fewer pictures, pixels or steps" if several else "fewer pixels or steps"
    return _WARNING, f"It takes {in_words(whole)}: {fewer} are quicker."  # in one line


def _cfg_in_words(request: Request | None, own: float) -> tuple[str, str]:
    """A model for few steps has learnt its guidance: with as much again its pictures burn."""
    cfg = None if request is None else request.cfg
    if cfg is None or own > 1 or cfg <= _BURNS:
        return "", ""
    return _WARNING, f"CFG {digits(cfg)} burns this model's pictures: {digits(own)} suits it."


def _held_in_words(request: Request | None) -> tuple[str, str]:
    """Which control networks work: their section may be folded, and far below."""
    controls = [] if request is None else [each for each in request.controls if each.scale]
    nets = ", ".join(dict.fromkeys(Path(each.net).stem for each in controls))
    return _QUIET, f"held to a picture by {nets}" if nets else ""


def _memory_in_words(model: Any, request: Request) -> tuple[str, str]:
    try:
        forecast = model.plan(request)
    except (ValueError, TypeError):  # Generate shows these in full
        return "", ""
    except BaseException as error:  # noqa: BLE001 - shown here; a dead thread would answer nothing more
        why = f"{type(error).__name__}: {error}"
        return _WARNING, f"What this takes could not be predicted ({why})."
    words, much = str(forecast), forecast.gb > _MUCH * forecast.room
    if not (much or forecast.refusal):
        on_cpu = forecast.plan.name == "cpu"
        plan = " in all" if on_cpu else f" (plan {forecast.plan.name})"
        tiny = ", a draft by the tiny VAE" if forecast.plan.tiny_vae else ""
        words = f"up to {forecast.gb:.2f} GB of memory{plan}{tiny}"
    if much and not forecast.refusal:
        words += f"; there are {forecast.room:.2f} GB"
    return _WARNING if much or forecast.refusal else _QUIET, words
