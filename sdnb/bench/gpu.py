"""`sdnb bench gpu`: time and peak memory on a CUDA card at SD 1.4's size, beside diffusers.

Both sides make one picture from a prompt with the same random fp16 weights, DDIM and guidance 7.5;
text encoder and decoder are included. Each side has a process of its own, which runs a cell once to
load and compile, and once to measure. Peaks are the allocator's, in GiB: reserved and allocated.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import sdnb
from sdnb.bench import card
from sdnb.bench.card import Case
from sdnb.bench.picture_parts import PARTS, seconds_of
from sdnb.request import memory_plan

if TYPE_CHECKING:
    from sdnb.engine.model import Model

OURS = (
    Case("resident", 512, 50),
    Case("4gb", 512, 50, "4gb"),
    Case("2gb", 512, 50, "2gb"),
    Case("least", 512, 50, 0.42),
    Case("least, int8", 512, 50, 0.42),
    Case("resident", 1088, 20),
    Case("4gb", 1088, 20, "4gb"),
    Case("least", 1088, 20, 0.62),
    Case("full precision in 4 GiB", 1088, 10, 3.9, "full"),
    Case("resident", 2048, 4),
    Case("least", 2048, 4, 1.25),
    Case("4 GiB", 4096, 2, 4.0),
)
COMPILED = Case("compiled", 512, 50)
THEIRS = (
    Case("resident", 512, 50),
    Case("channels_last, fused qkv", 512, 50),
    Case("group offload, leaf, stream", 512, 20),
    Case("sequential offload", 512, 5),
    Case("resident", 1088, 20),
    Case("model offload, VAE tiling", 1088, 20),
    Case("group offload, leaf, stream", 1088, 10),
    Case("sequential offload", 1088, 3),
    Case("resident", 2048, 4),
    Case("group offload, leaf, stream", 2048, 4),
)
THEIRS_COMPILED = Case("compiled, reduce-overhead", 512, 50)
_CASES = {"sdnb": (*OURS, COMPILED), "diffusers": (*THEIRS, THEIRS_COMPILED)}
_PICTURES = 9  # of which a median is taken
GROWTH = (512, 768, 1088, 1536, 2048, 3072, 4096)
TIERS = ("max", "8gb", "6gb", "4gb", "2gb", "1gb")
SIZES = (512, 768, 1088, 1536, 2048, 4096)
#: Which cells are compared: ours, and diffusers' of the same kind.
PAIRS = (
    ("512 resident", "512 channels_last, fused qkv"),
    ("512 resident", "512 compiled, reduce-overhead"),
    ("512 compiled", "512 compiled, reduce-overhead"),
    ("512 least", "512 group offload, leaf, stream"),
    ("512 least", "512 sequential offload"),
    ("1088 resident", "1088 resident"),
    ("1088 4gb", "1088 model offload, VAE tiling"),
    ("1088 least", "1088 group offload, leaf, stream"),
    ("1088 least", "1088 sequential offload"),
    ("2048 least", "2048 group offload, leaf, stream"),
)


def bench_gpu(
    out: Path, *, compiled: bool = False, tiers: bool = False, control: bool = False,
    live: bool = False, say: Callable[[str], object] = print,
    keep: Callable[[dict[str, Any]], object] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Measure, print a table, return its data. The others are those of `card.measure_sides`.

    `compiled` adds `torch.compile` of both sides (minutes); `tiers` each plan at each size against
    its prediction, and how the time of a step grows with the size. With `control` it is
    `control_speed.bench_control` instead, with `live` `live_speed.bench_live`.
    """
    if control or live:
        from sdnb.bench import control_speed, live_speed

        bench = control_speed.bench_control if control else live_speed.bench_live
        return bench(out, say, keep)
    asked = {
        side: [json.dumps([c.name for c in cases if compiled or not c.how.startswith("compiled")])]
        for side, cases in _CASES.items()
    }
    asked["parts"] = ["[]"]
    if tiers:
        asked |= {"growth": ["[]"], "tiers": ["[]"]}
    data = card.measure_sides("gpu", out, asked, say, keep)
    say(table(data))
    return data


def table(data: dict[str, Any]) -> str:
    """A line for each cell, then the ratios."""
    lines = [f"{'':44}{'ms a step':>10}{'reserved':>10}{'allocated':>10}{'first, s':>10}"]
    for side in ("sdnb", "diffusers"):
        for name, cell in data.get(side, {}).items():
            line = f"{side + ' ' + name:44}"
            if "error" in cell:
                line += f"  {cell['error'][:80]}"
            else:
                line += f"{cell['ms']:10.1f}{cell['reserved']:10.2f}{cell['allocated']:10.2f}"
                line += f"{cell['first']:10.1f}"
            lines.append(line)
    for ours, theirs in PAIRS:
        a, b = data.get("sdnb", {}).get(ours, {}), data.get("diffusers", {}).get(theirs, {})
        if "ms" in a and "ms" in b:
            lines.append(
                f"sdnb {ours} / diffusers {theirs}: time {a['ms'] / b['ms']:.2f}, "
                f"memory {a['reserved'] / b['reserved']:.2f}"
            )
    for name, cell in data.get("parts", {}).items():
        shares = [f"{part} {1000 * cell[part]:.1f}" for part in PARTS]
        lines.append(
            f"sdnb {name}, a picture in {1000 * cell['whole']:.1f} ms: {', '.join(shares)}"
        )
    if "growth" in data:
        steps = [f"{name} {cell['ms']:.1f}" for name, cell in data["growth"].items()]
        lines.append(f"sdnb resident, ms of a step alone by size: {', '.join(steps)}")
    if "tiers" in data:
        off = [c["predicted"] / c["reserved"] for c in data["tiers"].values() if "reserved" in c]
        lines.append(
            f"predicted / measured peak over {len(off)} plans and sizes: "
            f"{min(off):.2f} to {max(off):.2f}"
        )
    return "\n".join(lines)


def cells(side: str, path: Path, names: str) -> Iterator[dict[str, Any]]:
    """Measure the side's cells of these names (a list in JSON), in a process of its own."""
    alone = {"parts": _parts, "growth": _growth, "tiers": _tiers}
    if side in alone:
        return alone[side](path)
    cases = [case for case in _CASES[side] if case.name in json.loads(names)]
    return _ours(path, cases) if side == "sdnb" else _theirs(path, cases)


def _ours(path: Path, cases: list[Case]) -> Iterator[dict[str, Any]]:
    truth: dict[int, Any] = {}
    for case in cases:
        try:
            data, result = card.ours(path, case, _memory(case), warm=case.size < 4096)
        except Exception as error:  # noqa: BLE001 - one cell's failure is a figure too
            yield {"name": case.name, "error": f"{type(error).__name__}: {error}"}
            card.clean()
            continue
        image = np.asarray(result.image).astype(int)
        if case.how == "resident":
            truth[case.size] = image
        if case.size in truth and case.precision == "auto":
            data |= _likeness(image, truth[case.size])
        yield {"name": case.name, **data, "notes": list(result.notes)}


def _parts(path: Path) -> Iterator[dict[str, Any]]:
    """Where the time of a picture goes with all weights on the card: medians, in seconds. The
    first two pictures, which load, record and measure, do not count.
    """
    case = OURS[0]
    with sdnb.load(path, memory=case.memory) as model:
        request = card.request_of(case.size, case.steps)
        runs = [seconds_of(model, request, torch.cuda.synchronize) for _ in range(2 + _PICTURES)]
    every = [*PARTS, "whole"]
    yield {"name": case.name} | {p: statistics.median(run[p] for run in runs[2:]) for p in every}


def _likeness(image: Any, truth: Any) -> dict[str, Any]:
    """How near a picture of 0..255 is to that of the resident plan; 99 dB where they are equal."""
    from skimage.metrics import peak_signal_noise_ratio

    off = abs(image - truth)
    psnr = float(peak_signal_noise_ratio(truth, image, data_range=255)) if off.any() else 99.0
    return {"within2": float((off <= 2).mean()), "largest": int(off.max()), "psnr": psnr}


def _memory(case: Case) -> Any:
    """The case's plan."""
    if case is COMPILED:
        return memory_plan.MemoryPlan(name="compiled", speed="compile")
    if not case.how.startswith("least"):
        return case.memory
    return card.least(case.size, float(case.memory), "int8" if "int8" in case.how else "same")


def _tiers(path: Path) -> Iterator[dict[str, Any]]:
    """Every plan at every size: the predicted and the measured peak."""
    for tier in TIERS:
        with sdnb.load(path, memory=tier) as model:
            for size in SIZES:
                case = Case(tier, size, steps=6 if size <= 1088 else 1)
                try:
                    data = card.ours_by(model, case, warm=False)[0]
                except Exception as error:  # noqa: BLE001
                    data = {"error": f"{type(error).__name__}: {error}"}
                yield {"name": f"{tier} {size}", **data}
                model.weights.forget_graph()
                card.clean()


def _growth(path: Path) -> Iterator[dict[str, Any]]:
    """The time of one step by size, with all weights on the card."""
    with sdnb.load(path, memory="max") as model:
        for size in GROWTH:
            steps = 8 if size <= 1088 else 4
            yield {"name": str(size), "ms": 1000 * _step_seconds(model, size, steps)}
            model.weights.forget_graph()
            card.clean()


def _step_seconds(model: Model, size: int, steps: int) -> float:
    """The median step of a run without its decoding; the first two, which record, do not count."""
    ends = []
    with closing(sdnb.run(model, card.request_of(size, steps))) as going:
        for at in going:
            torch.cuda.synchronize()
            ends.append(time.perf_counter())
            if at.step == steps:
                break
    return statistics.median(b - a for a, b in pairwise(ends[2:]))


def _theirs(path: Path, cases: list[Case]) -> Iterator[dict[str, Any]]:
    for case in cases:
        try:
            data = card.theirs(path, case)
        except Exception as error:  # noqa: BLE001
            yield {"name": case.name, "error": f"{type(error).__name__}: {error}"}
            torch.cuda.synchronize()
        else:
            yield {"name": case.name, **data}
        card.clean()
