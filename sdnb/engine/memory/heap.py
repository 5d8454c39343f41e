"""What the C library keeps of freed memory, and how it is given back to the system."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache


def give_back() -> bool:
    """Give all pages of freed memory back, which glibc keeps for what comes next: so that a stage
    begins with what is in use. False where there is no such function, as on Windows and macOS.
    """
    trim = _trim()
    return trim is not None and bool(trim(0))


@cache
def _trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
