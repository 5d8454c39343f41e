"""Small LoRA files of random weights for the model of `oracles.tiny_pipeline`."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

RANK = 4


def modules(pipe, *, convs: bool = True) -> dict[tuple[str, str], Tensor]:
    """The layers of diffusers' UNet and text encoder that kohya's trainer changes, as (network,
    path) -> weight.
    """
    found = {}
    for network, root in (("unet", pipe.unet), ("te", pipe.text_encoder)):
        for name, module in root.named_modules():
            attends = "attentions" in name or "encoder.layers" in name
            if isinstance(module, (nn.Linear, nn.Conv2d)) and (attends or convs):
                found[network, name] = module.weight
    return found


def factors(weight: Tensor, generator: torch.Generator, rank: int = RANK) -> tuple[Tensor, Tensor]:
    """`down` and `up` whose product is a tenth of the weight."""
    out, *rest = weight.shape
    down = torch.randn(rank, *rest, generator=generator)
    up = torch.randn(out, rank, *(1 for _ in rest[1:]), generator=generator)
    size = down.flatten(1).norm() * up.flatten(1).norm() / rank**0.5
    return down, up * (0.1 * weight.norm() / size)


def kohya(pipe, seed: int = 0, *, convs: bool = True, alphas=(2.0,)) -> dict[str, Tensor]:
    """A LoRA in kohya's names; `alphas` go to its modules in turn."""
    generator, stored = torch.Generator().manual_seed(seed), {}
    for i, ((network, name), weight) in enumerate(modules(pipe, convs=convs).items()):
        down, up = factors(weight, generator)
        name = name if network == "unet" or name.startswith("text_model") else f"text_model.{name}"
        stem = f"lora_{network}_{name.replace('.', '_')}"
        stored[f"{stem}.lora_down.weight"], stored[f"{stem}.lora_up.weight"] = down, up
        stored[f"{stem}.alpha"] = torch.tensor(alphas[i % len(alphas)])
    return stored


def for_text(width: int, layers: int, seed: int = 0) -> dict[str, Tensor]:
    """A LoRA of the queries of a text encoder so wide, which changes what any prompt means."""
    generator, stored = torch.Generator().manual_seed(seed), {}
    for layer in range(layers):
        stem = f"lora_te_text_model_encoder_layers_{layer}_self_attn_q_proj"
        stored[f"{stem}.lora_down.weight"] = torch.randn(RANK, width, generator=generator)
        stored[f"{stem}.lora_up.weight"] = torch.randn(width, RANK, generator=generator) / 8
        stored[f"{stem}.alpha"] = torch.tensor(float(RANK))
    return stored


def save(path: Path, stored: dict[str, Tensor], **metadata: str) -> Path:
    save_file({name: t.contiguous() for name, t in stored.items()}, path, metadata or None)
    return path
