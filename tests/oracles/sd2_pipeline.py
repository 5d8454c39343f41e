"""A small Stable Diffusion 2 of random weights: the single file that it comes in, and diffusers'
pipeline of the same weights. OpenCLIP's names are read by diffusers' own converter.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import sdnb.engine.networks
from oracles import diffusers_models as oracle
from sdnb.engine.networks.config import ModelConfig, TextConfig, UNetConfig, VAEConfig
from sdnb.engine.networks.unet import UNet
from sdnb.engine.networks.vae import VAE

WIDTH = 128
CONFIG = ModelConfig(
    unet=UNetConfig(channels=(64, 128, 128, 64), blocks=1, head_width=64, context_dim=WIDTH),
    vae=VAEConfig(channels=(32, 32, 32, 32), blocks=1),
    text=TextConfig(width=WIDTH, layers=23, heads=2, hidden=192, activation="gelu", padding=0),
)
TEXT, UNET, VAE_ = "cond_stage_model.model.", "model.diffusion_model.", "first_stage_model."
NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def text_shapes(config: TextConfig, layers: int = 24) -> dict[str, tuple[int, ...]]:
    """OpenCLIP's names and shapes, as `open_clip.CLIP` has them."""
    w, wide = config.width, config.hidden
    shapes: dict[str, tuple[int, ...]] = {
        "positional_embedding": (77, w), "text_projection": (w, w), "logit_scale": (),
        "token_embedding.weight": (config.vocab, w), "ln_final.weight": (w,), "ln_final.bias": (w,),
    }  # fmt: skip
    for n in range(layers):
        for name, shape in {
            "ln_1": (w,), "ln_2": (w,), "attn.in_proj": (3 * w, w), "attn.out_proj": (w, w),
            "mlp.c_fc": (wide, w), "mlp.c_proj": (w, wide),
        }.items():  # fmt: skip
            joint = "_" if name == "attn.in_proj" else "."
            at = f"transformer.resblocks.{n}.{name}{joint}"
            shapes |= {f"{at}weight": shape, f"{at}bias": shape[:1]}
    return shapes


def state(layers: int = 24, config: ModelConfig = CONFIG) -> dict[str, Tensor]:
    """All weights in the names and shapes of the original's single file."""
    generator = torch.Generator().manual_seed(7)
    out = {}
    for name, shape in text_shapes(config.text, layers).items():
        noise = torch.randn(shape, generator=generator)
        is_norm = "ln_" in name and name.endswith("weight")
        scale = shape[-1] ** -0.5 if len(shape) > 1 else 0.1
        out[TEXT + name] = noise * scale + (1 if is_norm else 0)
    with torch.device("meta"):
        networks = {UNET: UNet(config.unet), VAE_: VAE(config.vae)}
    for seed, (prefix, network) in enumerate(networks.items()):
        weights = oracle.random_weights(network, seed)
        weights = oracle.linear(weights) if prefix == UNET else weights
        out |= {prefix + name: tensor for name, tensor in weights.items()}
    return out


def text_encoder(weights: dict[str, Tensor], config: TextConfig = CONFIG.text) -> CLIPTextModel:
    """transformers' encoder of 23 layers, with OpenCLIP's first 23."""
    model = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=config.vocab, hidden_size=config.width, num_hidden_layers=23,
            num_attention_heads=config.heads, intermediate_size=config.hidden, hidden_act="gelu",
            bos_token_id=config.vocab - 2, eos_token_id=config.vocab - 1,
        )
    )  # fmt: skip
    kept = {name: w for name, w in weights.items() if ".resblocks.23." not in name}
    theirs = convert_open_clip_checkpoint(model, kept)
    theirs = {n.removeprefix("text_model."): w for n, w in theirs.items()}
    theirs.pop("text_projection.weight", None)
    getattr(model, "text_model", model).load_state_dict(theirs)
    return model.eval()


def build(weights: dict[str, Tensor], **scheduler: object) -> StableDiffusionPipeline:
    """The pipeline of a single file's weights, with DDIM's scheduler."""
    parts = [
        {name.removeprefix(p): tensor for name, tensor in weights.items() if name.startswith(p)}
        for p in (UNET, VAE_)
    ]
    tokens = Path(sdnb.engine.networks.__file__).parent / "clip" / "tokenizer.json"
    options = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1, **scheduler}
    return StableDiffusionPipeline(
        unet=oracle.unet(CONFIG.unet, parts[0], as_linear=True),
        vae=oracle.vae(CONFIG.vae, parts[1]),
        text_encoder=text_encoder(weights),
        tokenizer=CLIPTokenizer(tokenizer_file=str(tokens), model_max_length=77, pad_token="!"),
        scheduler=DDIMScheduler(**NOISE, **options),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
