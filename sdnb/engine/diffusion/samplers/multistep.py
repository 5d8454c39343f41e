"""Samplers that remember slopes: PLMS, LMS and UniPC. One evaluation a step, higher order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from sdnb.engine.diffusion.samplers.steps import Step, Steps, toward

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from sdnb.engine.diffusion.denoise import Denoise

ADAMS = (  # weights, the newest slope's first; for steps of equal length, as in the original
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


@torch.inference_mode()
def plms(denoise: Denoise, x: Tensor, sigmas: Sequence[float]) -> Steps:
    """The original's default: Adams-Bashforth of order 2, 3, 4, begun with an improved Euler step.

    Liu et al. 2022 (PNDM), https://arxiv.org/abs/2202.09778, with CompVis' beginning: two
    evaluations in the first step. Its weights assume steps of equal length, so the order is 2.
    A first step that is also the last: the original looks again at where it began; here at where it
    arrives, as in every other run, and at 0, where there is no slope, the step is Euler's.
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
    """Linear multistep: the polynomial through the last slopes, integrated exactly over the step.

    Adams-Bashforth for steps of any length; as in k-diffusion, begun with an Euler step.
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
    """The integrals over start..end of the Lagrange polynomials of `nodes`.

    Gauss-Legendre with m points is exact up to degree 2m - 1, and these have degree len(nodes) - 1.
    """
    points, shares = np.polynomial.legendre.leggauss(len(nodes) // 2 + 1)
    at = start + (end - start) * (points + 1) / 2  # [m]
    weights = []
    for j, node in enumerate(nodes):
        others = np.array([*nodes[:j], *nodes[j + 1 :]])  # [len(nodes) - 1]
        basis = np.prod((at[:, None] - others) / (node - others), axis=1)  # [m]
        weights.append(float((end - start) / 2 * (shares @ basis)))
    return weights


@torch.inference_mode()
def unipc(denoise: Denoise, x: Tensor, sigmas: Sequence[float], *, order: int = 2) -> Steps:
    """UniPC with B(h) = e^h - 1 ("bh2"): a multistep predictor, corrected by the next evaluation.

    Zhao et al. 2023, algorithms 7 and 8 (predicting x0), https://arxiv.org/abs/2302.04867. The
    order grows from 1 at the beginning and falls to 1 at the end; the last x is a prediction.
    """
    total = len(sigmas) - 1
    past: list[tuple[float, Tensor]] = []  # (sigma, x0), newest first, at most `order`
    base, scale = x, 0.0  # these four are the step before's, kept for its correction
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
    """The weights rho of the differences at `places` (in steps from here; 1 is the step's end).

    Solves equation 13 of the paper. One place alone takes 1/2 without solving: of the same order,
    and what the authors do.
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
    """The weighted sum; at least one term."""
    total = tensors[0] * weights[0]
    for weight, tensor in zip(weights[1:], tensors[1:], strict=True):
        total = total + tensor * weight
    return total
