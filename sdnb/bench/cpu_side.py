"""One side of `sdnb bench cpu`, in a process of its own.

For a line "picture" it makes one and answers "true"; for a line "memory" it answers with the peaks
of its resident bytes as JSON: "peak" of everything, "imports" before a model was loaded.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sdnb.bench.resident import peak

PROMPT = "a red apple, 3d style, on a blue background"
CFG = 7.5
Load = Callable[..., Callable[[], object]]


def main() -> None:
    """`python -m sdnb.bench.cpu_side NAME JSON`: answers until its input ends."""
    name, asked = sys.argv[1], json.loads(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # keeps the output of libraries out of the answers
    import torch

    torch.set_num_threads(asked.pop("threads"))
    load = _SIDES[name]()
    imports = peak()
    make = load(**asked)
    for line in sys.stdin:
        if line.strip() == "picture":
            make()
            print("true", file=answers, flush=True)
        else:
            print(json.dumps({"peak": peak(), "imports": imports}), file=answers, flush=True)


def _sdnb() -> Load:
    import sdnb.engine.loading
    import sdnb.engine.pipeline

    def load(path: str | None, size: int, steps: int) -> Callable[[], object]:
        model = sdnb.load(path, memory="cpu", precision="full")
        request = sdnb.Request(
            PROMPT, width=size, height=size, steps=steps, cfg=CFG, seed=1, sampler="ddim",
            schedule="uniform",
        )  # fmt: skip
        return lambda: sdnb.generate(model, request, progress=False)

    return load


def _diffusers() -> Load:
    import torch
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    from sdnb import assets

    def load(path: str | None, size: int, steps: int) -> Callable[[], object]:
        if path is None:
            folder = str(assets.embedded_model())
            pipe: Any = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
            pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
            pipe.set_progress_bar_config(disable=True)
        else:
            from sdnb.bench import random_sd

            pipe = random_sd.diffusers_pipeline(Path(path), torch.float32)
        return lambda: pipe(
            PROMPT, width=size, height=size, num_inference_steps=steps, guidance_scale=CFG,
            generator=torch.Generator().manual_seed(1),
        )  # fmt: skip

    return load


_SIDES: dict[str, Callable[[], Load]] = {"sdnb": _sdnb, "diffusers": _diffusers}

if __name__ == "__main__":
    main()
