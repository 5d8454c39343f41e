"""Float32 is computed in float32: no TF32 on a card, no bfloat16 on a CPU, while a run computes.

By torch's default a card's convolutions round float32 to TF32, 10 bits of mantissa instead of 23. A
picture of 20 steps then differs from the CPU's by 3 to 15 of 255, and by 1 without.

The settings are the process's own, so they are put back whenever no run computes, in any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, TypeVar

import torch
from torch import backends

T = TypeVar("T")
R = TypeVar("R")

_lock = threading.Lock()
_runs = 0
_put_back: list[Callable[[], object]] = []


@contextmanager
def full_precision() -> Iterator[None]:
    """Inside, products and convolutions of float32 are exact but for float32's own rounding."""
    global _runs  # noqa: PLW0603 - so are the settings
    with _lock:
        if not _runs:
            _put_back[:] = _exact()
        _runs += 1
    try:
        yield
    finally:
        with _lock:
            _runs -= 1
            if not _runs:
                while _put_back:
                    _put_back.pop()()


def current(device: torch.device) -> AbstractContextManager[object]:
    """Inside, `device` is torch's current one, on which Triton starts kernels and events are
    recorded, wherever the tensors lie.
    """
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def in_full_precision(steps: Generator[T, None, R], device: torch.device) -> Generator[T, None, R]:
    """The same steps, each computed in full precision, with `device` as the current one. Between
    them, and where they are left half-way, the settings are the process's own.
    """
    with closing(steps):
        while True:
            with full_precision(), current(device):
                try:
                    step = next(steps)
                except StopIteration as end:
                    result: R = end.value
                    return result
            yield step


def _exact() -> list[Callable[[], object]]:
    """Set all that rounds float32; returns what puts it back, to be called from the last on.

    Since torch 2.9 there are two kinds of names for it. Where a user has set the new ones, the old
    ones refuse to be read, or leave what the new ones say.
    """
    places: list[tuple[Any, Any]] = []  # with what each takes its setting from, if it has none
    if hasattr(backends.cudnn, "conv"):
        places = [(place, backends.cudnn) for place in (backends.cudnn.conv, backends.cuda.matmul)]
        mkldnn = backends.mkldnn
        places += [(place, mkldnn) for place in (mkldnn.matmul, mkldnn.conv)]
    before: list[Callable[[], object]] = [
        partial(setattr, place, "fp32_precision", _own(place, general)) for place, general in places
    ]
    with suppress(RuntimeError):
        matmul, convolution = torch.get_float32_matmul_precision(), backends.cudnn.allow_tf32
        torch.set_float32_matmul_precision("highest")
        backends.cudnn.allow_tf32 = False
        before.append(partial(torch.set_float32_matmul_precision, matmul))
        before.append(partial(setattr, backends.cudnn, "allow_tf32", convolution))
    for place, _ in places:
        if place.fp32_precision not in ("ieee", "none"):
            place.fp32_precision = "ieee"
    return before


def _own(place: Any, general: Any) -> str:
    """The setting of a place; "none" where it is the general one, which it then goes on to take."""
    precision: str = place.fp32_precision
    return "none" if precision == general.fp32_precision else precision
