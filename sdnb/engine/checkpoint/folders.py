"""Reads a diffusers folder.

It has `unet/`, `vae/`, `text_encoder/` and `tokenizer/`, each with its `config.json`. Weights may
be `.safetensors` or `.bin`, whole or sharded (`*.index.json`), ordinary or a variant
(`*.fp16.safetensors`).
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import product
from pathlib import Path
from typing import Any

from sdnb.engine.checkpoint.configs import Overrides, from_diffusers, merged, read_json
from sdnb.engine.checkpoint.errors import CheckpointError, in_words, listed
from sdnb.engine.checkpoint.single import Parts
from sdnb.engine.checkpoint.statedict import Weights, read_weights

COMPONENTS = {"unet": "unet", "vae": "vae", "text": "text_encoder"}  # our part -> its folder
STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
SUFFIXES = (".safetensors", ".bin")  # in order of preference
_MOST_SHARDS = 64  # of a part; a UNet of 3.4 GB comes in two
# The beginning of `_class_name` in model_index.json -> the family that sdnb does not run.
PIPELINES = {
    "StableDiffusionXL": "Stable Diffusion XL",
    "StableDiffusion3": "Stable Diffusion 3",
    "StableDiffusionInstructPix2Pix": "InstructPix2Pix",
    "StableDiffusionUpscale": "the Stable Diffusion x4 upscaler",
    "StableDiffusionLatentUpscale": "the latent upscaler",
    "StableDiffusionDepth2Img": "Stable Diffusion 2 depth to image",
    "StableUnCLIP": "Stable unCLIP",
    "StableVideo": "Stable Video Diffusion",
    "StableCascade": "Stable Cascade",
    "Flux": "Flux",
}
#: What suits SD-Turbo (https://huggingface.co/stabilityai/sd-turbo).
TURBO = {"steps": 1, "cfg": 1.0, "sampler": "euler", "schedule": "trailing"}
RUNS = ("StableDiffusion", "LatentConsistency")


def read_folder(path: Path, other_vae: bool = False) -> Parts:
    """A folder's model; its VAE may be missing, and where `other_vae` is given may be damaged.
    Raises CheckpointError for another pipeline or a missing part.
    """
    _check_pipeline(path)
    parts = Parts()
    for part, name in COMPONENTS.items():
        folder = path / name
        if not folder.is_dir() and part == "vae":
            continue
        if not folder.is_dir():
            raise CheckpointError(f"{path} has no folder {name}. {_contents(path)}")
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
    for file in _weight_files(folder, notes):
        weights.update(read_weights(file, notes))
    return weights, overrides


def choose(names: Collection[str]) -> tuple[str, str] | None:
    """The file of a component to load (weights, or an index of shards), and its variant.

    Ordinary weights come before a variant, fp16 before other variants, safetensors before bin.
    """
    for variant, suffix, stem in product(("", *_variants(names)), SUFFIXES, STEMS):
        for name in (f"{stem}{variant}{suffix}", f"{stem}{suffix}.index{variant}.json"):
            if name in names:
                return name, variant
    return None


def _weight_files(folder: Path, notes: list[str]) -> list[Path]:
    names = {file.name for file in folder.iterdir() if file.is_file()}
    chosen = choose(names)
    if chosen is None:
        raise CheckpointError(
            f"{folder} has no weights; expected diffusion_pytorch_model.safetensors or "
            f"model.safetensors (or .bin). {_contents(folder)}"
        )
    name, variant = chosen
    if variant:
        notes.append(f"{folder.name}: only its variant {variant[1:]} is there, and is used")
    return _shards(folder / name) if name.endswith(".json") else [folder / name]


def _variants(names: Collection[str]) -> list[str]:
    """The variants in the files' names: `.fp16` first, `.non_ema` last."""
    variants = set()
    for name, stem, suffix in product(names, STEMS, SUFFIXES):
        if name.startswith(f"{stem}.") and name.endswith(suffix):
            variants.add(name[len(stem) : -len(suffix)].split("-")[0])
        if name.startswith(f"{stem}{suffix}.index.") and name.endswith(".json"):
            variants.add(name[len(f"{stem}{suffix}.index") : -len(".json")])
    order = {".fp16": 0, ".non_ema": 2}
    return sorted(variants - {""}, key=lambda variant: (order.get(variant, 1), variant))


def _shards(index: Path) -> list[Path]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise CheckpointError(f"{index} has no weight_map: it is damaged. Download it again.")
    if not all(isinstance(name, str) and len(name) < 256 for name in names.values()):
        raise CheckpointError(f"{index}: its weight_map names files that cannot be. It is damaged.")
    files = sorted({index.parent / name for name in names.values()})
    if len(files) > _MOST_SHARDS:
        raise CheckpointError(f"{index} names {len(files)} files; expected {_MOST_SHARDS} at most")
    missing = [file.name for file in files if file.parent != index.parent or not file.is_file()]
    if missing:
        raise CheckpointError(
            f"{index.parent} lacks {listed(missing)}, which {index.name} names. Download it again."
        )
    return files


def _check_pipeline(path: Path) -> None:
    index = path / "model_index.json"
    if not index.is_file():
        if (path / "unet").is_dir():
            return
        raise CheckpointError(
            f"{path} is a folder, but no diffusers model: it has neither model_index.json nor "
            f"unet. {_contents(path)}"
        )
    name = str(read_json(index).get("_class_name", ""))
    for start, what in PIPELINES.items():
        if name.startswith(start):
            raise CheckpointError(
                f"{path} is {what} ({name}); sdnb runs Stable Diffusion 1.x and 2.x."
            )
    if not name.startswith(RUNS):
        raise CheckpointError(
            f"{path} is a pipeline of the class {name!r}; sdnb runs StableDiffusionPipeline."
        )


def _contents(path: Path) -> str:
    names = sorted(child.name + "/" * child.is_dir() for child in path.iterdir())
    pending = [name for name in names if name.endswith((".incomplete", ".part", ".crdownload"))]
    if pending:
        return f"{listed(pending)} is a download that did not finish: start it again."
    files = [name for name in names if name.endswith((".ckpt", ".safetensors"))]
    if files:
        return f"To load a single file, give its own path; there is {listed(files)}."
    return f"It has {listed(names) or 'nothing in it'}."
