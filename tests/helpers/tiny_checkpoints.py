"""Small models of random weights, written in the layouts that people have."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from oracles import diffusers_models as oracle
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from sdnb.engine.checkpoint import Checkpoint
from sdnb.engine.networks import text
from sdnb.engine.networks.config import ModelConfig, TextConfig, UNetConfig, VAEConfig
from sdnb.engine.networks.unet import UNet
from sdnb.engine.networks.vae import VAE

CONFIG = ModelConfig(
    unet=UNetConfig(channels=(32, 64), blocks=1, attention_levels=(0,), context_dim=64),
    vae=VAEConfig(channels=(32, 64), blocks=1),
    text=TextConfig(vocab=100, width=64, layers=2, heads=1, hidden=128, positions=77),
)
PREFIXES = {
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
    "text": "cond_stage_model.transformer.text_model.",
}
Parts = dict[str, dict[str, Tensor]]


def weights(config: ModelConfig = CONFIG, seed: int = 0) -> Parts:
    """Random weights by part, in the names of the package's own modules."""
    with torch.device("meta"):
        modules = {"unet": UNet(config.unet), "vae": VAE(config.vae)}
    modules["text"] = text.build(config.text)
    return {
        name: oracle.random_weights(module, seed + n)
        for n, (name, module) in enumerate(modules.items())
    }


def compvis(parts: Parts) -> dict[str, Tensor]:
    """All parts in one dictionary, as CompVis' checkpoints name them."""
    return {PREFIXES[part] + name: t for part, each in parts.items() for name, t in each.items()}


def ckpt(path: Path, parts: Parts, **more: object) -> Path:
    """A `.ckpt` with a `state_dict` key and whatever lies beside it."""
    torch.save({"state_dict": compvis(parts), **more}, path)
    return path


def safetensors(path: Path, tensors: dict[str, Tensor]) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def diffusers_names(parts: Parts, config: ModelConfig = CONFIG) -> Parts:
    """The same weights in diffusers' names, by diffusers' own converters."""
    return {
        "unet": oracle.unet(config.unet, parts["unet"]).state_dict(),
        "vae": oracle.vae(config.vae, parts["vae"]).state_dict(),
        "text": parts["text"],
    }


def folder(path: Path, parts: Parts, config: ModelConfig = CONFIG, **options: object) -> Path:
    """A diffusers folder, as diffusers and transformers save it (`save_pretrained(**options)`)."""
    oracle.unet(config.unet, parts["unet"]).save_pretrained(path / "unet", **options)
    oracle.vae(config.vae, parts["vae"]).save_pretrained(path / "vae", **options)
    t = config.text
    model = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=t.vocab,
            hidden_size=t.width,
            num_hidden_layers=t.layers,
            num_attention_heads=t.heads,
            intermediate_size=t.hidden,
        )
    )
    getattr(model, "text_model", model).load_state_dict(parts["text"])
    model.save_pretrained(path / "text_encoder", **options)
    (path / "tokenizer").mkdir()
    (path / "tokenizer" / "vocab.json").write_text("{}", "utf-8")
    index = {"_class_name": "StableDiffusionPipeline"}
    (path / "model_index.json").write_text(json.dumps(index), "utf-8")
    return path


def same(found: Checkpoint, parts: Parts, dtype: torch.dtype = torch.float32) -> None:
    """Assert that a checkpoint holds exactly these weights."""
    for part, wanted in parts.items():
        tensors = getattr(found, part)
        assert tensors.keys() == wanted.keys()
        for name, tensor in wanted.items():
            assert tensors[name].shape == tuple(tensor.shape), name
            assert torch.equal(tensors[name].read(), tensor.to(dtype)), name
