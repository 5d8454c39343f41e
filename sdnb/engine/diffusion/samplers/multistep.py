"""Multistep samplers, of higher order with one evaluation in a step: PLMS, LMS, DEIS and UniPC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sdnb.engine.diffusion.denoise import Denoise
from sdnb.engine.diffusion.samplers.steps import Step, Steps, toward

Array = npt.NDArray[np.float64]

#: Adams-Bashforth weights for steps of equal length, the newest slope's first.
ADAMS = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


@torch.inference_mode()
def plms(denoise: Denoise, x: Tensor, sigmas: Sequence[float]) -> Steps:
    """Pseudo linear multistep, the original's default: Adams-Bashforth of order 2, 3, then 4.

    Liu et al. 2022 (PNDM), algorithm 2, https://arxiv.org/abs/2202.09778. The weights are those of
    equal steps, so the order is 2. As in CompVis, the first step is improved Euler's, with two
    evaluations; a first step to 0, where there is no second slope, is Euler's.
    """
    total = len(sigmas) - 1
    slopes: list[Tensor] = []  # newest first, at most 4
    for i in range(total):
        sigma, to = sigmas[i], sigmas[i + 1]
        denoised = denoise(x, sigma)
        slopes = [(x - denoised) / sigma, *slopes[:3]]
        if i == 0 and to > 0:
            ahead = toward(x, denoised, sigma, to)
            slope = (slopes[0] + (ahead - denoise(ahead, to)) / to) / 2
        else:
            slope = _weighted(ADAMS[len(slopes) - 1], slopes)
        x = x + slope * (to - sigma)
        yield Step(i, total, to, x, denoised)


@torch.inference_mode()
def lms(denoise: Denoise, x: Tensor, sigmas: Sequence[float], *, order: int = 4) -> Steps:
    """Linear multistep: it integrates the polynomial through the last slopes over the step.

    This is Adams-Bashforth for steps of any length. As in k-diffusion, the first step is Euler's.
    """
    total = len(sigmas) - 1
    slopes: list[Tensor] = []  # newest first, at most `order`
    for i in range(total):
        sigma, to = sigmas[i], sigmas[i + 1]
        denoised = denoise(x, sigma)
        slopes = [(x - denoised) / sigma, *slopes[: order - 1]]
        nodes = [sigmas[i - k] for k in range(len(slopes))]
        x = x + _weighted(lms_weights(nodes, sigma, to), slopes)
        yield Step(i, total, to, x, denoised)


def lms_weights(nodes: Sequence[float], start: float, end: float) -> list[float]:
    """The integrals of the Lagrange polynomials of `nodes` from start to end, exact: Gauss-Legendre
    with m points is so up to degree 2m - 1, and these have degree len(nodes) - 1.
    """
    points, shares = _gauss(len(nodes) // 2 + 1)
    at = start + (end - start) * (points + 1) / 2  # [m]
    return [float((end - start) / 2 * (shares @ basis)) for basis in _lagrange(nodes, at)]


@lru_cache
def _gauss(m: int) -> tuple[Array, Array]:
    """The points and shares of Gauss-Legendre, [m] each, which take a while to find."""
    points, shares = np.polynomial.legendre.leggauss(m)
    return points, shares


def _lagrange(nodes: Sequence[float], at: Array) -> Array:
    """The Lagrange polynomials of n nodes at m points: [n, m]."""
    basis = []
    for j, node in enumerate(nodes):
        others = np.array([*nodes[:j], *nodes[j + 1 :]])  # [n - 1]
        basis.append(np.prod((at[:, None] - others) / (node - others), axis=1))
    return np.array(basis)


@torch.inference_mode()
def deis(denoise: Denoise, x: Tensor, sigmas: Sequence[float], *, order: int = 3) -> Steps:
    """DEIS: as `lms`, but the polynomial through the last slopes is one in log sigma.

    Zhang & Chen 2022, section 3.3 (tAB-DEIS), https://arxiv.org/abs/2204.13902, with log sigma for
    the time, as in diffusers. The first step is Euler's, and so is one to 0, which has no log.
    """
    total = len(sigmas) - 1
    slopes: list[Tensor] = []  # newest first, at most `order`
    for i in range(total):
        sigma, to = sigmas[i], sigmas[i + 1]
        denoised = denoise(x, sigma)
        slopes = [(x - denoised) / sigma, *slopes[: order - 1]]
        if to == 0:
            x = denoised
        else:
            nodes = [sigmas[i - k] for k in range(len(slopes))]
            x = x + _weighted(deis_weights(nodes, sigma, to), slopes)
        yield Step(i, total, to, x, denoised)


def deis_weights(nodes: Sequence[float], start: float, end: float) -> list[float]:
    """The integrals over sigma, from start to end, of the Lagrange polynomials in log sigma of
    `nodes`. Twelve points of Gauss-Legendre in log sigma are exact to the last digits.
    """
    points, shares = _gauss(12)
    low, high = math.log(start), math.log(end)
    at = low + (high - low) * (points + 1) / 2  # [12]
    by = (high - low) / 2 * shares * np.exp(at)  # dsigma = sigma dlog(sigma)
    return [float(by @ basis) for basis in _lagrange([math.log(node) for node in nodes], at)]


@torch.inference_mode()
def unipc(denoise: Denoise, x: Tensor, sigmas: Sequence[float], *, order: int = 2) -> Steps:
    """UniPC with B(h) = e^h - 1 ("bh2"): a multistep predictor, corrected by the next evaluation.

    Zhao et al. 2023, algorithms 7 and 8 (predicting x0), https://arxiv.org/abs/2302.04867. The
    order grows from 1 at the beginning and falls to 1 at the end. The last x is not corrected.
    """
    total = len(sigmas) - 1
    past: list[tuple[float, Tensor]] = []  # (sigma, x0), newest first, at most `order`
    base, scale = x, 0.0  # of the step before, for its correction: these four
    differences: list[Tensor] = []
    correction: list[float] = []
    for i in range(total):
        sigma, to = sigmas[i], sigmas[i + 1]
        denoised = denoise(x, sigma)
        if past:
            ahead = denoised - past[0][1]
            x = base + _weighted(correction, [*differences, ahead]) * scale
        past = [(sigma, denoised), *past[: order - 1]]
        if i == total - 1:
            x = toward(x, denoised, sigma, to)
            yield Step(i, total, to, x, denoised)
            return
        known = past[: min(len(past), total - i)]
        h = math.log(sigma / to)
        places = [math.log(sigma / level) / h for level, _ in known[1:]]  # negative: behind
        differences = [(x0 - denoised) / r for (_, x0), r in zip(known[1:], places, strict=True)]
        base, scale = toward(x, denoised, sigma, to), -math.expm1(-h)
        x = base
        if differences:
            x = base + _weighted(_unipc_weights(places, h), differences) * scale
        correction = _unipc_weights([*places, 1.0], h)
        yield Step(i, total, to, x, denoised)


def _unipc_weights(places: Sequence[float], h: float) -> list[float]:
    """The weights rho of the differences at `places`, which count in steps from here.

    They solve equation 13 of the paper; one place alone takes 1/2, as in the authors' code.
    """
    if len(places) == 1:
        return [0.5]
    phi, factorial = math.expm1(-h) / -h - 1, 1
    right = []
    for k in range(1, len(places) + 1):
        right.append(phi * factorial / math.expm1(-h))
        factorial *= k + 1
        phi = phi / -h - 1 / factorial
    left = np.vander(np.array(places), increasing=True).T  # [k, k], row k: places to the power k
    solved: list[float] = np.linalg.solve(left, np.array(right)).tolist()
    return solved


def _weighted(weights: Sequence[float], tensors: Sequence[Tensor]) -> Tensor:
    """The weighted sum of at least one tensor."""
    total = tensors[0] * weights[0]
    for weight, tensor in zip(weights[1:], tensors[1:], strict=True):
        total = total + tensor * weight
    return total
