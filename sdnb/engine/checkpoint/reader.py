"""`read` turns a path or a hub id into a `Checkpoint`, whose weights are still on disk."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sdnb.engine.checkpoint import detect, names, tiny_files
from sdnb.engine.checkpoint import prediction as predictions
from sdnb.engine.checkpoint.assign import Tensors, compare
from sdnb.engine.checkpoint.configs import Overrides, merged, read_config
from sdnb.engine.checkpoint.folders import TINY_FOLDER, read_component, read_folder
from sdnb.engine.checkpoint.places import beside, locate
from sdnb.engine.checkpoint.single import Parts, read_single
from sdnb.engine.checkpoint.tensors import LazyTensor, Weights, keep_open, read_weights
from sdnb.engine.checkpoint.variants import Variant, read_variant
from sdnb.engine.diffusion.schedule import NoiseSchedule
from sdnb.engine.networks.config import TINY_VAE, ModelConfig, VAEConfig
from sdnb.headers import taesd
from sdnb.headers.errors import CheckpointError, in_words, listed
from sdnb.library import hashes
from sdnb.request.fingerprint import identity
from sdnb.request.plain_words import plain

# What lies among a text encoder's weights and is none of them.
_NO_WEIGHT = re.compile(r".*embeddings\.position_ids|text_projection\.weight|logit_scale")


@dataclass(frozen=True)
class Checkpoint:
    """A model whose names and shapes were checked against its architecture; no weight was read yet.

    `unet` and `vae` have CompVis' names without prefix, `text` has transformers' without
    `text_model.`. `fingerprint` tells models apart in a picture's metadata; it is the same in every
    file format and naming, but an fp16 copy has another one.
    """

    name: str
    path: Path
    config: ModelConfig
    unet: Tensors
    vae: Tensors
    text: Tensors
    tokenizer: Path | None  # a folder; None: CLIP's own, which ships with the package
    fingerprint: str
    notes: list[str] = field(default_factory=list)
    tiny_vae: Tensors | None = None  # beside the model's own, in `TinyVAE`'s names
    tiny_config: VAEConfig = TINY_VAE  # its configuration
    loras: tuple[Path, ...] = ()  # that always lie over it
    tiny_source: Path | None = None  # what was given for it, or the model's own folder of it
    tiny_given: bool = False  # whether it was given, and is not the folder's own
    variant: Path | None = None  # the folder that says that they do

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where files lie that the model brings along: a variant's folder, and the model's own."""
        return (self.path,) if self.variant is None else (self.variant, self.path)


def read(
    source: str | Path,
    *,
    vae: str | Path | None = None,
    tiny_vae: str | Path | bool | None = None,
    config: str | Path | ModelConfig | Mapping[str, Any] | None = None,
    prediction: str | None = None,
) -> Checkpoint:
    """The checkpoint in a `.ckpt` or `.safetensors` file, a diffusers folder, a variant's folder
    (`variants`), or a hub id.

    `vae` is another VAE (file or folder) in place of the model's own, `tiny_vae` a tiny one (TAESD)
    beside it: None takes that of a folder's `tiny_vae/`, if it has one, and False none. `config` is
    a YAML in our layout or CompVis' (or a ModelConfig, or a mapping); without it, a YAML of the
    same stem beside a file, or `sdnb.yaml` inside a folder, is read.
    `prediction` is one of `prediction.NAMES`, in place of what files say.

    Raises CheckpointError, which says what is wrong and what to do.
    """
    asked = {} if prediction is None else predictions.asked(prediction)
    if tiny_vae is True:
        raise CheckpointError(
            "tiny_vae=True: give the file or folder of one. None takes what the model's folder "
            "brings, and False none"
        )
    notes: list[str] = []
    path, name = locate(source, notes)
    variant = read_variant(path)
    if variant is not None:
        base = read(
            variant.of, vae=variant.vae if vae is None else vae, tiny_vae=tiny_vae, config=config,
            prediction=prediction,
        )  # fmt: skip
        return _varied(base, variant, name, path)
    with in_words(path):
        parts = read_folder(path, vae is not None) if path.is_dir() else read_single(path)
    parts.notes = notes + parts.notes
    if vae is not None:
        _exchange_vae(parts, vae)
    elif not parts.vae:
        raise CheckpointError(f"{path} has no VAE. Give one: load({str(source)!r}, vae=...).")
    elif taesd.is_tiny(parts.vae):
        with in_words(path):
            parts.vae = tiny_files.whole(path, parts.vae, parts.notes)
    with in_words(f"the YAML beside {path}" if config is None else "config="):
        overrides = read_config(config) if config is not None else beside(path, parts.notes)
    with in_words(path):
        found = _assembled(name, path, parts, merged(overrides, asked))
    if tiny_vae is None:
        return _with_its_own(found)
    return found if tiny_vae is False else _with_tiny_vae(found, tiny_vae, given=True)


def _varied(base: Checkpoint, variant: Variant, name: str, folder: Path) -> Checkpoint:
    """A model with LoRAs that always lie over it, and the settings in its own folder."""
    said = beside(folder, [])
    others = sorted(said.keys() - {"settings", "examples"})
    if others:
        raise CheckpointError(
            f"{folder / 'sdnb.yaml'} has {listed(others)}, which {variant.of} says for itself: "
            "only settings and examples belong into that of a variant"
        )
    config = replace(
        base.config,
        settings=replace(base.config.settings, **said.get("settings", {})),
        examples=replace(base.config.examples, **said.get("examples", {})),
    )
    weights, _, used = base.fingerprint.partition("-")
    digests = [hashes.sha256(lora) for lora in variant.loras]
    own = hashlib.sha256(" ".join([weights, *digests]).encode()).hexdigest()
    return replace(
        base, name=plain(name, 200), config=config, fingerprint=f"{own}-{used}",
        loras=variant.loras, variant=folder,
    )  # fmt: skip


def _with_its_own(model: Checkpoint) -> Checkpoint:
    """The model with the tiny VAE of its own folder, where there is one and its VAE is not tiny
    itself.
    """
    folder = model.path / TINY_FOLDER
    if model.config.vae.tiny or not folder.is_dir():
        return model
    try:
        return _with_tiny_vae(model, folder, given=False)
    except CheckpointError as error:
        raise CheckpointError(f"{error} (load(..., tiny_vae=False) leaves it out)") from None


def _with_tiny_vae(model: Checkpoint, source: str | Path, *, given: bool) -> Checkpoint:
    """The model with a tiny VAE beside its own."""
    vae, what, notes = model.config.vae, f"tiny_vae={plain(str(source), 200)}", list[str]()
    weights, _ = read_vae(source, notes)
    if not taesd.is_tiny(weights):
        raise CheckpointError(f"{what} is a full VAE, no tiny one (TAESD): give it as vae=")
    if vae.tiny:
        raise CheckpointError(f"{what}: the VAE of {model.name} is a tiny one itself; leave it out")
    if len(vae.channels) != len(TINY_VAE.channels):
        raise CheckpointError(
            f"{what} makes 8 pixels of one of the latents; the VAE of {model.name} makes "
            f"{2 ** (len(vae.channels) - 1)}"
        )
    with in_words(what):
        config = replace(detect.vae_config(_shapes(weights)), latent_channels=vae.latent_channels)
        tensors = canonical(names.vae_table(config), weights, f"tiny VAE {what}")
        _check_bytes(Path(source), {"tiny_vae": tensors})
    notes = [*model.notes, *map(plain, notes)]
    return replace(
        model, tiny_vae=tensors, tiny_config=config, tiny_source=Path(source), tiny_given=given,
        notes=notes,
    )  # fmt: skip


def _exchange_vae(parts: Parts, source: str | Path) -> None:
    """Take another VAE. The old one's overrides (groups, scale) stay if both are built alike."""
    old, (parts.vae, overrides) = parts.vae, read_vae(source, parts.notes)
    with in_words(f"vae={plain(str(source), 200)}"):
        if old and detect.vae_config(_shapes(old)) != detect.vae_config(_shapes(parts.vae)):
            parts.overrides.pop("vae", None)
    parts.overrides = merged(parts.overrides, overrides)


def _shapes(weights: Weights) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in weights.items()}


def _assembled(name: str, path: Path, parts: Parts, overrides: Overrides) -> Checkpoint:
    """Detect the configuration, check every name and shape, and take the fingerprint."""
    unet, vae = parts.unet, _modern(parts.vae)
    text = {
        name.removeprefix("text_model."): tensor
        for name, tensor in parts.text.items()
        if not _NO_WEIGHT.fullmatch(name)
    }
    said = merged(parts.overrides, overrides)
    if taesd.is_tiny(vae):
        # Written for the full VAE that it is in place of; the look of the latents is the UNet's.
        look = said.get("vae", {}).get("preview")
        said = {**said, "vae": {} if look is None else {"preview": look}}
        parts.notes.append(f"its VAE {tiny_files.DRAFTS}")
    try:
        model = detect.model_config(_shapes(unet), _shapes(vae), _shapes(text), said)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    weights: dict[str, Tensors] = {
        "unet": canonical(names.unet_table(model.unet), unet, f"denoiser (unet) of {path}"),
        "vae": canonical(names.vae_table(model.vae), vae, f"VAE of {path}"),
        "text": canonical(names.text_table(model.text), text, f"text encoder of {path}"),
    }
    _check_bytes(path, weights)
    model = predictions.settled(model, said, weights["unet"], path, parts.notes)
    noise = model.noise
    parts.notes += predictions.compared(parts.overrides, noise)
    schedule = NoiseSchedule(noise.steps, noise.beta_start, noise.beta_end, ztsnr=noise.ztsnr)
    if parts.alphas is not None and not _scheduled(parts.alphas, schedule.alphas):
        parts.notes.append(
            "the schedule in the file (alphas_cumprod) is not that of the configuration, which "
            "is used; if pictures look wrong, give the YAML of the file as config="
        )
    return Checkpoint(
        name=plain(name, 200),
        path=path,
        config=model,
        unet=weights["unet"],
        vae=weights["vae"],
        text=weights["text"],
        tokenizer=parts.tokenizer,
        fingerprint=identity(_digest(weights), model.unusual()),
        notes=[plain(note) for note in parts.notes],
    )


def _check_bytes(path: Path, weights: Mapping[str, Tensors]) -> None:
    """Raises CheckpointError for weights that are more than their files: a view may repeat one
    number, or a thousand tensors one storage.
    """
    tensors = [tensor for part in weights.values() for tensor in part.values()]
    announced = sum(tensor.nbytes for tensor in tensors)
    there = sum(file.stat().st_size for file in {tensor.file for tensor in tensors})
    if announced > there:
        raise CheckpointError(
            f"{path}: its weights take {announced:,} bytes and its files have {there:,}, so that "
            "they repeat each other's. Save them again one by one (tensor.clone())."
        )


def _scheduled(alphas: LazyTensor, expected: Tensor) -> bool:
    """Whether `alphas_cumprod` `[steps]` is the configuration's, to 2 % (fp16 files); with zero
    terminal SNR its last may be 0.
    """
    if alphas.shape != expected.shape:  # a table may be of any size
        return False
    return bool(((alphas.read(torch.float64) - expected).abs() < 0.02 * expected + 1e-7).all())


def canonical(rows: list[names.Row], stored: Weights, what: str) -> Weights:
    """`stored` in CompVis' names and shapes; CheckpointError, in the file's names, on a misfit."""
    theirs = any(re.search(r"\.(down_blocks|layers)\.", f".{name}") for name in stored)
    expected = {(row.diffusers if theirs else row.compvis): row for row in rows}
    shaped = {}
    for name, tensor in stored.items():
        row = expected.get(name)
        if row is not None and row.flat and tensor.shape == row.shape[:2]:
            tensor = tensor.reshaped(row.shape)
        shaped[name] = tensor
    compare({name: row.shape for name, row in expected.items()}, shaped, what)
    for name, tensor in shaped.items():
        if not tensor.dtype.is_floating_point:
            raise CheckpointError(
                f"the {what}: {name} is {tensor.dtype}, not a floating-point type"
            )
    return {row.compvis: shaped[name] for name, row in expected.items()}


def _modern(vae: Weights) -> Weights:
    """A VAE's weights without prefix, its attention named as diffusers names it today."""
    out = {}
    for name, tensor in vae.items():
        for old, new in names.OLD_VAE_ATTENTION.items():
            name = name.replace(old, new)
        out[name] = tensor
    return out


def _digest(parts: Mapping[str, Tensors]) -> str:
    """sha256 (hex) over sorted names, shapes, types and up to 4 KiB of each tensor's middle."""
    digest = hashlib.sha256()
    with keep_open():
        for part in sorted(parts):
            for name in sorted(parts[part]):
                tensor = parts[part][name]
                digest.update(f"{part}.{name} {list(tensor.shape)} {tensor.dtype}\n".encode())
                digest.update(tensor.sample())
    return digest.hexdigest()


def read_vae(source: str | Path, notes: list[str]) -> tuple[Weights, Overrides]:
    """The VAE in a file, in a folder with its `config.json`, or in a whole model."""
    path, _ = locate(source, notes)
    with in_words(path):
        if path.is_dir():
            folder = path / "vae" if (path / "vae").is_dir() else path
            weights, overrides = read_component(folder, "vae", notes)
        else:
            weights, overrides = read_weights(path, notes), {}
    for prefix in ("first_stage_model.", "vae."):
        inside = {n.removeprefix(prefix): t for n, t in weights.items() if n.startswith(prefix)}
        weights = inside or weights
    weights = {n: t for n, t in weights.items() if not n.startswith(("loss.", "model_ema."))}
    if taesd.is_tiny(weights):
        with in_words(path):
            return tiny_files.whole(path, weights, notes), overrides
    if not any(name.startswith("decoder.") for name in weights):
        raise CheckpointError(f"{str(source)!r} has no VAE in it (no decoder.* among its weights).")
    return weights, overrides
