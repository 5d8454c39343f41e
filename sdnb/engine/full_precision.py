"""Float32 is computed in float32: no TF32 on a card, no bfloat16 on a CPU, while a run goes on.

By torch's default a card's convolutions round float32 to TF32, 10 bits of mantissa instead of 23. A
picture of 20 steps then differs from the CPU's by 3 to 15 of 255, and by 1 without.

The settings are the process's own, so they are put back when the last run ends, in any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import backends

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


def _exact() -> list[Callable[[], object]]:
    """Set all that rounds float32; returns what puts it back, to be called from the last on.

    Since torch 2.9 there are two kinds of names for it. Where a user has set the new ones, the old
    ones refuse to be read.
    """
    places = []
    if hasattr(backends.cudnn, "conv"):
        places = [backends.cudnn.conv, backends.cuda.matmul]
        places += [backends.mkldnn.matmul, backends.mkldnn.conv]
    before: list[Callable[[], object]] = [
        partial(setattr, place, "fp32_precision", place.fp32_precision) for place in places
    ]
    try:
        matmul, convolution = torch.get_float32_matmul_precision(), backends.cudnn.allow_tf32
    except RuntimeError:
        for place in places:
            place.fp32_precision = "ieee"
        return before
    torch.set_float32_matmul_precision("highest")
    backends.cudnn.allow_tf32 = False
    before.append(partial(torch.set_float32_matmul_precision, matmul))
    before.append(partial(setattr, backends.cudnn, "allow_tf32", convolution))
    return before
