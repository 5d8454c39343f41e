"""Noise of a batch is the noise of each image alone; the way into and out of sigma coordinates."""

import math

import pytest
import torch

from sdnb.engine.diffusion.noise import Noise, finish, start

SHAPE = (4, 6, 5)


def test_a_row_of_a_batch_is_that_seed_alone():
    together, alone = Noise([7, 8, 9], SHAPE), Noise([8], SHAPE)
    for _ in range(5):
        assert torch.equal(together()[1], alone()[0])


def test_draws_are_unit_normal_float32_and_differ():
    noise = Noise(range(8), (4, 64, 64))
    first, second = noise(), noise()
    assert first.shape == (8, 4, 64, 64)
    assert first.dtype == torch.float32
    assert first.device.type == "cpu"
    assert abs(first.mean()) < 0.02
    assert abs(first.std() - 1) < 0.02
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_noise_is_the_same_again_and_ignores_the_global_generator():
    torch.manual_seed(0)
    first = Noise([3], SHAPE)()
    torch.manual_seed(1)
    assert torch.equal(Noise([3], SHAPE)(), first)
    state = torch.get_rng_state()
    Noise([3], SHAPE)()
    assert torch.equal(torch.get_rng_state(), state)


def test_the_largest_seed_is_a_seed():
    assert Noise([0, 2**63 - 1], SHAPE)().isfinite().all()


def test_noise_needs_a_seed():
    with pytest.raises(ValueError, match="seeds is empty"):
        Noise([], SHAPE)


def test_start_without_a_latent_is_the_originals_pure_noise():
    noise, sigma = Noise([1], SHAPE)(), 14.6
    x = start(None, noise, sigma)
    assert (x / math.sqrt(1 + sigma**2) - noise).abs().max() < 1e-6  # its x_T, in its coordinates


def test_start_on_a_latent_adds_noise_of_that_level():
    latent, noise = torch.ones(1, *SHAPE), Noise([1], SHAPE)()
    assert torch.equal(start(latent, noise, 2.5), latent + noise * 2.5)
    assert torch.equal(latent, torch.ones(1, *SHAPE))


def test_finish_leaves_variance_preserving_coordinates():
    x = torch.randn(1, *SHAPE)
    assert finish(x, 0.0) is x
    assert torch.allclose(finish(x, 0.5), x / math.sqrt(1.25))
