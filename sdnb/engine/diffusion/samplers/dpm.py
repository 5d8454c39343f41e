"""The DPM-Solver family: its steps are taken in log sigma, and solve the linear part exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sdnb.engine.diffusion.denoise import Denoise
from sdnb.engine.diffusion.samplers.steps import Fresh, Step, Steps, ancestral, renoised, toward


@torch.inference_mode()
def dpm2(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    *,
    eta: float = 0,
    noise: Fresh | None = None,
) -> Steps:
    """DPM-Solver-2: the whole step takes the slope at its middle in log sigma. `dpm2`, `dpm2_a`.

    Lu et al. 2022, algorithm 1, https://arxiv.org/abs/2206.00927, as k-diffusion has it (a midpoint
    rule in sigma), with fresh noise as in `euler`. A step to 0 has no middle and is Euler's.
    """
    total = len(sigmas) - 1
    for i in range(total):
        sigma = sigmas[i]
        denoised = denoise(x, sigma)
        down, up = ancestral(sigma, sigmas[i + 1], eta)
        ahead = toward(x, denoised, sigma, down)
        if down > 0:
            middle = math.sqrt(sigma * down)
            x_middle = toward(x, denoised, sigma, middle)
            slope = (x_middle - denoise(x_middle, middle)) / middle
            ahead = x + slope * (down - sigma)
        x = renoised(ahead, noise, up)
        yield Step(i, total, sigmas[i + 1], x, denoised)


@torch.inference_mode()
def dpmpp_2m(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    *,
    eta: float = 0,
    noise: Fresh | None = None,
) -> Steps:
    """DPM-Solver++(2M): the last two x0 give that of the step's middle. `dpmpp_2m(_sde)`.

    eta 0: Lu et al. 2022, algorithm 2, https://arxiv.org/abs/2211.01095. eta 1: the midpoint solver
    of the SDE in its appendix B. Between them it is k-diffusion's. The first step, and a step to 0,
    are of first order.
    """
    total = len(sigmas) - 1
    last: tuple[Tensor, float] | None = None  # the step before: its x0 and its length in log sigma
    for i in range(total):
        sigma, to = sigmas[i], sigmas[i + 1]
        denoised = denoise(x, sigma)
        if to == 0:
            x = denoised
        else:
            h = math.log(sigma / to)
            guess = denoised
            if last is not None:
                guess = denoised + (denoised - last[0]) * (h / (2 * last[1]))
            left = math.exp(-(1 + eta) * h)  # what remains of x: exactly to / sigma at eta 0
            up = to * math.sqrt(-math.expm1(-2 * eta * h))
            x = renoised(guess + (x - guess) * left, noise, up)
            last = denoised, h
        yield Step(i, total, to, x, denoised)
