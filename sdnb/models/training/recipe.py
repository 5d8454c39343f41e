"""The shapes of the embedded model, and how a model is written as a diffusers folder.

Widths were chosen for 49 MB in half precision and a few seconds a picture on two CPU cores: heads
of 32 channels (narrow ones are slow everywhere), and norms of 8 groups: with 32 groups on 32
channels a norm keeps no uniform colour, and the pictures lose theirs.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sdnb.engine.checkpoint import names
from sdnb.engine.networks import text
from sdnb.engine.networks.config import ModelConfig, TextConfig, UNetConfig, VAEConfig
from sdnb.engine.networks.tokenizer import Tokenizer
from sdnb.request.request import Settings

_WEIGHTS = "diffusion_pytorch_model.safetensors"
_TEXT_WEIGHTS = "model.safetensors"


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
    """A text encoder with weights to begin from, instead of none."""
    model = text.build(config).to_empty(device="cpu")
    for name, p in model.named_parameters():
        if p.ndim > 1:
            nn.init.normal_(p, std=0.02)
        else:
            nn.init.constant_(p, 1.0 if name.endswith("weight") else 0.0)
    return model


def save_part(module: nn.Module, config: ModelConfig, part: str, folder: Path) -> None:
    """Write "unet", "vae" or "text" as diffusers and transformers do, in half precision.

    The folder appears whole or not at all: another process may be waiting for it.
    """
    target = folder / {"text": "text_encoder"}.get(part, part)
    aside = target.with_name(target.name + ".part")
    aside.mkdir(parents=True, exist_ok=True)
    tensors = _renamed(module, config, part)
    stored = {name: t.detach().cpu().half().contiguous() for name, t in tensors.items()}
    save_file(stored, aside / (_TEXT_WEIGHTS if part == "text" else _WEIGHTS), {"format": "pt"})
    _write(aside / "config.json", _CONFIGS[part](config))
    if target.exists():
        shutil.rmtree(target)
    aside.rename(target)


def save_rest(config: ModelConfig, tokenizer: Path, folder: Path) -> None:
    """Write what a folder has beside the networks: tokenizer, schedule, index, our settings."""
    copied(tokenizer, folder / "tokenizer")
    (folder / "scheduler").mkdir(exist_ok=True)
    _write(folder / "scheduler" / "scheduler_config.json", _scheduler(config))
    _write(folder / "model_index.json", _INDEX)
    lines = [f"  {name}: {value}" for name, value in asdict(config.settings).items()]
    (folder / "sdnb.yaml").write_text("\n".join(["settings:", *lines, ""]), encoding="utf-8")


def copied(source: Path, target: Path) -> None:
    """A folder's files in another folder, which may be the same one."""
    if source.resolve() != target.resolve():
        shutil.copytree(source, target, dirs_exist_ok=True)


def load_part(module: nn.Module, config: ModelConfig, part: str, folder: Path) -> None:
    """Fill a network with what `save_part` or diffusers wrote: to go on training."""
    name = "text_encoder/" + _TEXT_WEIGHTS if part == "text" else f"{part}/{_WEIGHTS}"
    stored = load_file(folder / name)
    stored = {key.removeprefix("text_model."): tensor for key, tensor in stored.items()}
    filled = {
        row.compvis: stored[row.diffusers].float().view(row.shape) for row in _rows(config, part)
    }
    module.load_state_dict(filled)


def _rows(config: ModelConfig, part: str) -> list[names.Row]:
    if part == "unet":
        return names.unet_table(config.unet)
    return names.vae_table(config.vae) if part == "vae" else names.text_table(config.text)


def _renamed(module: nn.Module, config: ModelConfig, part: str) -> dict[str, Tensor]:
    """The weights under diffusers' names; the VAE's attention as the linear layers it is there."""
    own, prefix = module.state_dict(), "text_model." if part == "text" else ""
    out = {}
    for row in _rows(config, part):
        tensor = own[row.compvis]
        out[prefix + row.diffusers] = tensor.flatten(1) if row.flat and part == "vae" else tensor
    return out


def _write(path: Path, value: Any) -> None:
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


def _scheduler(config: ModelConfig) -> dict[str, Any]:
    c = config.noise
    return {
        "_class_name": "PNDMScheduler",
        "num_train_timesteps": c.steps,
        "beta_start": c.beta_start,
        "beta_end": c.beta_end,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "set_alpha_to_one": False,
        "skip_prk_steps": True,
        "steps_offset": 1,
    }


_CONFIGS = {"unet": _unet, "vae": _vae, "text": _text}
_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
