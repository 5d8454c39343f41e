"""What the samplers share: the step that they yield, and the formulas of a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass

from torch import Tensor

Fresh = Callable[[], Tensor]  # a fresh unit normal of x's shape, on any device


@dataclass(frozen=True, slots=True)
class Step:
    """One step that is done. `x` is the sampler's own state: nobody else writes to it."""

    index: int  # 0..total-1
    total: int
    sigma: float  # the noise level of x, after the step
    x: Tensor  # [b, 4, h, w]
    denoised: Tensor  # [b, 4, h, w], the guess at the clean latent when the step began


Steps = Generator[Step, None, None]


def toward(x: Tensor, x0: Tensor, sigma: float, to: float) -> Tensor:
    """Euler's step of the probability-flow ODE dx/dsigma = (x - x0) / sigma, to the level `to`."""
    return x0 + (x - x0) * (to / sigma)


def ancestral(sigma: float, to: float, eta: float) -> tuple[float, float]:
    """Split a step from sigma to `to` into (down, up): the level to go down to, and that of the
    fresh noise to add there, with down^2 + up^2 = to^2.

    eta 0 is the ODE, eta 1 the posterior of DDPM: Song et al. 2020 (DDIM), equation 16,
    https://arxiv.org/abs/2010.02502, divided by the signal's share.
    """
    up = eta * to * math.sqrt(1 - (to / sigma) ** 2)
    return math.sqrt(max(to * to - up * up, 0.0)), up


def renoised(x: Tensor, noise: Fresh | None, up: float) -> Tensor:
    """Add fresh noise of level `up`; at 0 none is drawn. Raises ValueError where noise is None."""
    if up == 0:
        return x
    if noise is None:
        raise ValueError("noise is None, and eta asks for some: give noise=Noise(seeds, shape)")
    fresh = noise().to(x, non_blocking=x.is_cuda)  # staged, since pageable: no wait
    return x + fresh * up
