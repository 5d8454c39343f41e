"""LoRAs of random numbers over a model of any shapes, for benchmarks, in kohya's names."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any


def everything(_: str) -> bool:
    """All that is ever trained: the UNet's and the text encoder's layers."""
    return True


def write(
    path: Path, rank: int, config: Any = None, *, seed: int = 0,
    wanted: Callable[[str], bool] = everything, dora: bool = False,
) -> Path:  # fmt: skip
    """Write a LoRA in fp16, of the layers whose kohya name is `wanted`. It adds a tenth to weights
    whose numbers have a standard deviation of 1 / sqrt(inputs). With `dora`, rows get new lengths
    of about 1, as those of `random_sd` have.
    """
    import torch
    from safetensors.torch import save_file

    from sdnb.engine.checkpoint import names
    from sdnb.engine.networks.config import ModelConfig

    config = config or ModelConfig()
    tensors, generator = {}, torch.Generator().manual_seed(seed)
    tables = (("unet_", names.unet_table(config.unet)),
              ("te_text_model_", names.text_table(config.text)))  # fmt: skip
    for network, rows in tables:
        for row in rows:
            name = row.diffusers.removesuffix(".weight").replace(".", "_")
            stem = f"lora_{network}{name}"
            if len(row.shape) < 2 or "embeddings" in row.compvis or not wanted(stem):
                continue
            outputs, *rest = row.shape
            ones = [1 for _ in rest[1:]]
            down = torch.randn(rank, *rest, generator=generator) / prod(rest) ** 0.5
            up = 0.1 * torch.randn(outputs, rank, *ones, generator=generator)
            tensors[f"{stem}.lora_down.weight"] = down.half()
            tensors[f"{stem}.lora_up.weight"] = (up / rank**0.5).half()
            tensors[f"{stem}.alpha"] = torch.tensor(float(rank))
            if dora:
                lengths = 1 + 0.1 * torch.randn(outputs, 1, *ones, generator=generator)
                tensors[f"{stem}.dora_scale"] = lengths.half()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return path
