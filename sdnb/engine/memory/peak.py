"""The most memory in use while something runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psutil
import torch

from sdnb.request.memory_plan import GB

if TYPE_CHECKING:
    from typing_extensions import Self


class Peak:
    """The most memory in use in a `with` block, in GB: on a card what is reserved, on a CPU what
    is resident, at which a thread looks 50 times a second.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.gb = 0.0
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def _watch(self) -> None:
        process = psutil.Process()
        while True:
            self.gb = max(self.gb, process.memory_info().rss / GB)
            if self._done.wait(0.02):
                return

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def read(self) -> float:
        """The peak so far."""
        if self.device.type == "cuda":
            self.gb = torch.cuda.max_memory_reserved(self.device) / GB
        return self.gb
