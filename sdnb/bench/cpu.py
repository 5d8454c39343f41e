"""`sdnb bench cpu`: the embedded model on the CPU, prompt to picture, beside diffusers.

Both run in this process, in turn, on the same threads, weights, size, steps and guidance, in fp32.
One picture of each is made before the clock starts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch

import sdnb
from sdnb import assets

PROMPT = "a red apple, 3d style, on a blue background"
CFG = 7.5


def bench_cpu(
    rounds: int = 5, steps: int = 25, threads: int = 2, say: Callable[[str], object] = print
) -> dict[str, Any]:
    """Measure, print a table, return its data: seconds a picture and the ratio to diffusers."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        makers = {"sdnb": _sdnb(steps)}
        if find_spec("diffusers") is None:
            say("diffusers is not installed, so there is nothing to compare with: ")
            say("pip install 'sdnb[bench]'")
        else:
            makers["diffusers"] = _diffusers(steps)
        for make in makers.values():
            make()
        runs: dict[str, list[float]] = {name: [] for name in makers}
        for _ in range(rounds):
            for name, make in makers.items():
                began = time.perf_counter()
                make()
                runs[name].append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(before)
    data: dict[str, Any] = {"steps": steps, "threads": threads, "cfg": CFG, "runs": runs}
    data |= {name: statistics.median(seconds) for name, seconds in runs.items()}
    if "diffusers" in data:
        data["ratio"] = data["sdnb"] / data["diffusers"]
    say(table(data))
    return data


def table(data: dict[str, Any]) -> str:
    """The median, least and most of each, and the ratio of the medians."""
    about = (
        f"embedded model, 256x256, {data['steps']} steps of ddim, cfg {data['cfg']}, "
        f"{data['threads']} threads, fp32"
    )
    lines = [about, "              median, s   min, s   max, s"]
    for name, seconds in data["runs"].items():
        lines.append(f"{name:12}{data[name]:11.2f}{min(seconds):9.2f}{max(seconds):9.2f}")
    if "ratio" in data:
        lines.append(f"ratio of the medians: {data['ratio']:.2f}")
    return "\n".join(lines)


def _sdnb(steps: int) -> Callable[[], object]:
    model = sdnb.load(memory="cpu", precision="full")
    request = sdnb.Request(PROMPT, width=256, height=256, steps=steps, cfg=CFG, seed=1)
    request = request.but(sampler="ddim", schedule="uniform")
    return lambda: sdnb.generate(model, request, progress=False)


def _diffusers(steps: int) -> Callable[[], object]:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    folder = str(assets.embedded_model())
    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    pipe.set_progress_bar_config(disable=True)
    return lambda: pipe(
        PROMPT,
        width=256,
        height=256,
        num_inference_steps=steps,
        guidance_scale=CFG,
        generator=torch.Generator().manual_seed(1),
    )
