"""What a diffusers folder is, and which of its files hold weights."""

from __future__ import annotations

from collections.abc import Collection
from itertools import product
from pathlib import Path
from typing import Any

from sdnb.headers.errors import CheckpointError, in_words, listed
from sdnb.request import documents

JSON_LIMIT = 4 << 20  # bytes; the index of a sharded model has 0.2 MB
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
RUNS = ("StableDiffusion", "LatentConsistency")


def read_json(path: Path) -> dict[str, Any]:
    """One `config.json`. Raises CheckpointError when it is damaged."""
    with in_words(path):
        value = documents.from_json(documents.file_text(path, JSON_LIMIT))
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is no JSON object")
    return value


def choose(names: Collection[str]) -> tuple[str, str] | None:
    """The file of a component to load (weights, or an index of shards), and its variant.

    Ordinary weights come before a variant, fp16 before other variants, safetensors before bin.
    """
    for variant, suffix, stem in product(("", *_variants(names)), SUFFIXES, STEMS):
        for name in (f"{stem}{variant}{suffix}", f"{stem}{suffix}.index{variant}.json"):
            if name in names:
                return name, variant
    return None


def weight_files(folder: Path, notes: list[str]) -> list[Path]:
    """The files with the weights of one part. Raises CheckpointError where there are none."""
    names = {file.name for file in folder.iterdir() if file.is_file()}
    chosen = choose(names)
    if chosen is None:
        raise CheckpointError(
            f"{folder} has no weights; expected diffusion_pytorch_model.safetensors or "
            f"model.safetensors (or .bin). {contents(folder)}"
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


def check(path: Path) -> None:
    """Raises CheckpointError unless the folder is a pipeline that sdnb runs."""
    index = path / "model_index.json"
    if not index.is_file():
        if (path / "unet").is_dir():
            return
        raise CheckpointError(
            f"{path} is a folder, but no diffusers model: it has neither model_index.json nor "
            f"unet. {contents(path)}"
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


def contents(path: Path) -> str:
    """What an error says of a folder in which something is missing."""
    names = sorted(child.name + "/" * child.is_dir() for child in path.iterdir())
    pending = [name for name in names if name.endswith((".incomplete", ".part", ".crdownload"))]
    if pending:
        return f"{listed(pending)} is a download that did not finish: start it again."
    files = [name for name in names if name.endswith((".ckpt", ".safetensors"))]
    if files:
        return f"To load a single file, give its own path; there is {listed(files)}."
    return f"It has {listed(names) or 'nothing in it'}."
