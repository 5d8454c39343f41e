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
def dpmpp_2s(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    *,
    eta: float = 0,
    noise: Fresh | None = None,
) -> Steps:
    """DPM-Solver++(2S): the whole step takes the x0 at its middle in log sigma. `dpmpp_2s_a`.

    Lu et al. 2022, algorithm 1 with r = 1/2, https://arxiv.org/abs/2211.01095, with fresh noise as
    in `euler`, as k-diffusion has it. A step to 0 has no middle and is Euler's.
    """
    total = len(sigmas) - 1
    for i in range(total):
        sigma = sigmas[i]
        denoised = guess = denoise(x, sigma)
        down, up = ancestral(sigma, sigmas[i + 1], eta)
        if down > 0:
            middle = math.sqrt(sigma * down)
            guess = denoise(toward(x, denoised, sigma, middle), middle)
        x = renoised(toward(x, guess, sigma, down), noise, up)
        yield Step(i, total, sigmas[i + 1], x, denoised)


@torch.inference_mode()
def dpmpp_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    *,
    eta: float = 1,
    noise: Fresh | None = None,
) -> Steps:
    """DPM-Solver++ of the SDE: as `dpmpp_2s`, but the way to the middle has its own noise.

    k-diffusion's `sample_dpmpp_sde` with r = 1/2, after Lu et al. 2022, appendix B,
    https://arxiv.org/abs/2211.01095. The noise is that of a Brownian motion whose time is sigma, as
    there, so that the variance converges with order 2 (1, were the two noises independent); but its
    path is drawn half-step by half-step, and so is another one for each number of steps. A step to
    0 is Euler's.
    """
    total = len(sigmas) - 1
    for i in range(total):
        sigma, to = sigmas[i], sigmas[i + 1]
        denoised = guess = denoise(x, sigma)
        down, up = ancestral(sigma, to, eta)
        whole = noise
        if to > 0:
            middle = math.sqrt(sigma * to)
            middle_down, middle_up = ancestral(sigma, middle, eta)
            half, whole = _halves(noise, (sigma - middle) / (sigma - to))
            x_middle = toward(x, denoised, sigma, middle_down)
            guess = denoise(renoised(x_middle, half, middle_up), middle)
        x = renoised(toward(x, guess, sigma, down), whole, up)
        yield Step(i, total, to, x, denoised)


def _halves(noise: Fresh | None, share: float) -> tuple[Fresh | None, Fresh | None]:
    """What draws unit noise for the first part of a step, a share of its time, and what draws it,
    afterwards, for the whole step: the motion of the first part and that of a second.
    """
    if noise is None:
        return None, None
    drawn: list[Tensor] = []

    def half() -> Tensor:
        drawn.append(noise())
        return drawn[0]

    return half, lambda: drawn[0] * math.sqrt(share) + noise() * math.sqrt(1 - share)


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


@torch.inference_mode()
def dpmpp_3m(
    denoise: Denoise,
    x: Tensor,
    sigmas: Sequence[float],
    *,
    eta: float = 1,
    noise: Fresh | None = None,
) -> Steps:
    """DPM-Solver++(3M) of the SDE: a parabola through the last three x0. `dpmpp_3m_sde`.

    k-diffusion's `sample_dpmpp_3m_sde`, after Lu et al. 2022, appendix B,
    https://arxiv.org/abs/2211.01095, and for eta 0 the exponential integrator of order 3 of Zhang
    & Chen 2022. The first step is of first order, the second of second, and a step to 0 gives x0.
    """
    total = len(sigmas) - 1
    past: list[tuple[Tensor, float]] = []  # x0 and length in log sigma of two steps, newest first
    for i in range(total):
        sigma, to = sigmas[i], sigmas[i + 1]
        denoised = denoise(x, sigma)
        if to == 0:
            yield Step(i, total, to, denoised, denoised)
            return
        h = math.log(sigma / to)
        whole = (1 + eta) * h
        ahead = denoised + (x - denoised) * math.exp(-whole)
        slope, bend = _derivatives(denoised, past, h)
        second = math.expm1(-whole) / whole + 1
        if slope is not None:
            ahead = ahead + slope * second
        if bend is not None:
            ahead = ahead - bend * (second / whole - 0.5)
        x = renoised(ahead, noise, to * math.sqrt(-math.expm1(-2 * eta * h)))
        past = [(denoised, h), *past[:1]]
        yield Step(i, total, to, x, denoised)


def _derivatives(
    x0: Tensor, past: Sequence[tuple[Tensor, float]], h: float
) -> tuple[Tensor | None, Tensor | None]:
    """The first two derivatives of x0 here, in steps of length h, by what the last steps tell; None
    where they are too few.
    """
    if not past:
        return None, None
    r0 = past[0][1] / h
    slope = (x0 - past[0][0]) / r0
    if len(past) == 1:
        return slope, None
    r1 = past[1][1] / h
    before = (past[0][0] - past[1][0]) / r1
    bend = (slope - before) / (r0 + r1)
    return slope + bend * r0, bend
