"""One file with a whole model: its weights, sorted into denoiser, VAE and text encoder.

CompVis' `.ckpt` (pruned or full, with or without a `state_dict` key) and `.safetensors` in CompVis' or
diffusers' names. What is left out is listed in tables; everything else that is not expected is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sdnb.checkpoint.configs import Overrides
from sdnb.checkpoint.errors import CheckpointError, listed
from sdnb.checkpoint.kinds import other_kind
from sdnb.checkpoint.pickles import Unknown
from sdnb.checkpoint.safefiles import read_safetensors
from sdnb.checkpoint.sniff import container
from sdnb.checkpoint.tensors import LazyTensor
from sdnb.checkpoint.torchfiles import read_torch

Weights = dict[str, LazyTensor]


@dataclass
class Parts:
    """A model's weights as the file names them (without prefix), and what the file says besides."""

    unet: Weights = field(default_factory=dict)
    vae: Weights = field(default_factory=dict)
    text: Weights = field(default_factory=dict)
    overrides: Overrides = field(default_factory=dict)
    tokenizer: Path | None = None
    notes: list[str] = field(default_factory=list)


PREFIXES = (  # the longer one first
    ("model.diffusion_model.", "unet"),
    ("first_stage_model.", "vae"),
    ("cond_stage_model.transformer.text_model.", "text"),
    ("cond_stage_model.transformer.", "text"),
    ("unet.", "unet"),
    ("vae.", "vae"),
    ("text_encoder.text_model.", "text"),
    ("text_encoder.", "text"),
)

_SCHEDULE = (
    "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod",
    "posterior_variance", "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2",
    "logvar", "lvlb_weights", "scale_factor", "log_sigmas", "sigmas",
)  # fmt: skip
# pattern of a name in the weights -> what it is; None: made again from the configuration, nothing is lost
LEFT_OUT: tuple[tuple[str, str | None], ...] = (
    (r"model_ema\.", "the moving average (EMA) of the denoiser; its ordinary weights are used, as the original does"),
    (r"first_stage_model\.(loss|discriminator)\.", "the VAE's training losses"),
    (r"loss\.", "the VAE's training losses"),
    (r"first_stage_model\.model_ema\.", "the moving average (EMA) of the VAE"),
    (r"embedding_manager\.", "the embedding manager of a textual-inversion training"),
    (r"(safety_checker|feature_extractor)\.", "the safety checker"),
    (r"(%s)$" % "|".join(_SCHEDULE), None),
    (r"(.*\.)?embeddings\.position_ids$", None),
    (r"(cond_stage_model\.|text_encoder\.)?(transformer\.)?(text_model\.)?(logit_scale|text_projection(\.weight)?)$", None),
)  # fmt: skip
TRAINING = {  # keys beside `state_dict` that only a training needs
    "epoch", "global_step", "pytorch-lightning_version", "callbacks", "optimizer_states", "lr_schedulers",
    "hparams_name", "hyper_parameters", "loops", "native_amp_scaling_state", "datamodule_hparams_by_name",
    "optimizer", "optimizer_state_dict", "lr_scheduler", "scheduler", "steps", "step", "iteration",
}  # fmt: skip


def read_single(path: Path) -> Parts:
    """The whole model of one file. Raises CheckpointError when the file is something else."""
    weights, notes = read_weights(path)
    parts = Parts(notes=notes)
    if "v_pred" in weights:  # markers that some trainers leave
        weights.pop("v_pred")
        parts.overrides = {"noise": {"prediction": "v"}}
        parts.notes.append("the file is marked as predicting v, and is run so")
    if "ztsnr" in weights:
        raise CheckpointError(
            f"{path} was trained on a zero-terminal-SNR schedule, which sdnb does not run."
        )
    unexpected = _sort(weights, parts)
    if not (parts.unet and parts.text):
        refuse_other_kinds(path, weights)
        have = [name for name in ("unet", "vae", "text") if getattr(parts, name)]
        raise CheckpointError(
            f"{path} is no whole Stable Diffusion 1.x model: of denoiser (unet), vae and text encoder it has "
            f"{' and '.join(have) or 'none'}. Its weights are named {listed(sorted(weights), 4) or '(none)'}."
        )
    refuse_other_kinds(path, weights)
    if unexpected:
        raise CheckpointError(
            f"{path} has {len(unexpected)} unexpected tensors, which belong to no part of Stable Diffusion 1.x: "
            f"{listed(unexpected)}"
        )
    return parts


def read_weights(path: Path) -> tuple[Weights, list[str]]:
    """Every tensor of a file by its name there, and notes. The container is told by its content."""
    kind = container(path)
    notes = []
    if kind == "safetensors":
        weights, metadata = read_safetensors(path)
        if any(key.startswith("ss_network") for key in metadata):
            refuse_other_kinds(path, {**{n: t for n, t in weights.items()}})
    else:
        weights, notes = _state_dict(path)
    usual = {"safetensors": {".safetensors"}, "torch": {".ckpt", ".pt", ".pth", ".bin"}}[kind]
    if path.suffix.lower() not in usual:
        notes.append(f"{path.name} is a {kind} file in spite of its name")
    return weights, notes


def _state_dict(path: Path) -> tuple[Weights, list[str]]:
    root = read_torch(path)
    if not isinstance(root, dict):
        name = root.name if isinstance(root, Unknown) else type(root).__name__
        raise CheckpointError(
            f"{path} holds a whole object ({name}), not weights by name. Making it would run its code, which "
            "sdnb does not. Where you trust it, save its weights: torch.save(model.state_dict(), path)."
        )
    state, notes = root, []
    for key in ("state_dict", "model_state_dict", "module", "model"):
        if isinstance(root.get(key), dict):
            state = root[key]
            others = sorted(str(name) for name in root if name != key and name not in TRAINING)
            if others:
                notes.append(f"left out, beside the weights: {listed(others)}")
            break
        if isinstance(root.get(key), Unknown):
            raise CheckpointError(_unreadable(path, key, root[key]))
    if {"string_to_param", "string_to_token"} & {str(key) for key in state}:
        refuse_other_kinds(path, dict.fromkeys(map(str, state)))
    weights: Weights = {}
    for name, value in state.items():
        if isinstance(value, LazyTensor):
            weights[str(name)] = value
        elif _left_out(str(name)) is None:
            if isinstance(value, Unknown):
                raise CheckpointError(_unreadable(path, str(name), value))
            if isinstance(value, (dict, list)) and not any(name.startswith(p) for p, _ in PREFIXES):
                continue
            raise CheckpointError(f"{path}: {name} is a {type(value).__name__}, not a tensor")
    return weights, notes


def _unreadable(path: Path, name: str, value: Unknown) -> str:
    return (
        f"{path}: {name} would come out of a call to {value.name}. A checkpoint is read and never run, so this is "
        "refused. Where you trust the file, load it with the program that made it and save plain tensors "
        "(torch.save(state_dict, path), or safetensors)."
    )


def _sort(weights: Weights, parts: Parts) -> list[str]:
    """Put each tensor into its part; the names that belong nowhere come back."""
    unexpected, left = [], set()
    for name, tensor in weights.items():
        rule = _left_out(name)
        if rule is not None:
            left.add(rule[1])
            continue
        for prefix, part in PREFIXES:
            if name.startswith(prefix):
                getattr(parts, part)[name.removeprefix(prefix)] = tensor
                break
        else:
            unexpected.append(name)
    parts.notes += [f"left out: {what}" for what in sorted(what for what in left if what)]
    return sorted(unexpected)


_LEFT_OUT = tuple((re.compile(pattern), what) for pattern, what in LEFT_OUT)


def _left_out(name: str) -> tuple[re.Pattern[str], str | None] | None:
    return next((rule for rule in _LEFT_OUT if rule[0].match(name)), None)


def refuse_other_kinds(path: Path, weights: Mapping[str, Any]) -> None:
    """Raises CheckpointError when the file's weights are a LoRA's, an SDXL model's ..."""
    kind = other_kind({name: getattr(tensor, "shape", ()) for name, tensor in weights.items()})
    if kind is not None:
        raise CheckpointError(f"{path} is {kind.what}. {kind.so}")
