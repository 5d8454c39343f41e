"""`sdnb bench gpu`: time and peak memory on a CUDA card at SD 1.4's size, beside diffusers.

Both sides work on the same random fp16 weights, prompt to picture: text encoder, steps and decoder
included, DDIM, guidance 7.5, one picture. Each side runs in a process of its own, one cell after
the other; a cell is run once to load what there is to load, and once for the figures. Peaks are the
allocator's, in GiB: reserved, and allocated.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROMPT = "a red fox in the snow"
CFG = 7.5
GB = 2**30


@dataclass(frozen=True)
class Cell:
    """One measurement: how, at which size, with how many steps."""

    how: str
    size: int
    steps: int
    memory: str | float = "max"  # sdnb's
    precision: str = "auto"

    @property
    def name(self) -> str:
        return f"{self.size} {self.how}"


OURS = (
    Cell("resident", 512, 50),
    Cell("4gb", 512, 50, "4gb"),
    Cell("2gb", 512, 50, "2gb"),
    Cell("least", 512, 50, 0.42),
    Cell("least, int8", 512, 50, 0.42),
    Cell("resident", 1088, 20),
    Cell("4gb", 1088, 20, "4gb"),
    Cell("least", 1088, 20, 0.62),
    Cell("full precision in 4 GiB", 1088, 10, 3.9, "full"),
    Cell("resident", 2048, 4),
    Cell("least", 2048, 4, 1.25),
    Cell("4 GiB", 4096, 2, 4.0),
)
COMPILED = Cell("compiled", 512, 50)
THEIRS = (
    Cell("resident", 512, 50),
    Cell("channels_last, fused qkv", 512, 50),
    Cell("group offload, leaf, stream", 512, 20),
    Cell("sequential offload", 512, 5),
    Cell("resident", 1088, 20),
    Cell("model offload, VAE tiling", 1088, 20),
    Cell("group offload, leaf, stream", 1088, 10),
    Cell("sequential offload", 1088, 3),
    Cell("resident", 2048, 4),
    Cell("group offload, leaf, stream", 2048, 4),
)
THEIRS_COMPILED = Cell("compiled, reduce-overhead", 512, 50)
TIERS = ("max", "8gb", "6gb", "4gb", "2gb", "1gb")
SIZES = (512, 768, 1088, 1536, 2048, 4096)
#: What is held against what: our cell, their best of the same kind.
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
    out: Path, compiled: bool = False, tiers: bool = False, say: Callable[[str], object] = print
) -> dict[str, Any]:
    """Measure, print a table, return its data. `out` holds 2.1 GB meanwhile. `compiled` adds
    `torch.compile` of both sides (minutes), `tiers` each plan at each size against its prediction.

    Raises RuntimeError without a CUDA card.
    """
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError("`sdnb bench gpu` needs a CUDA card, and torch finds none")
    from sdnb.bench import random_sd
    from sdnb.model.config import ModelConfig

    folder = out / "bench-gpu"
    data: dict[str, Any] = {"card": torch.cuda.get_device_name()}
    try:
        path = random_sd.write(folder, ModelConfig(), "cuda")
        torch.cuda.empty_cache()
        sides = {"sdnb": [*OURS, *([COMPILED] if compiled else [])]}
        if find_spec("diffusers") is not None:
            sides["diffusers"] = [*THEIRS, *([THEIRS_COMPILED] if compiled else [])]
        for side, cells in sides.items():
            data[side] = child(side, path, [cell.name for cell in cells], say)
        if tiers:
            data["tiers"] = child("tiers", path, [], say)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say(table(data))
    return data


def table(data: dict[str, Any]) -> str:
    """A line for each cell, then the ratios."""
    lines = [f"{'':44}{'ms a step':>10}{'reserved':>10}{'allocated':>10}{'first, s':>10}"]
    for side in ("sdnb", "diffusers"):
        for name, cell in data.get(side, {}).items():
            if "error" in cell:
                lines.append(f"{side + ' ' + name:44}  {cell['error'][:80]}")
                continue
            lines.append(
                f"{side + ' ' + name:44}{cell['ms']:10.1f}{cell['reserved']:10.2f}"
                f"{cell['allocated']:10.2f}{cell['first']:10.1f}"
            )
    for ours, theirs in PAIRS:
        a, b = data.get("sdnb", {}).get(ours, {}), data.get("diffusers", {}).get(theirs, {})
        if "ms" in a and "ms" in b:
            lines.append(
                f"sdnb {ours} / diffusers {theirs}: time {a['ms'] / b['ms']:.2f}, "
                f"memory {a['reserved'] / b['reserved']:.2f}"
            )
    if "tiers" in data:
        off = [c["predicted"] / c["reserved"] for c in data["tiers"].values() if "reserved" in c]
        lines.append(
            f"predicted / measured peak over {len(off)} plans and sizes: "
            f"{min(off):.2f} to {max(off):.2f}"
        )
    return "\n".join(lines)


# -- in a process of its own -------------------------------------------------------------------
def child(
    side: str, path: Path, names: list[str], say: Callable[[str], object], *more: str
) -> dict[str, Any]:
    """Run one side's cells in a fresh process, which prints one JSON line a cell."""
    code = "import sys; from sdnb.bench.gpu import serve; serve(*sys.argv[1:])"
    command = [sys.executable, "-c", code, side, str(path), json.dumps(names), *more]
    found: dict[str, Any] = {}
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                cell = json.loads(line)
                found[cell.pop("name")] = cell
                say(f"  {side} {line.strip()[:240]}")
    return found


def serve(side: str, path: str, names: str, *more: str) -> None:
    """The child: measure and print."""
    wanted = json.loads(names)
    if side == "sdnb":
        cells: Iterator[dict[str, Any]] = _serve_ours(Path(path), wanted)
    elif side == "tiers":
        cells = _serve_tiers(Path(path))
    elif side == "diffusers":
        cells = _serve_theirs(Path(path), wanted)
    else:
        from sdnb.bench import caps

        cells = caps.serve(side, Path(path), *more)
    for cell in cells:
        print(json.dumps(cell), flush=True)


def measure(work: Callable[[], Any], steps: int, warm: bool = True) -> dict[str, Any]:
    """Seconds of a first run, milliseconds a step of a second, and the second's peaks."""
    import torch

    began = time.perf_counter()
    torch.cuda.reset_peak_memory_stats()
    result = work()
    torch.cuda.synchronize()
    first = time.perf_counter() - began
    if warm:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        result = work()
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    return {
        "first": first,
        "seconds": seconds,
        "ms": 1000 * seconds / steps,
        "reserved": torch.cuda.max_memory_reserved() / GB,
        "allocated": torch.cuda.max_memory_allocated() / GB,
        "result": result,
    }


def clean() -> None:
    """Forget what a cell leaves behind."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()


def _serve_ours(path: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    import numpy as np

    truth: dict[int, Any] = {}
    for cell in (c for c in (*OURS, COMPILED) if c.name in names):
        try:
            data = ours(path, cell, _memory(cell), warm=cell.size < 4096)
        except Exception as error:  # noqa: BLE001 - one cell's failure is a figure too
            yield {"name": cell.name, "error": f"{type(error).__name__}: {error}"}
            clean()
            continue
        result = data.pop("result")
        image = np.asarray(result.image).astype(int)
        if cell.how == "resident":
            truth[cell.size] = image
        if cell.size in truth and cell.precision == "auto":
            off = np.abs(image - truth[cell.size])
            data |= {"within2": float((off <= 2).mean()), "largest": int(off.max())}
            data["psnr"] = psnr(image, truth[cell.size])
        yield {"name": cell.name, **data, "notes": list(result.notes)}


def psnr(a: Any, b: Any) -> float:
    """Peak signal to noise of two pictures of 0..255, in dB; 99 where they are equal."""
    from math import log10

    error = float(((a - b) ** 2).mean())
    return 10 * log10(255**2 / error) if error else 99.0


def _memory(cell: Cell) -> Any:
    """The cell's plan. The least memory is a plan by hand, so that it is the same whatever the
    planner would do with a budget: nothing stays between steps, little is done at once.
    """
    from sdnb import planner, plans

    if cell is COMPILED:
        return plans.MemoryPlan(name="compiled", speed="compile")
    if not cell.how.startswith("least"):
        return cell.memory
    chunk = planner.chunk_of(planner.Job(cell.size, cell.size, 1, 2, pictured=False))
    return plans.read("1gb").but(
        name="least", gb=float(cell.memory), together=True, chunk=chunk, keep=0.0,
        tile=256 if cell.size < 2048 else 512, store="host",
        weights="int8" if "int8" in cell.how else "same",
    )  # fmt: skip


def ours(path: Path, cell: Cell, memory: Any, warm: bool = True) -> dict[str, Any]:
    """One cell of sdnb's, with its prediction."""
    import sdnb

    with sdnb.load(path, memory=memory, precision=cell.precision) as model:
        request = request_of(cell.size, cell.steps)
        expected = model.plan(request)
        data = measure(lambda: sdnb.generate(model, request, progress=False), cell.steps, warm)
        plan = model.memory
    clean()
    return data | {"predicted": expected.gb, "tier": plan.name, "plan": repr(plan)}


def request_of(size: int, steps: int) -> Any:
    """What is asked of both sides."""
    import sdnb

    return sdnb.Request(
        PROMPT, width=size, height=size, steps=steps, cfg=CFG, seed=3, sampler="ddim",
        schedule="uniform",
    )  # fmt: skip


def _serve_tiers(path: Path) -> Iterator[dict[str, Any]]:
    """Every plan at every size, one step: predicted against measured."""
    for tier in TIERS:
        for size in SIZES:
            steps = 6 if size <= 1088 else 1
            name = f"{tier} {size}"
            try:
                data = ours(path, Cell(tier, size, steps), tier, warm=False)
            except Exception as error:  # noqa: BLE001
                yield {"name": name, "error": f"{type(error).__name__}: {error}"}
                clean()
                continue
            del data["result"]
            yield {"name": name, **data}


def _serve_theirs(path: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    import torch

    for cell in (c for c in (*THEIRS, THEIRS_COMPILED) if c.name in names):
        try:
            data = theirs(path, cell)
        except Exception as error:  # noqa: BLE001
            yield {"name": cell.name, "error": f"{type(error).__name__}: {error}"}
            torch.cuda.synchronize()
            clean()
            continue
        clean()
        yield {"name": cell.name, **data}


def theirs(path: Path, cell: Cell, warm: bool = True) -> dict[str, Any]:
    """One cell of diffusers'."""
    import torch

    pipe = place(pipeline(path), cell.how)
    generator = torch.Generator()

    def work() -> Any:
        return pipe(
            PROMPT, height=cell.size, width=cell.size, num_inference_steps=cell.steps,
            guidance_scale=CFG, generator=generator.manual_seed(3),
        )  # fmt: skip

    data = measure(work, cell.steps, warm)
    del data["result"]
    return data


def pipeline(path: Path) -> Any:
    """diffusers' pipeline of the checkpoint, on the CPU."""
    import torch

    from sdnb.bench import random_sd

    return random_sd.diffusers_pipeline(path, torch.float16)


def place(pipe: Any, how: str) -> Any:
    """Put diffusers' pipeline to work as `how` says, by its own means."""
    import torch

    device = torch.device("cuda")
    if how.startswith("model offload"):
        pipe.enable_model_cpu_offload()
        pipe.vae.enable_tiling()
    elif how.startswith("sequential"):
        pipe.enable_sequential_cpu_offload()
        pipe.vae.enable_tiling()
    elif how.startswith("group offload"):
        pipe.enable_group_offload(
            onload_device=device,
            offload_device=torch.device("cpu"),
            offload_type="leaf_level",
            use_stream=True,
        )
        pipe.vae.enable_tiling()
    else:
        pipe.to(device)
        if how.startswith(("channels_last", "compiled")):
            pipe.unet.to(memory_format=torch.channels_last)
            pipe.vae.to(memory_format=torch.channels_last)
            pipe.fuse_qkv_projections()
        if how.startswith("compiled"):
            pipe.unet = torch.compile(pipe.unet, mode="reduce-overhead", fullgraph=True)
    return pipe
