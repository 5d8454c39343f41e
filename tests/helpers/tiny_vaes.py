"""A tiny autoencoder of random weights as diffusers has it, written in the layouts that people
have.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from oracles import diffusers_models as oracle
from safetensors.torch import save_file
from torch import Tensor


def diffusers(seed: int = 0, latent_channels: int = 4) -> AutoencoderTiny:
    """diffusers' own."""
    model = AutoencoderTiny(latent_channels=latent_channels)
    model.load_state_dict(oracle.random_weights(model, seed))
    return model.eval()


def half(model: AutoencoderTiny, name: str) -> dict[str, Tensor]:
    """The "encoder" or "decoder" by the original's numbers of layers: its decoder begins with one
    that diffusers does not count.
    """
    out = {}
    for key, tensor in getattr(model, name).layers.state_dict().items():
        number, _, rest = key.partition(".")
        out[f"{int(number) + (name == 'decoder')}.{rest}"] = tensor
    return out


def comfy(model: AutoencoderTiny, scale: float | None = 0.18215) -> dict[str, Tensor]:
    """Both halves in one file, and the scale of the latents that it is for."""
    found = {f"taesd_{h}.{n}": t for h in ("encoder", "decoder") for n, t in half(model, h).items()}
    numbers = {"vae_scale": scale, "vae_shift": 0.0} if scale is not None else {}
    return found | {name: torch.tensor(value) for name, value in numbers.items()}


def pair(folder: Path, model: AutoencoderTiny, stem: str = "taesd") -> tuple[Path, Path]:
    """The original's two files: here one of each format."""
    encoder, decoder = folder / f"{stem}_encoder.pth", folder / f"{stem}_decoder.safetensors"
    torch.save(half(model, "encoder"), encoder)
    save_file(half(model, "decoder"), decoder)
    return encoder, decoder
