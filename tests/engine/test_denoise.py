"""Denoisers in closed form: eps, v, guidance, and inpainting that keeps what it must exactly."""

import contextlib
import math

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from oracles.network import RandomNetwork

from sdnb.engine.diffusion.denoise import blend, combine, eps_denoiser, guided, inpainting
from sdnb.engine.diffusion.noise import Noise, finish, start
from sdnb.engine.diffusion.samplers import SAMPLERS
from sdnb.engine.diffusion.schedule import SCHEDULES, NoiseSchedule, sigmas

SCHEDULE = NoiseSchedule()


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("sigma", [0.0292, 0.5, 3.0, 14.6])
def test_a_perfect_network_gives_the_clean_latent(sigma):
    clean, eps = normal(2, 4, 5, 5), normal(2, 4, 5, 5, seed=1)
    x = clean + sigma * eps
    signal, spread = 1 / math.sqrt(1 + sigma**2), sigma / math.sqrt(1 + sigma**2)
    velocity = signal * eps - spread * clean  # Salimans & Ho 2022
    for prediction, output in (("eps", eps), ("v", velocity)):
        denoise = eps_denoiser(lambda _x, _t, output=output: output, SCHEDULE, prediction)
        assert (denoise(x, sigma) - clean).abs().max() < 1e-12


def test_eps_and_v_of_one_network_are_one_denoiser():
    network = RandomNetwork()

    def velocity(x, t):  # v = signal * eps - spread * x0, with x0 = (x - spread * eps) / signal
        sigma = SCHEDULE.t_to_sigma(t)
        signal, spread = 1 / math.sqrt(1 + sigma**2), sigma / math.sqrt(1 + sigma**2)
        eps = network(x, t)
        return signal * eps - spread * (x - spread * eps) / signal

    x = normal(1, 4, 8, 8) * 5
    for t in (0, 1, 200.5, 700, 999):
        sigma = SCHEDULE.t_to_sigma(t)
        by_eps = eps_denoiser(network, SCHEDULE)(x, sigma)
        by_v = eps_denoiser(velocity, SCHEDULE, "v")(x, sigma)
        assert (by_eps - by_v).abs().max() < 1e-10


def test_the_network_sees_unit_variance_and_the_timestep():
    seen = []

    def predict(x, t):
        seen.append((x, t))
        return torch.zeros_like(x)

    sigma = SCHEDULE.t_to_sigma(321)
    clean, eps = normal(1, 4, 64, 64), normal(1, 4, 64, 64, seed=1)
    eps_denoiser(predict, SCHEDULE)(clean + sigma * eps, sigma)
    ((x, t),) = seen
    assert t == 321
    assert type(t) is float
    assert abs(x.std() - 1) < 0.02


def test_a_half_precision_network_leaves_x_its_precision():
    denoise = eps_denoiser(lambda x, _t: x.to(torch.float16), SCHEDULE)
    assert denoise(torch.ones(1, 4, 2, 2), 1.0).dtype == torch.float32


def test_an_unknown_prediction_is_an_error():
    with pytest.raises(ValueError, match="'x0'; a network predicts 'eps' or 'v'"):
        eps_denoiser(lambda x, _t: x, SCHEDULE, "x0")


def test_guidance_at_its_ends_and_beyond():
    uncond, cond = normal(2, 4, 3, 3), normal(2, 4, 3, 3, seed=1)
    assert torch.equal(combine(uncond, cond, 0), uncond)
    assert (combine(uncond, cond, 1) - cond).abs().max() < 1e-15
    assert (combine(uncond, cond, 7.5) - (uncond * -6.5 + cond * 7.5)).abs().max() < 1e-12


def test_rescaled_guidance_is_that_of_diffusers_picture_by_picture():
    uncond, cond = normal(3, 4, 6, 6), normal(3, 4, 6, 6, seed=1)
    cfg, share = torch.tensor([7.5, 3, 1.5]), torch.tensor([0.7, 0, 1])
    scales = torch.stack([cfg, share, 1 / cfg])[..., None, None, None].double()
    ours = guided(uncond, [cond], scales)
    plain = combine(uncond, cond, scales[0])
    assert torch.equal(guided(uncond, [cond], scales[:1]), plain)
    for n in range(3):
        one = slice(n, n + 1)
        theirs = rescale_noise_cfg(plain[one], cond[one], guidance_rescale=float(share[n]))
        assert (ours[one] - theirs).abs().max() < 1e-6  # 1 / cfg was rounded to float32
    assert abs(ours[2].std() / cond[2].std() - 1) < 1e-6


def test_guidance_by_several_prompts_adds_up_and_is_rescaled_to_that_of_cfg_1():
    first, one, other = (normal(1, 4, 6, 6, seed=n) for n in range(3))
    scales = torch.tensor([4.0, -2.0])[:, None, None, None, None].double()  # cfg 4: 1 and -0.5
    out = guided(first, [one, other], scales)
    assert (out - (first + 4 * (one - first) - 2 * (other - first))).abs().max() < 1e-12
    rescale = torch.tensor([1.0, 0.25])[:, None, None, None, None].double()
    own = first + (one - first) - 0.5 * (other - first)
    rescaled = guided(first, [one, other], torch.cat([scales, rescale]))
    assert abs(rescaled.std() / own.std() - 1) < 1e-12
    assert (rescaled / rescaled.std() - out / out.std()).abs().max() < 1e-12


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_guidance_of_predictions_equals_guidance_of_x0(prediction):
    """A doubled batch is combined before it becomes x0, two passes after: guidance is linear."""
    x, schedule = normal(3, 7), NoiseSchedule()

    def uncond(x, t):
        return torch.tanh(x - 1) + t / 1000

    def cond(x, t):
        return torch.tanh(x + 2) - t / 1000

    def both(x, t):
        return combine(uncond(x, t), cond(x, t), 7.5)

    apart = [eps_denoiser(p, schedule, prediction)(x, 0.7) for p in (uncond, cond)]
    together = eps_denoiser(both, schedule, prediction)(x, 0.7)
    assert (combine(*apart, 7.5) - together).abs().max() < 1e-13


def test_blend_is_exact_at_both_ends_of_the_mask():
    kept, new = normal(2, 4, 6, 6).float() * 1e4, normal(2, 4, 6, 6, seed=1).float()
    mask = (normal(1, 1, 6, 6, seed=2) > 0).float()
    mixed, white = blend(kept, new, mask), (mask > 0).expand_as(kept)
    assert torch.equal(mixed[white], new[white])
    assert torch.equal(mixed[~white], kept[~white])
    assert (blend(kept, new, torch.full_like(mask, 0.5)) - (kept + new) / 2).abs().max() < 1e-3


def test_the_network_sees_the_kept_part_at_the_level_of_the_rest():
    seen = []

    def denoise(x, _sigma):
        seen.append(x)
        return torch.zeros_like(x)

    latent, noise, x = (normal(1, 4, 6, 6, seed=seed) for seed in range(3))
    mask = torch.zeros(1, 1, 6, 6, dtype=torch.float64)
    mask[..., :3] = 1
    x0 = inpainting(denoise, latent, mask, noise)(x, 2.0)
    assert torch.equal(seen[0][..., :3], x[..., :3])
    assert torch.equal(seen[0][..., 3:], (latent + noise * 2.0)[..., 3:])
    assert torch.equal(x0[..., :3], torch.zeros(1, 4, 6, 3, dtype=torch.float64))
    assert torch.equal(x0[..., 3:], latent[..., 3:])


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_inpainting_keeps_the_kept_latent_exactly(name, schedule):
    latent = normal(2, 4, 8, 8).float()
    noise = Noise([5, 6], [4, 8, 8])
    fixed = noise()
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:6, 2:6] = 1
    mask[..., 6, 2:6] = 0.5  # a soft edge is neither kept nor new
    black, white = (mask == 0).expand_as(latent), (mask == 1).expand_as(latent)
    network = RandomNetwork(dtype=torch.float32)
    denoise = inpainting(eps_denoiser(network, SCHEDULE), latent, mask, fixed)
    levels = sigmas(schedule, 7, SCHEDULE)
    x = start(latent, fixed, levels[0])
    with contextlib.closing(SAMPLERS[name](denoise, x, levels, noise=noise)) as steps:
        for step in steps:
            assert torch.equal(step.denoised[black], latent[black])
    result = blend(latent, finish(step.x, step.sigma), mask)
    assert torch.equal(result[black], latent[black])
    assert (result - latent)[white].abs().min() > 0
    if step.sigma == 0:  # without the last blend, only rounding is lost
        assert (step.x - latent)[black].abs().max() < 1e-5
