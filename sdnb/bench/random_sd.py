"""A checkpoint of SD 1.4's names and shapes with random fp16 weights, for benchmarks.

Time and memory depend on shapes alone. The weights are scaled so that activations stay of order
one: then pictures are not flat, and two ways to compute them can be compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sdnb.bench.load import MODELS, shapes, write_config


def write(folder: Path, device: str = "cpu", config: Any = None) -> Path:
    """Write the checkpoint and, in `config/`, diffusers' configuration; returns the checkpoint."""
    import torch
    from safetensors.torch import save_file

    from sdnb.engine.networks.config import ModelConfig

    config = config or ModelConfig()
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator(device).manual_seed(0)
    tensors = {}
    for name, shape in shapes(config):
        noise = torch.randn(shape, generator=generator, device=device)
        if len(shape) > 1:
            noise *= noise[0].numel() ** -0.5
        else:
            noise = 0.1 * noise + (1.0 if name.endswith("weight") else 0.0)
        tensors[name] = noise.half().cpu()
    path = folder / MODELS[1]
    save_file(tensors, path)
    write_config(folder / "config", config)
    return path


def diffusers_pipeline(path: Path, dtype: Any) -> Any:
    """diffusers' pipeline of the same weights, with the original's DDIM."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_single_file(
        str(path), config=str(path.parent / "config"), torch_dtype=dtype, local_files_only=True
    )
    pipe.scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe
