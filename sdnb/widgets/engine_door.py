"""The widgets' only way into the engine, which imports torch: load a model, run a request."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from sdnb import assets
from sdnb.headers.errors import CheckpointError
from sdnb.jobs.executor import Worker

if TYPE_CHECKING:
    from sdnb.engine.model import Model
    from sdnb.images.result import Progress
    from sdnb.library import Library
    from sdnb.request import Request

_workers: weakref.WeakKeyDictionary[Any, Worker] = weakref.WeakKeyDictionary()


def load_model(
    path: str | None = None, progress: Callable[[float], object] | None = None, **more: Any
) -> Model:
    """`sdnb.load`; without a path, the built-in model."""
    from sdnb.engine.loading import load

    return load(path, progress=progress, **more)


def read_checkpoint(path: str, library: Library | None = None) -> None:
    """Read a checkpoint without weights; the hub's is downloaded. Raises as `sdnb.load` does."""
    from sdnb.engine import loading

    loading.recognise(path, library=library)


def for_few_steps(model: Any) -> str:
    """The name of a built-in variant of this model that wants fewer steps than it, and whose
    weights are there; "" where there is none.
    """
    own = assets.built_in().get(model.name)
    if own is None:
        return ""
    from sdnb.engine import loading
    from sdnb.engine.checkpoint.variants import read_variant

    for name, folder in assets.built_in().items():
        with suppress(CheckpointError, OSError):
            variant = read_variant(folder)
            if variant is None or variant.of != own.resolve():
                continue
            if loading.recognise(name).config.settings.steps < model.settings.steps:
                return name
    return ""


def worker_of(model: Any) -> Worker:
    """The one thread that runs this model, for all panels: a run moves the model's weights."""
    if model not in _workers:
        _workers[model] = Worker(partial(_run, weakref.ref(model)))
    return _workers[model]


def _run(reference: weakref.ref[Any], request: Request) -> Generator[Progress, None, None]:
    """Run a request; the worker holds no reference to the model between runs."""
    from sdnb.engine.pipeline import run

    yield from run(reference(), request)
