"""A word to whoever works elsewhere that the work is not wanted any more.

A signal travels with the work, and is looked at between steps. What both sides can see depends on
where that is: this process, another one of this machine, a worker of a Dask cluster.
"""

from __future__ import annotations

import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Executor as Pool
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

#: Seconds between two looks at a signal that is not in this process.
LOOK_EVERY = 0.2


class StopSignal(Protocol):
    """Raised by who sent the work, seen by who does it."""

    def set(self) -> None: ...

    def is_set(self) -> bool: ...


class FileSignal:
    """A file, for the processes of one machine; on another machine it is never seen."""

    def __init__(self) -> None:
        self.path = Path(tempfile.gettempdir()) / f"sdnb-stop-{uuid.uuid4().hex}"

    def set(self) -> None:
        self.path.touch()

    def is_set(self) -> bool:
        return self.path.exists()

    def drop(self) -> None:
        """Leave nothing behind; call it when the work is over."""
        self.path.unlink(missing_ok=True)


class DaskSignal:
    """An event that the scheduler of a Dask cluster keeps."""

    def __init__(self, client: Any) -> None:
        self.name = f"sdnb-stop-{uuid.uuid4().hex}"
        self._client = client

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "_client": None}  # a worker has a client of its own

    def set(self) -> None:
        self._event().set()

    def is_set(self) -> bool:
        return bool(self._event().is_set())

    def _event(self) -> Any:
        from dask import distributed

        event: Any = distributed.Event
        return event(self.name, client=self._client)


def signal_for(pool: Any) -> StopSignal:
    """The signal that the workers of `pool` can see: an `Executor` of Python's, else Dask's."""
    if isinstance(pool, ThreadPoolExecutor):
        return threading.Event()
    return FileSignal() if isinstance(pool, Pool) else DaskSignal(pool)


def watched(signal: StopSignal) -> Callable[[], bool]:
    """Whether the signal is raised, looked up a few times a second at the most."""
    seen, looked_at = False, -float("inf")

    def is_set() -> bool:
        nonlocal seen, looked_at
        now = time.monotonic()
        if not seen and now - looked_at >= LOOK_EVERY:
            seen, looked_at = signal.is_set(), now
        return seen

    return is_set
