"""The time from a mouse event to the drawing that the mask editor sends for it."""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from PIL import Image

from sdnb.widgets.masks.editor import MaskEditor


def move_to_ink(side: int = 512, moves: int = 300, busy: bool = False) -> dict[str, Any]:
    """The median and the 95th percentile in milliseconds, and the bytes a move.

    A wave is drawn on a picture of `side` pixels, with a move every 8 ms, as a mouse sends them.
    With `busy`, torch convolves in another thread meanwhile. No browser is involved.
    """
    editor = MaskEditor(Image.new("RGB", (side, side), "grey"))
    canvas = editor.canvas
    sent: list[tuple[float, int]] = []
    manager = canvas._canvas_manager  # noqa: SLF001 - ipycanvas's only way out
    send = manager.send

    def listening(content: Any, buffers: Any = None) -> None:
        send(content, buffers=buffers)
        sent.append((time.perf_counter(), sum(memoryview(b).nbytes for b in buffers or ())))

    def event(name: str, x: float, y: float) -> None:
        content = {"event": name, "x": x, "y": y}
        canvas[-1]._handle_frontend_event(canvas, content, [])  # noqa: SLF001 - as a browser

    width, height = canvas.width, canvas.height
    taken = []
    manager.send = listening
    try:
        with _convolving() if busy else nullcontext():
            event("mouse_down", 0.1 * width, 0.5 * height)
            for k in range(moves):
                x = (0.1 + 0.8 * k / moves) * width
                began = time.perf_counter()
                event("mouse_move", x, (0.5 + 0.3 * math.sin(k / 12)) * height)
                taken.append(1e3 * (sent[-1][0] - began))
                time.sleep(0.008)
            event("mouse_up", 0.9 * width, 0.5 * height)
    finally:
        del manager.send
        editor.close()
    return {
        "side": side,
        "busy": busy,
        "median_ms": statistics.median(taken),
        "p95_ms": sorted(taken)[int(0.95 * len(taken))],
        "bytes": statistics.median(size for _, size in sent[1:-1]),
    }


@contextmanager
def _convolving() -> Iterator[None]:
    """Inside, a thread convolves as a generation does."""
    import torch

    stop = threading.Event()

    def work() -> None:
        with torch.inference_mode():
            x, kernel = torch.randn(1, 128, 64, 64), torch.randn(128, 128, 3, 3)
            while not stop.is_set():
                torch.nn.functional.conv2d(x, kernel, padding=1)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
