"""The DPM-Solver family: exact in the linear part of the ODE, so steps are taken in log sigma."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from sdnb.engine.diffusion.samplers.steps import Fresh, Step, Steps, ancestral, renoised, toward

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from sdnb.engine.diffusion.denoise import Denoise


@torch.inference_mode()
def dpm2(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    *,
    eta: float = 0,
    noise: Fresh | None = None,
) -> Steps:
    """The slope at the step's middle in log sigma, for the whole step. `dpm2` and `dpm2_a` by eta.

    DPM-Solver-2, Lu et al. 2022, algorithm 1, https://arxiv.org/abs/2206.00927, as k-diffusion has
    it (a midpoint rule in sigma). Fresh noise as in ancestral Euler. A step to 0, which has no
    middle, is Euler's.
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
    """DPM-Solver++(2M): x0 extrapolated to the step's middle from the last two. `dpmpp_2m(_sde)`.

    eta 0: Lu et al. 2022, algorithm 2, https://arxiv.org/abs/2211.01095. eta 1: the SDE's solver,
    appendix B there, midpoint; between as in k-diffusion. The first step and a step to 0, where log
    sigma ends, are of first order.
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
