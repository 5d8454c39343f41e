"""Writes a model as a diffusers folder: the weights, and the JSON that describes them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from sdnb.engine.checkpoint import names
from sdnb.engine.checkpoint.folders import COMPONENTS
from sdnb.engine.networks.config import ModelConfig

WEIGHTS = {  # part -> its file of weights, inside its folder
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text": "model.safetensors",
}


def write_part(module: nn.Module, config: ModelConfig, part: str, folder: Path) -> None:
    """Write "unet", "vae" or "text" as diffusers and transformers do, in half precision.

    The folder appears whole or not at all: another process may be waiting for it.
    """
    target = folder / COMPONENTS[part]
    aside = target.with_name(target.name + ".part")
    aside.mkdir(parents=True, exist_ok=True)
    tensors = _renamed(module, config, part)
    stored = {name: t.detach().cpu().half().contiguous() for name, t in tensors.items()}
    save_file(stored, aside / WEIGHTS[part], {"format": "pt"})
    _write(aside / "config.json", _CONFIGS[part](config))
    if target.exists():
        shutil.rmtree(target)
    aside.rename(target)


def write_index(config: ModelConfig, folder: Path, scheduler: str = "PNDMScheduler") -> None:
    """Write `model_index.json` and the schedule. `scheduler` is diffusers' class."""
    schedule = {
        "_class_name": scheduler,
        "num_train_timesteps": config.noise.steps,
        "beta_start": config.noise.beta_start,
        "beta_end": config.noise.beta_end,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "set_alpha_to_one": False,
        **({"skip_prk_steps": True} if scheduler == "PNDMScheduler" else {}),
        "steps_offset": 1,
    }
    index = {
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", scheduler],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    _write(folder / "scheduler" / "scheduler_config.json", schedule)
    _write(folder / "model_index.json", index)


def write_configs(config: ModelConfig, folder: Path, scheduler: str = "PNDMScheduler") -> None:
    """Write the JSON of a whole model, without weights."""
    write_index(config, folder, scheduler)
    for part, name in COMPONENTS.items():
        _write(folder / name / "config.json", _CONFIGS[part](config))


def rows(config: ModelConfig, part: str) -> list[names.Row]:
    """The table of names of "unet", "vae" or "text"."""
    if part == "unet":
        return names.unet_table(config.unet)
    return names.vae_table(config.vae) if part == "vae" else names.text_table(config.text)


def _renamed(module: nn.Module, config: ModelConfig, part: str) -> dict[str, Tensor]:
    """The weights under diffusers' names; the VAE's attention as the linear layers it is there."""
    own, prefix = module.state_dict(), "text_model." if part == "text" else ""
    out = {}
    for row in rows(config, part):
        tensor = own[row.compvis]
        out[prefix + row.diffusers] = tensor.flatten(1) if row.flat and part == "vae" else tensor
    return out


def _write(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _unet(config: ModelConfig) -> dict[str, Any]:
    c = config.unet
    levels = range(len(c.channels))
    down = ["CrossAttnDownBlock2D" if i in c.attention_levels else "DownBlock2D" for i in levels]
    return {
        "_class_name": "UNet2DConditionModel",
        "sample_size": config.settings.width // 8,
        "in_channels": c.in_channels,
        "out_channels": c.out_channels,
        "block_out_channels": c.channels,
        "layers_per_block": c.blocks,
        "down_block_types": down,
        "up_block_types": [name.replace("Down", "Up") for name in reversed(down)],
        "cross_attention_dim": c.context_dim,
        # diffusers' name for the number of heads, one a level
        "attention_head_dim": [w // c.head_width for w in c.channels] if c.head_width else c.heads,
        "norm_num_groups": c.groups,
    }


def _vae(config: ModelConfig) -> dict[str, Any]:
    c, levels = config.vae, len(config.vae.channels)
    return {
        "_class_name": "AutoencoderKL",
        "sample_size": config.settings.width,
        "latent_channels": c.latent_channels,
        "block_out_channels": c.channels,
        "layers_per_block": c.blocks,
        "norm_num_groups": c.groups,
        "scaling_factor": c.scale,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
    }


def _text(config: ModelConfig) -> dict[str, Any]:
    c = config.text
    return {
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "vocab_size": c.vocab,
        "hidden_size": c.width,
        "projection_dim": c.width,
        "intermediate_size": c.hidden,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "max_position_embeddings": c.positions,
        "hidden_act": c.activation,
        "bos_token_id": c.vocab - 2,
        "eos_token_id": c.vocab - 1,
        "pad_token_id": c.vocab - 1,
    }


_CONFIGS = {"unet": _unet, "vae": _vae, "text": _text}
