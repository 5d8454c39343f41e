"""Reads a diffusers folder.

It has `unet/`, `vae/`, `text_encoder/` and `tokenizer/`, each with its `config.json`. Weights may
be `.safetensors` or `.bin`, whole or sharded (`*.index.json`), ordinary or a variant
(`*.fp16.safetensors`).
"""

from __future__ import annotations

from pathlib import Path

from sdnb.engine.checkpoint.configs import Overrides, from_diffusers, merged
from sdnb.engine.checkpoint.single import Parts
from sdnb.engine.checkpoint.tensors import Weights, read_weights
from sdnb.headers import diffusers_folder
from sdnb.headers.diffusers_folder import read_json
from sdnb.headers.errors import CheckpointError, in_words

COMPONENTS = {"unet": "unet", "vae": "vae", "text": "text_encoder"}  # our part -> its folder


def read_folder(path: Path, other_vae: bool = False) -> Parts:
    """A folder's model; its VAE may be missing, and where `other_vae` is given may be damaged.
    Raises CheckpointError for another pipeline or a missing part.
    """
    diffusers_folder.check(path)
    parts = Parts()
    for part, name in COMPONENTS.items():
        folder = path / name
        if not folder.is_dir() and part == "vae":
            continue
        if not folder.is_dir():
            raise CheckpointError(f"{path} has no folder {name}. {diffusers_folder.contents(path)}")
        try:
            weights, overrides = read_component(folder, part, parts.notes)
        except CheckpointError as error:
            if part == "vae" and other_vae:
                parts.notes.append(f"its own VAE is not needed, and cannot be read: {error}")
                continue
            raise
        setattr(parts, part, weights)
        parts.overrides = merged(parts.overrides, overrides)
    scheduler = path / "scheduler" / "scheduler_config.json"
    if scheduler.is_file():
        with in_words(scheduler):
            noise = from_diffusers("noise", read_json(scheduler), str(scheduler))
        parts.overrides = merged(parts.overrides, noise)
    if (path / "tokenizer").is_dir():
        parts.tokenizer = path / "tokenizer"
    return parts


def read_component(folder: Path, part: str, notes: list[str]) -> tuple[Weights, Overrides]:
    """One part's weights, and the overrides in its `config.json`."""
    config = folder / "config.json"
    with in_words(config):
        overrides = from_diffusers(part, read_json(config), str(config)) if config.is_file() else {}
    weights: Weights = {}
    for file in diffusers_folder.weight_files(folder, notes):
        weights.update(read_weights(file, notes))
    return weights, overrides
