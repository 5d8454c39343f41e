"""A small Stable Diffusion of random weights: a diffusers pipeline, and the folder it saves."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import sdnb.engine.networks
from oracles import diffusers_models as oracle
from sdnb.engine.networks.config import ModelConfig, TextConfig, UNetConfig, VAEConfig
from sdnb.engine.networks.unet import UNet
from sdnb.engine.networks.vae import VAE

CONFIG = ModelConfig(
    unet=UNetConfig(channels=(32, 64, 64, 32), heads=4, context_dim=48, groups=8),
    vae=VAEConfig(channels=(16, 32, 32, 32), groups=8),
    text=TextConfig(width=48, layers=2, heads=4, hidden=96),
)


def scheduler() -> DDIMScheduler:
    """The original's DDIM: diffusers' defaults clip x0 and end at another alpha."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def build(config: ModelConfig = CONFIG, seed: int = 0) -> StableDiffusionPipeline:
    """The pipeline, in fp32, its weights drawn so that activations stay of order one."""
    with torch.device("meta"):
        unet, vae = UNet(config.unet), VAE(config.vae)
    torch.manual_seed(seed)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=config.text.vocab,
            hidden_size=config.text.width,
            num_hidden_layers=config.text.layers,
            num_attention_heads=config.text.heads,
            intermediate_size=config.text.hidden,
            bos_token_id=config.text.vocab - 2,
            eos_token_id=config.text.vocab - 1,
        )
    )
    tokens = Path(sdnb.engine.networks.__file__).parent / "clip" / "tokenizer.json"
    return StableDiffusionPipeline(
        vae=oracle.vae(config.vae, oracle.random_weights(vae, seed + 1)),
        text_encoder=text.eval(),
        tokenizer=CLIPTokenizer(tokenizer_file=str(tokens), model_max_length=77),
        unet=oracle.unet(config.unet, oracle.random_weights(unet, seed + 2)),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
