"""Stop signals: sent along with a request, they end its run elsewhere, also inside a step."""

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

#: Seconds between two looks: a signal of another process costs a file or network access.
LOOK_EVERY = 0.2


class StopSignal(Protocol):
    """The sender sets it, and the worker reads it. `threading.Event` is one."""

    def set(self) -> None: ...

    def is_set(self) -> bool: ...


class FileSignal:
    """A file, seen by all processes of this machine and by no other machine."""

    def __init__(self) -> None:
        self.path = Path(tempfile.gettempdir()) / f"sdnb-stop-{uuid.uuid4().hex}"

    def set(self) -> None:
        self.path.touch()

    def is_set(self) -> bool:
        return self.path.exists()

    def drop(self) -> None:
        """Remove the file. Call it when the run is over."""
        self.path.unlink(missing_ok=True)


class DaskSignal:
    """An event in the scheduler of a Dask cluster."""

    def __init__(self, client: Any) -> None:
        self.name = f"sdnb-stop-{uuid.uuid4().hex}"
        self._client = client

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "_client": None}  # each worker uses its own client

    def set(self) -> None:
        self._event().set()

    def is_set(self) -> bool:
        return bool(self._event().is_set())

    def _event(self) -> Any:
        from dask import distributed

        event: Any = distributed.Event
        return event(self.name, client=self._client)


def signal_for(pool: Any) -> StopSignal:
    """A signal that the workers of `pool`, an executor or a Dask client, can see."""
    if isinstance(pool, ThreadPoolExecutor):
        return threading.Event()
    return FileSignal() if isinstance(pool, Pool) else DaskSignal(pool)


def watched(signal: StopSignal) -> Callable[[], bool]:
    """A function that tells whether the signal is set, and looks a few times a second at most."""
    seen, looked_at = False, -float("inf")

    def is_set() -> bool:
        nonlocal seen, looked_at
        now = time.monotonic()
        if not seen and now - looked_at >= LOOK_EVERY:
            seen, looked_at = signal.is_set(), now
        return seen

    return is_set
