"""What the card's benchmarks share: a random checkpoint, a process a side, one case's figures."""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sdnb
from sdnb.bench import random_sd

if TYPE_CHECKING:
    from sdnb.engine.model import Model
    from sdnb.images.result import Result
    from sdnb.request.memory_plan import MemoryPlan

PROMPT = "a red fox in the snow"
CFG = 7.5
GB = 2**30


@dataclass(frozen=True)
class Case:
    """What is measured: a way to run the model, the size and the number of steps."""

    how: str
    size: int
    steps: int
    memory: str | float = "max"  # sdnb's plan
    precision: str = "auto"

    @property
    def name(self) -> str:
        return f"{self.size} {self.how}"


def refuse_without(bench: str) -> None:
    """Raise RuntimeError where there is no CUDA card, which `sdnb bench BENCH` needs."""
    import torch

    if not torch.cuda.is_available():
        raise RuntimeError(f"`sdnb bench {bench}` needs a CUDA card, and torch finds none")


def measure_sides(
    bench: str, out: Path, asked: Mapping[str, Sequence[str]], say: Callable[[str], object],
    keep: Callable[[dict[str, Any]], object],
) -> dict[str, Any]:  # fmt: skip
    """The card's name, and each side's cells by name; diffusers is left out if not installed.

    The weights are random; `out` holds 2.1 GB meanwhile. `asked` has an argument for each process
    of a side; `keep` gets the data after each cell. Raises RuntimeError without a CUDA card.
    """
    import torch

    refuse_without(bench)
    folder = out / f"bench-{bench}"
    try:
        path = random_sd.write(folder, "cuda")
        torch.cuda.empty_cache()
        data: dict[str, Any] = {"card": torch.cuda.get_device_name()}
        for side, questions in asked.items():
            if side == "diffusers" and find_spec("diffusers") is None:
                continue
            cells = data.setdefault(side, {})
            for question in questions:
                child(bench, side, path, question, cells=cells, say=say, keep=lambda: keep(data))
        return data
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# -- in a process of its own -------------------------------------------------------------------
def child(
    bench: str, side: str, path: Path, asked: str, *, cells: dict[str, Any],
    say: Callable[[str], object], keep: Callable[[], object],
) -> None:  # fmt: skip
    """Run `sdnb.bench.BENCH.cells(side, path, asked)` in a fresh process, and fill `cells`."""
    code = "import sys; from sdnb.bench.card import serve; serve(*sys.argv[1:])"
    command = [sys.executable, "-c", code, bench, side, str(path), asked]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                cell = json.loads(line)
                cells[cell.pop("name")] = cell
                say(f"  {side} {line.strip()[:240]}")
                keep()


def serve(bench: str, side: str, path: str, asked: str) -> None:
    """The child: measure, and print a line of JSON for each cell."""
    module = importlib.import_module(f"sdnb.bench.{bench}")
    for cell in module.cells(side, Path(path), asked):
        print(json.dumps(cell), flush=True)


# -- a cell ------------------------------------------------------------------------------------
def measure(work: Callable[[], Any], steps: int, warm: bool = True) -> tuple[dict[str, Any], Any]:
    """Seconds of a first run, milliseconds a step of a second and its peaks; and what it gave."""
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
    figures = {
        "first": first,
        "seconds": seconds,
        "ms": 1000 * seconds / steps,
        "reserved": torch.cuda.max_memory_reserved() / GB,
        "allocated": torch.cuda.max_memory_allocated() / GB,
    }
    return figures, result


def clean() -> None:
    """Free the memory that a cell leaves behind."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()


def least(size: int, gb: float, weights: str = "same") -> MemoryPlan:
    """The leanest plan that is still quick: no weights stay between steps, and little is computed
    at once. It is set by hand, so that it does not change with the planner.
    """
    from sdnb.engine.planning.footprint import Workload
    from sdnb.request import memory_plan

    return memory_plan.read("1gb").but(
        name="least", gb=gb, together=True, keep=0.0, weights=weights, store="host",
        chunk=Workload(size, size, 1, 2, pictured=False).chunk, tile=256 if size < 2048 else 512,
    )  # fmt: skip


def ours(path: Path, case: Case, memory: Any, warm: bool) -> tuple[dict[str, Any], Result]:
    """One cell of sdnb with its prediction, and the result."""
    with sdnb.load(path, memory=memory, precision=case.precision) as model:
        data, result = ours_by(model, case, warm)
    clean()
    return data, result


def ours_by(model: Model, case: Case, warm: bool) -> tuple[dict[str, Any], Result]:
    """The same with a loaded model."""
    request = request_of(case.size, case.steps)
    expected = model.plan(request)
    data, result = measure(lambda: sdnb.generate(model, request, progress=False), case.steps, warm)
    plan = model.memory
    return data | {"predicted": expected.gb, "tier": plan.name, "plan": repr(plan)}, result


def request_of(size: int, steps: int) -> Any:
    """The picture that both sides make."""
    return sdnb.Request(
        PROMPT, width=size, height=size, steps=steps, cfg=CFG, seed=3, sampler="ddim",
        schedule="uniform",
    )  # fmt: skip


def theirs(path: Path, case: Case, warm: bool = True) -> dict[str, Any]:
    """One cell of diffusers."""
    import torch

    pipe = place(random_sd.diffusers_pipeline(path, torch.float16), case.how)
    generator = torch.Generator()

    def work() -> Any:
        return pipe(
            PROMPT, height=case.size, width=case.size, num_inference_steps=case.steps,
            guidance_scale=CFG, generator=generator.manual_seed(3),
        )  # fmt: skip

    return measure(work, case.steps, warm)[0]


def place(pipe: Any, how: str) -> Any:
    """Place diffusers' pipeline on the card as `how` says, with diffusers' own methods."""
    import torch

    device = torch.device("cuda")
    if how.startswith("model offload"):
        pipe.enable_model_cpu_offload()
    elif how.startswith("sequential offload"):
        pipe.enable_sequential_cpu_offload()
    elif how.startswith("group offload"):
        pipe.enable_group_offload(
            onload_device=device, offload_device=torch.device("cpu"), offload_type="leaf_level",
            use_stream=True,
        )  # fmt: skip
    else:
        pipe.to(device)
        if how.startswith(("channels_last", "compiled")):
            pipe.unet.to(memory_format=torch.channels_last)
            pipe.vae.to(memory_format=torch.channels_last)
            pipe.fuse_qkv_projections()
        if how.startswith("compiled"):
            pipe.unet = torch.compile(pipe.unet, mode="reduce-overhead", fullgraph=True)
        return pipe
    pipe.vae.enable_tiling()
    return pipe
