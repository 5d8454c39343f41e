"""Reads a diffusers folder.

It has `unet/`, `vae/`, `text_encoder/` and `tokenizer/`, each with its `config.json`. Weights may
be `.safetensors` or `.bin`, whole or sharded (`*.index.json`), ordinary or a variant
(`*.fp16.safetensors`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sdnb.engine.checkpoint.configs import Overrides, from_diffusers, merged
from sdnb.engine.checkpoint.single import Parts
from sdnb.engine.checkpoint.tensors import Weights, read_weights
from sdnb.headers import diffusers_folder
from sdnb.headers.diffusers_folder import read_json
from sdnb.headers.errors import CheckpointError, in_words

COMPONENTS = {"unet": "unet", "vae": "vae", "text": "text_encoder"}  # our part -> its folder
#: Where a tiny VAE lies beside them.
TINY_FOLDER = "tiny_vae"
#: What suits SD-Turbo (https://huggingface.co/stabilityai/sd-turbo).
TURBO = {"steps": 1, "cfg": 1.0, "sampler": "euler", "schedule": "trailing"}


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
            config = read_json(scheduler)
            parts.overrides = merged(
                parts.overrides, from_diffusers("noise", config, str(scheduler))
            )
        if _is_turbo(parts.overrides, config):
            parts.overrides = merged(parts.overrides, {"settings": TURBO})
            parts.notes.append("its scheduler is SD-Turbo's: 1 step of euler at cfg 1 suits it")
    if (path / "tokenizer").is_dir():
        parts.tokenizer = path / "tokenizer"
    return parts


def _is_turbo(overrides: Overrides, scheduler: dict[str, Any]) -> bool:
    """Whether a folder is SD-Turbo's, whose weights look like those of SD 2.1: by its scheduler."""
    is_2 = overrides.get("text", {}).get("activation") == "gelu"
    names = ("_class_name", "timestep_spacing", "prediction_type")
    wanted = ["EulerDiscreteScheduler", "trailing", "epsilon"]
    return is_2 and [scheduler.get(name) for name in names] == wanted


def read_component(folder: Path, part: str, notes: list[str]) -> tuple[Weights, Overrides]:
    """One part's weights, and the overrides in its `config.json`."""
    config = folder / "config.json"
    with in_words(config):
        overrides = from_diffusers(part, read_json(config), str(config)) if config.is_file() else {}
    weights: Weights = {}
    for file in diffusers_folder.weight_files(folder, notes):
        weights.update(read_weights(file, notes))
    return weights, overrides
