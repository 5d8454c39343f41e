"""Reads the tiny autoencoder (TAESD) from its three layouts, into `encoder.N` and `decoder.N`."""

from __future__ import annotations

from pathlib import Path

import torch

from sdnb.engine.checkpoint.tensors import LazyTensor, Weights, read_weights
from sdnb.headers import taesd
from sdnb.headers.errors import CheckpointError, MissingCheckpointError, in_words
from sdnb.request.plain_words import plain

DRAFTS = "is a tiny autoencoder (TAESD): its pictures are drafts, in which small things are smeared"
_ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
# ComfyUI's scale in a file -> what its latents are of; 1 says nothing.
_SCALES = {
    0.13025: "Stable Diffusion XL (TAESDXL)", 1.5305: "Stable Diffusion 3 (TAESD3)",
    0.3611: "Flux (TAEF1)",
}  # fmt: skip


def whole(path: Path, weights: Weights, notes: list[str]) -> Weights:
    """Both halves from the tensors of the file or folder `path`; the file of one half is joined
    with the other's, which lies beside it.

    Raises CheckpointError for one that is another model's, and MissingCheckpointError for a half
    whose other is not there.
    """
    half = taesd.lone_half({name: tensor.shape for name, tensor in weights.items()})
    if half:
        other = taesd.HALVES[half == "encoder"]
        partner = _partner(path, half, other)
        with in_words(partner):
            rest = read_weights(partner, notes)
        if taesd.lone_half({name: tensor.shape for name, tensor in rest.items()}) != other:
            raise CheckpointError(
                f"{partner} is named as the {other} of {path.name}, and is none. Put the {other} "
                "of the same tiny autoencoder (TAESD) there."
            )
        weights = {f"{half}.{name}": tensor for name, tensor in weights.items()}
        weights |= {f"{other}.{name}": tensor for name, tensor in rest.items()}
    weights = {name.removeprefix(taesd.COMFY): tensor for name, tensor in weights.items()}
    _check_scale(path, {name: weights.pop(name, None) for name in taesd.NUMBERS})
    if "xl" in path.name.lower():
        notes.append(
            f"{plain(path.name, 200)} is named like SDXL's tiny autoencoder, which nothing else "
            "tells from that of Stable Diffusion 1.x and 2.x; if colours are wrong, it is that one"
        )
    return weights


def _partner(path: Path, half: str, other: str) -> Path:
    """The file of the other half, beside that of one."""
    name = path.stem.lower()
    at = name.rfind(half)
    stem = path.stem[:at] + other + path.stem[at + len(half) :] if at >= 0 else ""
    for ending in (path.suffix, *_ENDINGS):
        if stem and (file := path.with_name(stem + ending)).is_file():
            return file
    expected = stem + path.suffix if stem else f"taesd_{other}{path.suffix}"
    rename = "" if stem else f", name this one taesd_{half}{path.suffix}"
    raise MissingCheckpointError(
        f"{path} is the {half} of a tiny autoencoder (TAESD), without its {other}: put the other "
        f"file beside it as {expected}{rename}, or give one file that has both."
    )


def _check_scale(path: Path, numbers: dict[str, LazyTensor | None]) -> None:
    """Raises CheckpointError where ComfyUI's numbers say that it is another model's."""
    tensor = numbers["vae_scale"]
    if tensor is None:
        return
    if tensor.count != 1:
        raise CheckpointError(f"{path}: vae_scale has {tensor.count:,} numbers; expected one")
    scale = float(tensor.read(torch.float64).item())
    for known, of in _SCALES.items():
        if abs(scale - known) < 1e-3 * known:
            raise CheckpointError(
                f"{path} is the tiny autoencoder of {of}, by its vae_scale {scale:g}. Take TAESD, "
                "that of Stable Diffusion 1.x and 2.x."
            )
