"""The samplers by name. Each is a generator of `Step`, so that progress, preview and stopping are
the caller's `for` and `break`.

    sampler = SAMPLERS["heun"]
    with contextlib.closing(sampler(denoise, x, sigmas, eta=0, noise=noise)) as steps:
        for step in steps: ...
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from sdnb.engine.diffusion.denoise import Denoise
from sdnb.engine.diffusion.samplers.dpm import dpm2, dpmpp_2m, dpmpp_2s, dpmpp_3m, dpmpp_sde
from sdnb.engine.diffusion.samplers.euler import euler, heun, lcm, tcd
from sdnb.engine.diffusion.samplers.multistep import deis, lms, plms, unipc
from sdnb.engine.diffusion.samplers.steps import Fresh, Step, Steps
from sdnb.engine.diffusion.schedule import NoiseSchedule

__all__ = ["SAMPLERS", "Sampler", "Step"]


@dataclass(frozen=True, slots=True)
class Sampler:
    """A sampler's function, and what is known of it before it runs."""

    function: Callable[..., Steps]
    evaluations: int = 1  # calls of denoise in a step; 1 in a step to sigma 0, 2 in PLMS' first
    stochastic: bool = False  # whether it takes eta and draws fresh noise
    eta: float = 0.0  # used where none is asked
    timed: bool = False  # whether it takes the schedule, to know timesteps

    def __call__(
        self,
        denoise: Denoise,
        x: Tensor,
        sigmas: Sequence[float],
        *,
        eta: float | None = None,
        noise: Fresh | None = None,
        schedule: NoiseSchedule | None = None,
    ) -> Steps:
        """Run from x [b, 4, h, w] at level sigmas[0]: one `Step` from each sigma to the next.

        sigmas strictly decrease, and the last may be 0. eta is in 0..1; None is the sampler's own.
        noise() gives a fresh unit normal of x's shape. schedule says which timesteps the sigmas
        are; None: those of Stable Diffusion. x is never written to. Raises ValueError at once, not
        at the first step, for what could not run.
        """
        levels = [float(sigma) for sigma in sigmas]
        _check_levels(levels)
        eta = self.eta if eta is None else float(eta)
        if not 0 <= eta <= 1:
            raise ValueError(f"eta is {eta}; it lies in 0..1 (0: no fresh noise)")
        if eta > 0 and not self.stochastic:
            takers = ", ".join(name for name, sampler in SAMPLERS.items() if sampler.stochastic)
            raise ValueError(f"eta is {eta}, but this sampler draws no noise; these do: {takers}")
        if eta > 0 and noise is None:
            raise ValueError(
                f"eta is {eta} and noise is None; give noise=Noise(seeds, shape) or eta=0"
            )
        if not self.stochastic:
            return self.function(denoise, x, levels)
        timed = {"schedule": schedule or NoiseSchedule()} if self.timed else {}
        return self.function(denoise, x, levels, eta=eta, noise=noise, **timed)


def _check_levels(levels: Sequence[float]) -> None:
    for level, below in itertools.pairwise(levels):
        if not (math.isfinite(level) and level > below >= 0):
            raise ValueError(
                f"sigmas hold {level} before {below}; they are finite, decreasing and not below 0"
            )


SAMPLERS: dict[str, Sampler] = {
    "ddim": Sampler(euler, stochastic=True),
    "plms": Sampler(plms),
    "euler": Sampler(euler),
    "euler_a": Sampler(euler, stochastic=True, eta=1.0),
    "heun": Sampler(heun, evaluations=2),
    "lms": Sampler(lms),
    "dpm2": Sampler(dpm2, evaluations=2),
    "dpm2_a": Sampler(dpm2, evaluations=2, stochastic=True, eta=1.0),
    "dpmpp_2m": Sampler(dpmpp_2m),
    "dpmpp_2m_sde": Sampler(dpmpp_2m, stochastic=True, eta=1.0),
    "unipc": Sampler(unipc),
    "lcm": Sampler(lcm, stochastic=True, eta=1.0),
    "tcd": Sampler(tcd, stochastic=True, eta=0.3, timed=True),
    "ddpm": Sampler(euler, stochastic=True, eta=1.0),
    "deis": Sampler(deis),
    "dpmpp_2s_a": Sampler(dpmpp_2s, evaluations=2, stochastic=True, eta=1.0),
    "dpmpp_sde": Sampler(dpmpp_sde, evaluations=2, stochastic=True, eta=1.0),
    "dpmpp_3m_sde": Sampler(dpmpp_3m, stochastic=True, eta=1.0),
}
