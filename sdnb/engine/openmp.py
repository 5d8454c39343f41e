"""Gives back the threads with which OpenMP computes, when a run is done.

libgomp, which torch has on Linux, keeps a pool of them for each thread of the program that ever
computed. When all pools together have more threads than there are cores, those that wait go to
sleep almost at once, and are woken for each of the thousands of short loops of a picture. A panel's
pictures are made in another thread than the one that loaded the model: on two cores, 0.80 s for a
picture that takes 0.56.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_SOFT = 1  # omp_pause_soft, of OpenMP 5.0


@contextmanager
def borrowed() -> Generator[None]:
    """Give back this thread's pool at the end of the block, or of the function if this decorates
    one. Its next loop makes another, in a tenth of a millisecond. Where there is no libgomp, as on
    Windows and macOS, nothing is done.
    """
    try:
        yield
    finally:
        for pause in _pauses():
            pause(_SOFT)


@cache
def _pauses() -> list[Callable[[int], int]]:
    """`omp_pause_resource_all` of each libgomp that this program has loaded: torch's, as a rule."""
    if sys.platform != "linux":
        return []
    loaded = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    files = {line.split(maxsplit=5)[-1] for line in loaded.splitlines() if "libgomp" in line}
    libraries = (ctypes.CDLL(file) for file in sorted(files))
    return [
        each.omp_pause_resource_all for each in libraries if hasattr(each, "omp_pause_resource_all")
    ]
