"""diffusers' UNet and VAE of any `ModelConfig`, on given CompVis weights.

The names are translated by diffusers' own converters (CompVis to diffusers), which share nothing
with `sdnb.engine.checkpoint.names` (diffusers to CompVis).
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from torch import Tensor, nn

from sdnb.engine.networks.config import UNetConfig, VAEConfig

_DRAWN = 1_000_003
SINUSOIDS = 16  # width of a number among the added conditions; 256 in SDXL


def random_weights(model: nn.Module, seed: int) -> dict[str, Tensor]:
    """Weights that keep activations of order one, with no name left at a neutral value (zeros,
    ones).
    """
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, p in model.state_dict().items():
        noise = _noise(p.shape, generator)
        if p.ndim > 1:
            weights[name] = noise.mul_(p[0].numel() ** -0.5)
        else:
            weights[name] = noise.mul_(0.1).add_(1.0 if name.endswith("weight") else 0.0)
    return weights


def _noise(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Normal numbers, which in a large tensor repeat at the distance of a prime: no row is another.
    To draw each of Stable Diffusion's 860 million takes longer than to run the network.
    """
    count = shape.numel()
    if count <= _DRAWN:
        return torch.randn(shape, generator=generator)
    times = -(-count // _DRAWN)
    return torch.randn(_DRAWN, generator=generator).repeat(times)[:count].view(shape)


def linear(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same with the projections of transformers as linear layers, as SD 2 stores them."""
    ends = ("proj_in.weight", "proj_out.weight")
    return {n: w.flatten(1) if n.endswith(ends) else w for n, w in weights.items()}


def unet(
    config: UNetConfig, weights: dict[str, Tensor], *, as_linear: bool = False
) -> UNet2DConditionModel:
    levels = range(len(config.channels))
    down = [
        "CrossAttnDownBlock2D" if i in config.attention_levels else "DownBlock2D" for i in levels
    ]
    up = [name.replace("Down", "Up") for name in reversed(down)]
    width = config.head_width
    heads = [c // width for c in config.channels] if width else config.heads
    args = {
        "sample_size": 64,
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "block_out_channels": config.channels,
        "layers_per_block": config.blocks,
        "down_block_types": tuple(down),
        "up_block_types": tuple(up),
        "cross_attention_dim": config.context_dim,
        "attention_head_dim": heads,  # diffusers' old name for the number of heads
        "norm_num_groups": config.groups,
        "use_linear_projection": as_linear,
    }
    if len(config.depth) > 1:  # diffusers counts one where there is none
        args["transformer_layers_per_block"] = [depth or 1 for depth in config.depth]
    if config.added_dim:  # a pooled text, and six numbers as sinusoids
        args |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": SINUSOIDS,
            "projection_class_embeddings_input_dim": config.added_dim,
        }
    weights = linear(weights) if as_linear else weights
    with torch.device("meta"):
        model = UNet2DConditionModel(**args)
    prefixed = {f"model.diffusion_model.{k}": v for k, v in weights.items()}
    model.load_state_dict(convert_ldm_unet_checkpoint(prefixed, model.config), assign=True)
    return model.eval()


def vae(config: VAEConfig, weights: dict[str, Tensor]) -> AutoencoderKL:
    n = len(config.channels)
    with torch.device("meta"):
        model = AutoencoderKL(
            latent_channels=config.latent_channels,
            block_out_channels=config.channels,
            layers_per_block=config.blocks,
            norm_num_groups=config.groups,
            down_block_types=("DownEncoderBlock2D",) * n,
            up_block_types=("UpDecoderBlock2D",) * n,
        )
    prefixed = {f"first_stage_model.{k}": v for k, v in weights.items()}
    model.load_state_dict(convert_ldm_vae_checkpoint(prefixed, model.config), assign=True)
    return model.eval()
