"""The widgets' only door to the part with torch in it: models are loaded and run through here."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any

from sdnb.jobs.executor import Worker

if TYPE_CHECKING:
    from sdnb.engine.model import Model
    from sdnb.images.result import Progress
    from sdnb.request.request import Request

_workers: weakref.WeakKeyDictionary[Any, Worker] = weakref.WeakKeyDictionary()


def load_model(
    path: str | None = None, progress: Callable[[float], object] | None = None, **more: Any
) -> Model:
    """`sdnb.load`; without a path the embedded model."""
    from sdnb.engine.loading import load

    return load(path, progress=progress, **more)


def read_checkpoint(path: str) -> None:
    """Read what a model's files say of themselves, and no weight. What is only on the hub is
    downloaded. Raises as `sdnb.load` what can be known before.
    """
    from sdnb.engine import checkpoint

    checkpoint.read(path)


def worker_of(model: Any) -> Worker:
    """The one thread on which this model runs, whichever panel asks: its weights are moved about
    in a run, so that two at once would disturb each other.
    """
    if model not in _workers:
        _workers[model] = Worker(partial(_run, weakref.ref(model)))
    return _workers[model]


def _run(reference: weakref.ref[Any], request: Request) -> Generator[Progress, None, None]:
    """A run that does not keep the model alive while nothing runs."""
    from sdnb.engine.pipeline import run

    yield from run(reference(), request)
