"""`sdnb bench lora`: a LoRA over an SD 1.4-sized model, beside diffusers.

Random fp16 weights of SD 1.4's names and shapes (2.1 GB), and a LoRA of rank 64 over all of the
UNet's linear layers and convolutions and the text encoder's (157 MB). sdnb opens it and lays it
over the weights; diffusers does `load_lora_weights` and `fuse_lora`: in turn, three times each in a
fresh process on the CPU, in half precision. The median counts. Then sdnb exchanges it for another
strength of the same. Files are read before each run, so that no run waits for the disk.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RUNS, RANK = 3, 64


def bench_lora(
    out: Path, plans: Sequence[str] | None = None, say: Callable[[str], object] = print,
    keep: Callable[[dict[str, Any]], object] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Write a checkpoint and a LoRA into `out` (2.3 GB, removed at the end), measure, print, return
    the data: each side's seconds and MB beyond the model at its peak, the seconds of a change, and
    the ratios. With `plans`, `lora_plans.bench_plans` instead.
    """
    from sdnb.bench import lora_plans, random_lora, random_sd

    if plans is not None:
        return lora_plans.bench_plans(out, plans, say, keep)

    folder = out / "bench-lora"
    try:
        say("writing random weights of SD 1.4's shapes, and a LoRA of rank 64 ...")
        checkpoint = random_sd.write(folder)
        lora = random_lora.write(folder / "lora.safetensors", RANK)
        data = _measure(checkpoint, lora, say)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say(table(data))
    return data


def _measure(checkpoint: Path, lora: Path, say: Callable[[str], object]) -> dict[str, Any]:
    from sdnb.bench.load import warm

    runs: dict[str, list[dict[str, float]]] = {"sdnb": [], "diffusers": []}
    for n in range(RUNS):
        for name, code in (("sdnb", _SDNB), ("diffusers", _DIFFUSERS)):
            for path in (checkpoint, lora):
                warm(path)
            runs[name].append(_child(code, checkpoint, lora))
            say(f"  {name}, run {n + 1} of {RUNS}: {runs[name][-1]['apply']:.2f} s")
    data: dict[str, Any] = {"runs": runs}
    for name, side in runs.items():
        data[name] = {key: statistics.median(run[key] for run in side) for key in side[0]}
    data["ratio"] = {
        key: data["sdnb"][key] / max(data["diffusers"][key], 1e-9)
        for key in ("apply", "cpu", "extra_mb")
    }
    return data


def table(data: dict[str, Any]) -> str:
    """The medians, one line each, with the ratios and what is aimed at."""
    sides = ("sdnb", "diffusers", "ratio")
    rows = [["", "apply, s", "processor, s", "peak beyond the model, MB"]]
    for name in sides:
        side = data[name]
        rows.append([name, f"{side['apply']:.2f}", f"{side['cpu']:.2f}", f"{side['extra_mb']:.3g}"])
    lines = ["".join(cell.ljust(14) for cell in row).rstrip() for row in rows]
    sdnb = data["sdnb"]
    lines.append(
        f"another set: {sdnb['change']:.2f} s (aim: 1.5); the same: {sdnb['same'] * 1000:.1f} ms; "
        f"none: {sdnb['remove']:.2f} s"
    )
    lines.append(
        "aims: a ratio of 0.5 of the time, and no more memory than the largest weight, "
        f"{sdnb['largest_mb']:.0f} MB in float32"
    )
    return "\n".join(lines)


# -- each in its own process -------------------------------------------------------------------
_SDNB = """
import torch
from sdnb.engine import adapters, loading
from sdnb.request import memory_plan
from sdnb.request.lora import Lora
source = loading.recognise(checkpoint)
weights = loading.read_weights(source, torch.device("cpu"), torch.float16)
weights.apply(memory_plan.read("max").but(device="cpu").decided())
def apply(*strengths):
    file = adapters.open_file(lora)
    weights.lay_over(adapters.overlay(source.config, [(Lora("x", s), file) for s in strengths]))
begin()
apply(1.0)
data = end()
for name, strengths in (("change", [0.5]), ("same", [0.5]), ("remove", [])):
    start = time.perf_counter()
    apply(*strengths)
    data[name] = time.perf_counter() - start
data["largest_mb"] = max(p.numel() for p in weights.networks["unet"].parameters()) * 4 / 1e6
"""
_DIFFUSERS = """
import torch
from sdnb.bench.random_sd import diffusers_pipeline
pipe = diffusers_pipeline(checkpoint, torch.float16)
import peft, diffusers.loaders.lora_pipeline, diffusers.loaders.peft  # not timed
begin()
pipe.load_lora_weights(str(lora.parent), weight_name=lora.name)
pipe.fuse_lora()
data = end()
"""


def _child(code: str, checkpoint: Path, lora: Path) -> dict[str, float]:
    script = f"""
import json, sys, time
from pathlib import Path
from sdnb.bench.resident import Growth
checkpoint, lora = map(Path, sys.argv[1:])
def begin():
    global start, before, growth
    growth, before = Growth(), time.process_time()
    start = time.perf_counter()
def end():
    seconds = time.perf_counter() - start
    cpu = time.process_time() - before
    return {{"apply": seconds, "cpu": cpu, "extra_mb": growth.read() / 1e6}}
{code}
print("\\n" + json.dumps(data))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(checkpoint), str(lora)], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"a side of the benchmark failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
