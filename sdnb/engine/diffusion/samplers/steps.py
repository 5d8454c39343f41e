"""What every sampler shares: the step it yields, and the formulas of a step down and back up."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass

from torch import Tensor

Fresh = Callable[[], Tensor]  # a fresh unit normal of x's shape; any device, any float dtype


@dataclass(frozen=True, slots=True)
class Step:
    """One step done. `x` is the sampler's own state: look at it, do not write to it."""

    index: int  # 0..total-1
    total: int
    sigma: float  # the noise level of x, after the step
    x: Tensor  # [b, 4, h, w]
    denoised: Tensor  # [b, 4, h, w], the clean latent as guessed at the step's beginning


Steps = Generator[Step, None, None]


def toward(x: Tensor, x0: Tensor, sigma: float, to: float) -> Tensor:
    """Euler's step of the probability-flow ODE dx/dsigma = (x - x0) / sigma; x0 at to = 0."""
    return x0 + (x - x0) * (to / sigma)


def ancestral(sigma: float, to: float, eta: float) -> tuple[float, float]:
    """Split a step from sigma to `to`: (how far down to go, how much fresh noise to put back).

    down^2 + up^2 = to^2. eta 0 is the ODE, eta 1 the posterior of DDPM: equation 16 of DDIM,
    https://arxiv.org/abs/2010.02502, divided by the signal's share.
    """
    up = eta * to * math.sqrt(1 - (to / sigma) ** 2)
    return math.sqrt(max(to * to - up * up, 0.0)), up


def renoised(x: Tensor, noise: Fresh | None, up: float) -> Tensor:
    """x with fresh noise of level `up`; at 0 nothing is drawn. Raises ValueError without noise."""
    if up == 0:
        return x
    if noise is None:
        raise ValueError("noise is None, and eta asks for some: give noise=Noise(seeds, shape)")
    fresh = noise().to(x, non_blocking=x.is_cuda)  # from pageable memory: staged, so safe, no wait
    return x + fresh * up
