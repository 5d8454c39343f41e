"""The VAE against diffusers' on the same weights, in fp32: largest absolute error <= 1e-4."""

import pytest
import torch
from oracles import diffusers_models as oracle

from sdnb.engine.networks.config import VAEConfig
from sdnb.engine.networks.vae import VAE

TINY = VAEConfig(channels=(16, 32, 64, 64), groups=8)
TOLERANCE = 1e-4


def pair(config):
    with torch.device("meta"):
        ours = VAE(config)
    weights = oracle.random_weights(ours, 3)
    ours.load_state_dict(weights, assign=True)
    return ours.eval(), oracle.vae(config, weights)


@torch.inference_mode()
def check(config, height, width):
    ours, theirs = pair(config)
    generator = torch.Generator().manual_seed(4)
    pixels = torch.rand(2, 3, height, width, generator=generator) * 2 - 1
    truth = theirs.encode(pixels).latent_dist.mean
    assert truth.std() > 0.1
    assert (ours.encode(pixels) / config.scale - truth).abs().max() <= TOLERANCE
    latent = torch.randn(2, 4, height // 8, width // 8, generator=generator)
    truth = theirs.decode(latent / config.scale).sample
    assert truth.std() > 0.1
    assert (ours.decode(latent) - truth).abs().max() <= TOLERANCE


@pytest.mark.parametrize("size", [(64, 64), (72, 120)])
def test_tiny_vae_equals_diffusers(size):
    check(TINY, *size)


def test_other_widths_equal_diffusers():
    check(VAEConfig(channels=(8, 16, 8, 24), blocks=1, groups=4), 64, 80)


@pytest.mark.picture
def test_sd1_vae_equals_diffusers():
    check(VAEConfig(), 64, 64)
