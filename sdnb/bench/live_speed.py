"""`sdnb bench gpu --live`: pictures a second that follow a hand on a card, at 512².

Random fp16 weights of SD 1.4's shapes and a LoRA of rank 64 over all their layers, in the place of
LCM's: four steps of `lcm` at cfg 1, which is one pass of the UNet each. Requests come as a live
panel makes them (`sdnb.jobs.live`): each with something new in it, asked for when the picture
before is there, whose JPEG is made as the panel's. Goal: 15 pictures a second.
"""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import sdnb
from sdnb.bench import card, random_lora
from sdnb.jobs.executor import Worker
from sdnb.jobs.live import Live
from sdnb.widgets.jpegs import jpeg

if TYPE_CHECKING:
    from sdnb.engine.model import Model
    from sdnb.images.result import Result
    from sdnb.request import Request

GOAL = 15.0  # pictures a second
SIZE, RANK = 512, 64
_SHEET = (120, 170, 220)  # the colour of what is drawn on
SECONDS, FIRST = 6.0, 5  # measured for so long, after so many pictures, which load and record

Requests = Iterator["Request"]


def bench_live(
    out: Path, say: Callable[[str], object] = print,
    keep: Callable[[dict[str, Any]], object] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Measure, print a table, return its data. The arguments are those of `card.measure_sides`.

    Raises RuntimeError without a CUDA card.
    """
    card.refuse_without("gpu --live")
    data = card.measure_sides("live_speed", out, {"sdnb": [""]}, say, keep)
    say(table(data))
    return data


def table(data: dict[str, Any]) -> str:
    """A line for each kind of change, with what is aimed at."""
    lines = [f"{'what changes':32}{'pictures a second':>20}{'ms each, median':>18}{'longest':>10}"]
    for name, cell in data["sdnb"].items():
        is_met = "met" if cell["rate"] >= GOAL else "missed"
        lines.append(
            f"{name:32}{cell['rate']:20.1f}{cell['median']:18.1f}{cell['longest']:10.1f}"
            f"   goal {GOAL:g} {is_met}"
        )
    return "\n".join(lines)


def cells(_: str, path: Path, __: str) -> Iterator[dict[str, Any]]:
    """Measure each kind of change, in a process of its own."""
    lora = random_lora.write(path.parent / "loras" / "lcm.safetensors", RANK)
    with sdnb.load(path, memory="max") as model:
        for name, requests in _ways(lora).items():
            yield {"name": name, **_followed(model, requests)}


def _ways(lora: Path) -> dict[str, Requests]:
    """What a hand changes: endless requests, each another one."""
    one = card.request_of(SIZE, steps=4).but(
        cfg=1.0, sampler="lcm", schedule="lcm", loras=[sdnb.Lora(str(lora))]
    )
    numbers = itertools.count
    drawing, sheet = one.but(strength=0.6), np.full((SIZE, SIZE, 3), _SHEET, np.uint8)
    return {
        "the words": (one.but(prompt=f"{card.PROMPT}, number {n}") for n in numbers()),
        "the seed": (one.but(seed=n) for n in numbers()),
        "colours that are drawn": (
            drawing.but(image=sdnb.images.picture(_drawn(sheet, n))) for n in numbers()
        ),
    }


def _drawn(sheet: Any, strokes: int) -> Any:
    """The sheet `[512, 512, 3]` with a stroke more each time, from the left to the right."""
    sheet = sheet.copy()
    end = 8 + strokes * 8 % (SIZE - 8)
    sheet[200:300, :end] = (200, 60, 40)
    return sheet


def _followed(model: Model, requests: Requests) -> dict[str, Any]:
    """Ask for the next when one is there, for `SECONDS`; the pictures a second, and the
    milliseconds of each.
    """
    worker, over = Worker(partial(sdnb.run, model)), threading.Event()
    ends, failed = list[float](), list[BaseException]()

    def shown(result: Result) -> None:
        jpeg(result.image)
        ends.append(time.perf_counter())
        first = min(FIRST, len(ends) - 1)
        if ends[-1] - ends[first] < SECONDS:
            live.ask(next(requests))
        else:
            over.set()

    def broken(error: BaseException) -> None:
        failed.append(error)
        over.set()

    live = Live(worker.submit, result=shown, error=broken)
    try:
        live.ask(next(requests))
        over.wait()
    finally:
        worker.shutdown()
    if failed:
        raise failed[0]
    gaps = [1000 * (b - a) for a, b in itertools.pairwise(ends[FIRST:])]
    rate = 1000 * len(gaps) / sum(gaps)
    return {"rate": rate, "median": statistics.median(gaps), "longest": max(gaps)}
