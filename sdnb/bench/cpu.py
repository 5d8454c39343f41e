"""`sdnb bench cpu`: prompt to picture on the CPU, time and peak memory, beside other libraries.

Each side has a process of its own. They make pictures in turn, with the same number of threads,
weights, size, steps and guidance; the first picture of each does not count. The table says how near
each picture is to that of diffusers in full precision: a quicker one is no gain if it is another
one. Memory is the peak of the process's resident memory, beside that of its imports alone. OpenVINO
and onnxruntime take part where they are installed.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sdnb.bench import random_sd
from sdnb.bench.alternating import in_turn
from sdnb.bench.cpu_memory import bench_memory
from sdnb.bench.cpu_process import psnr, side
from sdnb.bench.fast_speed import bench_fast
from sdnb.request.plain_words import counted

#: The sides, and the modules that each needs. onnxruntime has no bf16 on a CPU.
SIDES = {
    "sdnb": ("sdnb",),
    "diffusers": ("diffusers",),
    "openvino": ("diffusers", "openvino"),
    "onnxruntime": ("diffusers", "onnxruntime", "onnxscript"),
}
PRECISIONS = {"full": ("fp32", tuple(SIDES)), "bf16": ("bf16", tuple(SIDES)[:3])}


def bench_cpu(
    rounds: int = 5, steps: int = 25, threads: Sequence[int] = (2,), *,
    precision: Sequence[str] = ("full",), size: int | None = None, random: bool = False,
    fast: str | None = None, memory: Sequence[str] | None = None,
    say: Callable[[str], object] = print,
) -> dict[str, Any]:  # fmt: skip
    """Measure, print a table for each number of threads and each precision, return the data: of one
    table, seconds a picture, peak memory, and ratios; of several a list of these, "tables". With
    `fast`, the name of a fast variant, `bench_fast` does; with `memory`, the names of plans or
    numbers of GB, `bench_memory` does.
    """
    if fast is not None:
        return bench_fast(fast, rounds, threads[0], say=say)
    asked: dict[str, Any] = {"size": size or (512 if random else 256), "steps": steps}
    if memory is not None:
        asked |= {"threads": threads[0], "precision": precision[0]}
        return bench_memory(memory, asked, rounds, random=random, say=say)
    if find_spec("diffusers") is None:
        say("diffusers is not installed, so there is nothing to compare with: ")
        say("pip install 'sdnb[bench]'")
    tables = []
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory()) if random else None
        path = str(random_sd.write(Path(folder))) if folder else None
        for count, kind in itertools.product(threads, precision):
            one = {"path": path, "threads": count, "precision": kind, **asked}
            tables.append(_measured(one, rounds))
            say(table(tables[-1]))
    return tables[0] if len(tables) == 1 else {"tables": tables}


def _measured(asked: dict[str, Any], rounds: int) -> dict[str, Any]:
    """One table: all sides that are there, alternating."""
    there = [name for name, needed in SIDES.items() if all(find_spec(each) for each in needed)]
    names = [name for name in PRECISIONS[asked["precision"]][1] if name in there]
    model = "SD 1.4's shapes, random weights" if asked["path"] else "built-in model"
    data: dict[str, Any] = {"model": model} | {k: v for k, v in asked.items() if k != "path"}
    with ExitStack() as stack:
        running = {name: stack.enter_context(side(name, asked)) for name in names}
        makers = {name: partial(ask, "picture") for name, ask in running.items()}
        data["runs"] = in_turn(makers, rounds)
        data["memory"] = {name: ask("memory") for name, ask in running.items()}
        pixels = {name: ask("pixels") for name, ask in running.items()}
    if "diffusers" in names:
        truth = pixels["diffusers"]
        if asked["precision"] != "full":
            with side("diffusers", {**asked, "precision": "full"}) as ask:
                ask("picture")
                truth = ask("pixels")
        data["psnr"] = {name: psnr(each, truth) for name, each in pixels.items()}
    data["seconds"] = {name: statistics.median(runs) for name, runs in data["runs"].items()}
    if "diffusers" in names:
        data["ratios"] = {n: _ratios(data, n) for n in names if n != "diffusers"}
    return data


def _ratios(data: dict[str, Any], name: str) -> dict[str, float]:
    """A side in multiples of diffusers."""
    one, theirs = data["memory"][name], data["memory"]["diffusers"]
    return {
        "seconds": data["seconds"][name] / data["seconds"]["diffusers"],
        "peak": one["peak"] / theirs["peak"],
        "above_imports": (one["peak"] - one["imports"]) / (theirs["peak"] - theirs["imports"]),
    }


def table(data: dict[str, Any]) -> str:
    """The median, least and most of each, its memory and its likeness, and the ratios."""
    lines = [
        (
            f"{data['model']}, {data['size']}x{data['size']}, "
            f"{counted(data['steps'], 'step')} of ddim, {counted(data['threads'], 'thread')}, "
            f"{PRECISIONS[data['precision']][0]}"
        ),
        "             median, s   min, s   max, s   peak, MB   of which imports, MB   PSNR, dB",
    ]
    for name, seconds in data["runs"].items():
        memory, psnr = data["memory"][name], data.get("psnr", {}).get(name)
        lines.append(
            f"{name:13}{data['seconds'][name]:9.2f}{min(seconds):9.2f}{max(seconds):9.2f}"
            f"{memory['peak'] / 1e6:11.0f}{memory['imports'] / 1e6:23.0f}"
            + (f"{psnr:11.1f}" if psnr is not None else "")
        )
    for name, ratios in data.get("ratios", {}).items():
        seconds, peak, rest = (ratios[k] for k in ("seconds", "peak", "above_imports"))
        lines.append(
            f"{name} in multiples of diffusers: {seconds:.2f} of the time, {peak:.2f} of the peak "
            f"memory ({rest:.2f} without the imports)"
        )
    return "\n".join(lines)
