"""The peak of this process's resident memory."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path


def peak() -> int:
    """In bytes, since the process began."""
    status = Path("/proc/self/status")
    if status.exists():  # not getrusage: there, Linux passes the parent's peak on to the child
        return int(status.read_text("utf-8").split("VmHWM:")[1].split()[0]) * 1024
    import psutil

    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Growth:
    """How much the resident memory grew at its peak since this was made. Where the system cannot
    begin a new peak (any but Linux), an earlier one counts too.
    """

    def __init__(self) -> None:
        import psutil

        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", "utf-8")
        self._before = psutil.Process().memory_info().rss

    def read(self) -> int:
        """In bytes."""
        return peak() - self._before
