"""Reads one file with a whole model, and sorts its weights into denoiser, VAE and text encoder.

The names are CompVis' (pruned or full) or diffusers'. `LEFT_OUT` lists the tensors that are not
used; any other unexpected tensor is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from sdnb.engine.checkpoint import openclip, prediction
from sdnb.engine.checkpoint.configs import Overrides
from sdnb.engine.checkpoint.tensors import LazyTensor, Weights, read_weights
from sdnb.headers.errors import CheckpointError, listed
from sdnb.headers.statedict import refuse_other_kinds
from sdnb.request.plain_words import counted


@dataclass
class Parts:
    """A model's weights in its files' names (without prefix), and whatever else the files hold."""

    unet: Weights = field(default_factory=dict)
    vae: Weights = field(default_factory=dict)
    text: Weights = field(default_factory=dict)
    overrides: Overrides = field(default_factory=dict)
    tokenizer: Path | None = None
    alphas: LazyTensor | None = None  # `alphas_cumprod`, where a file has it
    notes: list[str] = field(default_factory=list)


PREFIXES = (  # the longer one first
    ("model.diffusion_model.", "unet"),
    ("first_stage_model.", "vae"),
    ("cond_stage_model.transformer.text_model.", "text"),
    ("cond_stage_model.transformer.", "text"),
    ("cond_stage_model.model.", "text"),  # Stable Diffusion 2.x: `openclip`
    ("cond_stage_model.clip_l.transformer.text_model.", "text"),  # Forge and ComfyUI
    ("cond_stage_model.clip_l.transformer.", "text"),
    ("text_encoders.clip_l.transformer.text_model.", "text"),
    ("text_encoders.clip_l.transformer.", "text"),
    ("text_encoders.clip_h.transformer.text_model.", "text"),
    ("unet.", "unet"),
    ("vae.", "vae"),
    ("text_encoder.text_model.", "text"),
    ("text_encoder.", "text"),
)

_PARTS = {"unet": "denoiser", "vae": "VAE", "text": "text encoder"}

_SCHEDULE = (
    "alphas_cumprod", "alphas_cumprod_prev", "betas", "log_one_minus_alphas_cumprod", "log_sigmas",
    "logvar", "lvlb_weights", "posterior_log_variance_clipped", "posterior_mean_coef1",
    "posterior_mean_coef2", "posterior_variance", "scale_factor", "sigmas", "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod",
)  # fmt: skip
_EMA = "the moving average (EMA) of the {}; its ordinary weights are used, as the original does"
_LOSS = "what the VAE's training alone needs (its losses)"
# The beginning of a tensor's name -> what it is; None: the configuration says the same.
LEFT_OUT: dict[str, str | None] = {
    r"model_ema\.": _EMA.format("denoiser"),
    r"first_stage_model\.model_ema\.": _EMA.format("VAE"),
    r"(first_stage_model\.)?(loss|discriminator)\.": _LOSS,
    r"embedding_manager\.": "the words of a textual-inversion training",
    r"(safety_checker|feature_extractor)\.": "the safety checker",
    rf"({'|'.join(_SCHEDULE)})$": None,
    r"(.*\.)?embeddings\.position_ids$": None,
    r"(cond_stage_model\.|text_encoders?\.)(.*\.)?(logit_scale|text_projection(\.weight)?)$": None,
    r"cond_stage_model\.model\.attn_mask$": None,
}


def read_single(path: Path) -> Parts:
    """The whole model of one file. Raises CheckpointError when the file is something else."""
    parts = Parts()
    metadata: dict[str, str] = {}
    weights = read_weights(path, parts.notes, metadata)
    markers = [name for name in ("v_pred", "ztsnr") if weights.pop(name, None) is not None]
    parts.overrides = prediction.marked(metadata, markers)
    unexpected = _sort(weights, parts)
    refuse_other_kinds(path, weights)
    if not (parts.unet and parts.text):
        have = [name for name in ("unet", "vae", "text") if getattr(parts, name)]
        raise CheckpointError(
            f"{path} is no whole Stable Diffusion model: of the denoiser (unet), the VAE and "
            f"the text encoder it has {' and '.join(have) or 'none'}. Its weights are named "
            f"{listed(sorted(weights), 4) or '(it has none)'}. Give one that has all."
        )
    if unexpected:
        raise CheckpointError(
            f"{path} has {counted(len(unexpected), 'unexpected tensor')}, of no part of Stable "
            f"Diffusion: {listed(unexpected)}"
        )
    if openclip.is_openclip(parts.text):
        parts.text = openclip.renamed(parts.text)
        parts.overrides |= {"text": {"activation": "gelu"}}
    return parts


def _sort(weights: Weights, parts: Parts) -> list[str]:
    """Put each tensor into its part; returns the names that belong to none.

    A merge may hold a part twice: the one whose prefix comes first in `PREFIXES` is taken.
    """
    rules = [(re.compile(pattern), what) for pattern, what in LEFT_OUT.items()]
    unexpected, left = [], set()
    under: dict[str, Weights] = {prefix: {} for prefix, _ in PREFIXES}
    for name, tensor in weights.items():
        rule = next((rule for rule in rules if rule[0].match(name)), None)
        prefix = next((prefix for prefix in under if name.startswith(prefix)), None)
        if rule is not None:
            left.add(rule[1])
        elif prefix is None:
            unexpected.append(name)
        else:
            under[prefix][name.removeprefix(prefix)] = tensor
    for prefix, part in PREFIXES:
        first = getattr(parts, part)
        if first.keys() & under[prefix].keys():
            left.add(f"{prefix}*, because the file holds its {_PARTS[part]} twice")
        setattr(parts, part, {**under[prefix], **first})
    parts.alphas = weights.get("alphas_cumprod")
    parts.notes += [f"left out: {what}" for what in sorted(filter(None, left))]
    return sorted(unexpected)
