"""One-step samplers, which remember nothing of the step before: Euler (also DDIM and DDPM), Heun,
and those of models distilled to few steps, LCM and TCD.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sdnb.engine.diffusion.denoise import Denoise
from sdnb.engine.diffusion.samplers.steps import Fresh, Step, Steps, ancestral, renoised, toward
from sdnb.engine.diffusion.schedule import NoiseSchedule


@torch.inference_mode()
def euler(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    *,
    eta: float = 0,
    noise: Fresh | None = None,
) -> Steps:
    """Euler's method, with fresh noise by eta: `euler`, `euler_a`, `ddim` and `ddpm`.

    eta 0: Karras et al. 2022, algorithm 1 without its correction, https://arxiv.org/abs/2206.00364.
    eta 1: ancestral sampling, which is DDPM with the posterior's variance: Ho et al. 2020,
    algorithm 2, https://arxiv.org/abs/2006.11239. Any eta: DDIM, Song et al. 2020, equation 12,
    https://arxiv.org/abs/2010.02502, whose variance-preserving x is this x / sqrt(1 + sigma^2).
    """
    total = len(sigmas) - 1
    for i in range(total):
        denoised = denoise(x, sigmas[i])
        down, up = ancestral(sigmas[i], sigmas[i + 1], eta)
        x = renoised(toward(x, denoised, sigmas[i], down), noise, up)
        yield Step(i, total, sigmas[i + 1], x, denoised)


@torch.inference_mode()
def heun(denoise: Denoise, x: Tensor, sigmas: Sequence[float]) -> Steps:
    """Heun's method: the step takes the mean of the slopes at its two ends.

    Karras et al. 2022, algorithm 1, https://arxiv.org/abs/2206.00364. There is no slope at sigma 0:
    a step to it is Euler's.
    """
    total = len(sigmas) - 1
    for i in range(total):
        sigma, to = sigmas[i], sigmas[i + 1]
        denoised = denoise(x, sigma)
        ahead = toward(x, denoised, sigma, to)
        if to > 0:
            slope = (x - denoised) / sigma
            slope_ahead = (ahead - denoise(ahead, to)) / to
            ahead = x + (slope + slope_ahead) * ((to - sigma) / 2)
        x = ahead
        yield Step(i, total, to, x, denoised)


@torch.inference_mode()
def lcm(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    *,
    eta: float = 1,
    noise: Fresh | None = None,
) -> Steps:
    """Multistep consistency sampling: each step goes to the clean latent and puts noise back on it.

    eta 1: all noise is fresh, Luo et al. 2023, algorithm 3, https://arxiv.org/abs/2310.04378. Below
    1 the rest is the noise that was there, by levels of noise; `tcd` has it by timesteps. The
    boundary scalings c_skip and c_out are left out: at timestep t they move x0 by 1 / (400 t^2) of
    x, which is below 1e-6 from t = 50 up.
    """
    total = len(sigmas) - 1
    for i in range(total):
        denoised = denoise(x, sigmas[i])
        left = toward(x, denoised, sigmas[i], sigmas[i + 1] * math.sqrt(1 - eta * eta))
        x = renoised(left, noise, sigmas[i + 1] * eta)
        yield Step(i, total, sigmas[i + 1], x, denoised)


@torch.inference_mode()
def tcd(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    *,
    eta: float = 0.3,
    noise: Fresh | None = None,
    schedule: NoiseSchedule,
) -> Steps:
    """Strategic stochastic sampling: a step goes down to a share 1 - eta of the timestep that it is
    for, with the noise that was there, and fresh noise brings it back up.

    Zheng et al. 2024 (TCD), algorithm 4, https://arxiv.org/abs/2402.19159, whose gamma is eta. As
    in diffusers the timestep is cut off to a whole one; but a last step to 0 ends there, where
    diffusers leaves noise of level 0.0292, and eta 0 is Euler's method at any timestep.
    """
    total = len(sigmas) - 1
    for i in range(total):
        sigma, to = sigmas[i], sigmas[i + 1]
        denoised = denoise(x, sigma)
        down = to
        if eta > 0 and to > 0:
            t = math.floor((1 - eta) * schedule.sigma_to_t(to))
            down = min(to, schedule.t_to_sigma(t))
        up = math.sqrt(to * to - down * down)
        x = renoised(toward(x, denoised, sigma, down), noise, up)
        yield Step(i, total, to, x, denoised)
