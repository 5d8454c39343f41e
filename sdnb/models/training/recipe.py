"""The shapes of the embedded model, and what its folder has beside the networks.

Its widths give 49 MB in half precision and a few seconds a picture on two CPU cores. Heads have 32
channels, since narrower ones are slow. Norms have 8 groups: with 32 groups on 32 channels a norm
keeps no uniform colour, and the pictures lose theirs.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from sdnb.engine.checkpoint import export
from sdnb.engine.checkpoint.folders import COMPONENTS
from sdnb.engine.networks import text
from sdnb.engine.networks.config import ModelConfig, TextConfig, UNetConfig, VAEConfig
from sdnb.engine.networks.tokenizer import Tokenizer
from sdnb.request import Settings


def tiny(vocabulary: int, size: int = 256) -> ModelConfig:
    """The embedded model's configuration, for a tokenizer of so many tokens."""
    width = 256
    return ModelConfig(
        unet=UNetConfig(channels=(96, 128, 160, 96), head_width=32, context_dim=width, groups=8),
        vae=VAEConfig(channels=(32, 64, 96, 96), groups=8),
        text=TextConfig(vocab=vocabulary, width=width, layers=4, heads=4, hidden=4 * width),
        settings=Settings(width=size, height=size, cfg=4.0),
    )


def of(tokenizer: Path, size: int = 256) -> ModelConfig:
    """The configuration that suits a tokenizer's folder."""
    return tiny(Tokenizer(tokenizer).size, size)


def new_text(config: TextConfig) -> nn.Module:
    """A text encoder with random weights to begin from."""
    model = text.build(config).to_empty(device="cpu")
    for name, p in model.named_parameters():
        if p.ndim > 1:
            nn.init.normal_(p, std=0.02)
        else:
            nn.init.constant_(p, 1.0 if name.endswith("weight") else 0.0)
    return model


def save_rest(config: ModelConfig, tokenizer: Path, folder: Path) -> None:
    """Write the rest of a model's folder: tokenizer, schedule, index and sdnb's settings."""
    copied(tokenizer, folder / "tokenizer")
    export.write_index(config, folder)
    lines = [f"  {name}: {value}" for name, value in asdict(config.settings).items()]
    (folder / "sdnb.yaml").write_text("\n".join(["settings:", *lines, ""]), encoding="utf-8")


def copied(source: Path, target: Path) -> None:
    """Copy a folder's files into another folder, which may be the same one."""
    if source.resolve() != target.resolve():
        shutil.copytree(source, target, dirs_exist_ok=True)


def load_part(module: nn.Module, config: ModelConfig, part: str, folder: Path) -> None:
    """Load the weights that `export.write_part` or diffusers wrote, to go on training."""
    stored = load_file(folder / COMPONENTS[part] / export.WEIGHTS[part])
    stored = {key.removeprefix("text_model."): tensor for key, tensor in stored.items()}
    rows = export.rows(config, part)
    filled = {row.compvis: stored[row.diffusers].float().view(row.shape) for row in rows}
    module.load_state_dict(filled)
