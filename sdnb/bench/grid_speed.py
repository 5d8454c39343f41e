"""`sdnb bench grid`: a 3x4 grid against twelve `generate` calls, in one process, in turn.

The grid has three seeds and four strengths of guidance, so that all cells take the same time. It
runs twice a round: with the memory plan's batch, and with `--batch` cells in each pass of the UNet.
With `--random` the model has SD 1.4's shapes and random weights, which take the real ones' time.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import sdnb
from sdnb.bench import random_sd
from sdnb.bench.alternating import in_turn
from sdnb.engine.model import Model
from sdnb.request.plain_words import counted

PROMPT = "a red apple, 3d style, on a blue background"
SEEDS, CFG = (1, 2, 3), (2.0, 4.0, 6.0, 8.0)


def bench_grid(
    ckpt: str | None = None, *, size: int | None = None, steps: int = 20, rounds: int = 3,
    batch: int = 4, memory: str = "auto", random: bool = False,
    say: Callable[[str], object] = print,
) -> dict[str, Any]:  # fmt: skip
    """Measure, print a table, return its data: seconds for twelve pictures, and their ratios."""
    with tempfile.TemporaryDirectory() as folder:
        if random:
            device = "cuda" if torch.cuda.is_available() else "cpu"
            ckpt = str(random_sd.write(Path(folder), device))
        model = sdnb.load(ckpt, memory=memory)
    side = size or model.settings.width
    base = sdnb.Request(PROMPT, width=side, height=side, steps=steps, sampler="ddim")
    makers = {
        "generate": lambda: _one_by_one(model, base),
        "grid": lambda: _grid(model, base, model.memory.batch),
        f"grid, batch {batch}": lambda: _grid(model, base, batch),
    }
    runs = in_turn(makers, rounds)
    data: dict[str, Any] = {
        "model": model.name, "device": _device(model), "plan": model.memory.name, "size": side,
        "steps": steps, "batch": batch, "plan_batch": model.memory.batch, "runs": runs,
        "medians": {name: statistics.median(seconds) for name, seconds in runs.items()},
    }  # fmt: skip
    data["ratios"] = {n: s / data["medians"]["generate"] for n, s in data["medians"].items()}
    say(table(data))
    return data


def table(data: dict[str, Any]) -> str:
    """The median, least and most of each, and the ratio of the medians to `generate`'s."""
    lines = [
        (
            f"{data['model']} on {data['device']}, memory {data['plan']!r} (batch "
            f"{data['plan_batch']}): 12 pictures of {data['size']}x{data['size']}, "
            f"{counted(data['steps'], 'step')} of ddim"
        ),
        "                  median, s   min, s   max, s   ratio",
    ]
    for name, seconds in data["runs"].items():
        median, ratio = data["medians"][name], data["ratios"][name]
        lines.append(f"{name:16}{median:11.2f}{min(seconds):9.2f}{max(seconds):9.2f}{ratio:8.2f}")
    return "\n".join(lines)


def _one_by_one(model: Model, base: sdnb.Request) -> None:
    for seed, cfg in itertools.product(SEEDS, CFG):
        sdnb.generate(model, base.but(seed=seed, cfg=cfg), progress=False)


def _grid(model: Model, base: sdnb.Request, batch: int) -> None:
    before = model.asked_plan
    model.ask(model.memory.but(batch=batch))
    try:
        sdnb.sweep(base, seed=SEEDS, cfg=CFG).run(model, progress=False)
    finally:
        model.ask(before)


def _device(model: Model) -> str:
    if model.device.type == "cuda":
        return torch.cuda.get_device_name(model.device)
    return f"{model.device} ({counted(torch.get_num_threads(), 'thread')})"
