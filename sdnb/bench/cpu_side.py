"""One side of `sdnb bench cpu`, in a process of its own.

For a line "picture" it makes one and answers "true"; for a line "pixels" it answers with the bytes
of the last one in hexadecimal digits; for a line "memory" with the peaks of its resident bytes:
"peak" of everything, "imports" before a model was loaded; of sdnb's also the GiB "expected" by its
"plan", where they were predicted. All answers are JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sdnb.bench.resident import peak

PROMPT = "a red apple, 3d style, on a blue background"
CFG = 7.5
Make = Callable[[], Any]  # makes a picture
Load = Callable[..., Make]  # of a path, size, steps and precision


@dataclass(frozen=True)
class PipelineMaker:
    """Makes a picture by diffusers' pipeline."""

    pipe: Any
    size: int
    steps: int

    def __call__(self) -> Any:
        import torch

        return self.pipe(
            PROMPT, width=self.size, height=self.size, num_inference_steps=self.steps,
            guidance_scale=CFG, generator=torch.Generator().manual_seed(1),
        ).images[0]  # fmt: skip


@dataclass
class SdnbMaker:
    """Makes a picture by sdnb."""

    model: Any
    request: Any
    expected: float | None = None  # GiB of the last picture
    plan: str = ""

    def __call__(self) -> Any:
        import sdnb

        result = sdnb.generate(self.model, self.request, progress=False)
        self.expected, self.plan = result.expected, result.memory
        return result.image


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
    image: Any = None
    for line in sys.stdin:
        answer: Any = True
        if line.strip() == "picture":
            image = make()
        elif line.strip() == "pixels":
            answer = image.convert("RGB").tobytes().hex()
        else:
            answer = {"peak": peak(), "imports": imports}
            if isinstance(make, SdnbMaker):
                answer |= {"expected": make.expected, "plan": make.plan}
        print(json.dumps(answer), file=answers, flush=True)


def _sdnb() -> Load:
    import sdnb.engine.loading
    import sdnb.engine.pipeline

    def load(
        path: str | None, size: int, steps: int, precision: str, memory: str | float = "cpu"
    ) -> Make:
        model = sdnb.load(path, memory=memory, precision=precision)
        request = sdnb.Request(
            PROMPT, width=size, height=size, steps=steps, cfg=CFG, seed=1, sampler="ddim",
            schedule="uniform",
        )  # fmt: skip
        return SdnbMaker(model, request)

    return load


def _diffusers() -> Load:
    import torch
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    from sdnb import assets

    def load(path: str | None, size: int, steps: int, precision: str) -> Make:
        dtype = torch.float32 if precision == "full" else torch.bfloat16
        if path is None:
            folder = str(assets.embedded_model())
            pipe: Any = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=dtype)
            pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
            pipe.set_progress_bar_config(disable=True)
        else:
            from sdnb.bench import random_sd

            pipe = random_sd.diffusers_pipeline(Path(path), dtype)
        return PipelineMaker(pipe, size, steps)

    return load


def _compiled(compiler: str) -> Load:
    from sdnb.bench import cpu_peers

    return cpu_peers.loader(_diffusers(), compiler)


_SIDES: dict[str, Callable[[], Load]] = {
    "sdnb": _sdnb,
    "diffusers": _diffusers,
    "openvino": partial(_compiled, "openvino"),
    "onnxruntime": partial(_compiled, "onnxruntime"),
}

if __name__ == "__main__":
    main()
