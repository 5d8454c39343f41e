"""Noise levels: the training process as a table of sigmas, and the ones that a run visits.

All is float64 on the CPU or plain Python floats, so a step never waits for a GPU. sigma is the
noise-to-signal ratio sqrt((1 - a) / a) of the variance-preserving process whose cumulative product
of alphas is a (Karras et al. 2022, table 1, https://arxiv.org/abs/2206.00364).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sdnb.request.choices import LCM_LEVELS, lcm_levels

#: The last alpha of a schedule that ends in pure noise, in place of 0, whose sigma is infinite. It
#: is ComfyUI's, and its sigma 4518.8, at which the signal is 1 in 4519 of what is seen.
LAST_ALPHA = 4.8973e-8

Array = npt.NDArray[np.float64]

RHO = 7.0  # Karras et al. 2022, appendix D.1: 5 to 10 are good, 7 is the paper's


class NoiseSchedule:
    """The training process "scaled_linear" of Stable Diffusion 1.x and 2.x: its betas are the
    squares of a linear ramp.

    `alphas` and `sigmas` [steps] are float64 on the CPU: the share of the signal in the variance,
    and the noise-to-signal ratio, which rises from 0.0292 at t = 0 to 14.6146 at t = 999 with the
    defaults. Source: CompVis `make_beta_schedule(schedule="linear")`.

    With `ztsnr` (zero terminal SNR) the roots of the alphas are shifted and scaled, so that the
    last step has no signal and the first keeps its own: Lin et al. 2023, algorithm 1,
    https://arxiv.org/abs/2305.08891. The last sigma is then 4518.8 (`LAST_ALPHA`).
    """

    def __init__(
        self,
        steps: int = 1000,
        beta_start: float = 0.00085,
        beta_end: float = 0.012,
        *,
        ztsnr: bool = False,
    ) -> None:
        if steps < 2:
            raise ValueError(f"steps is {steps}; a noise schedule has 2 training steps or more")
        if not 0 < beta_start < beta_end < 1:
            raise ValueError(
                f"beta_start is {beta_start} and beta_end {beta_end}; 0 < beta_start < beta_end < 1"
            )
        betas = np.linspace(math.sqrt(beta_start), math.sqrt(beta_end), steps) ** 2  # [steps]
        alphas = np.cumprod(1.0 - betas)  # [steps]
        if not 0 < alphas[-1] < alphas[0] < 1:
            raise ValueError(
                f"{steps} steps from beta_start {beta_start} to beta_end {beta_end}: the noise of "
                "the first or the signal of the last is less than float64 holds"
            )
        if ztsnr:
            roots = np.sqrt(alphas)
            roots = (roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))
            alphas = np.append(roots[:-1] ** 2, LAST_ALPHA)
        self.steps = steps
        self.alphas: Tensor = torch.from_numpy(alphas)
        self.sigmas: Tensor = torch.from_numpy(np.sqrt((1.0 - alphas) / alphas))
        self._sigmas: list[float] = self.sigmas.tolist()
        self._logs = [math.log(sigma) for sigma in self._sigmas]

    @property
    def sigma_min(self) -> float:
        """The level of t = 0, the lowest that the model was trained on."""
        return self._sigmas[0]

    @property
    def sigma_max(self) -> float:
        """The level of the last training step."""
        return self._sigmas[-1]

    def sigma_to_t(self, sigma: float) -> float:
        """The timestep of a noise level, interpolated linearly in log sigma between the table's
        entries. A level outside the table gets its nearer end.
        """
        log = math.log(sigma) if sigma > 0 else -math.inf
        if log <= self._logs[0]:
            return 0.0
        if log >= self._logs[-1]:
            return float(self.steps - 1)
        low = bisect_right(self._logs, log) - 1
        return low + (log - self._logs[low]) / (self._logs[low + 1] - self._logs[low])

    def t_to_sigma(self, t: float) -> float:
        """The inverse of `sigma_to_t`. Raises ValueError for a timestep outside 0..steps-1."""
        if not 0 <= t <= self.steps - 1:
            raise ValueError(f"timestep {t} is outside 0..{self.steps - 1}")
        low = min(int(t), self.steps - 2)
        share = t - low
        if share in (0.0, 1.0):
            return self._sigmas[low + int(share)]
        return math.exp((1 - share) * self._logs[low] + share * self._logs[low + 1])


def _uniform(n: int, schedule: NoiseSchedule) -> list[float]:
    """The original's: every (steps / n)th timestep plus one, down to t = 0 and not to sigma 0.

    CompVis `make_ddim_timesteps` strides by `steps // n`, and so runs 31 steps for 30. The floor of
    the exact fraction gives n steps, the same ones where n divides steps. For n = steps, where the
    plus one would leave the table, every timestep is visited once and the end is sigma 0.
    """
    if n == schedule.steps:
        return [schedule.t_to_sigma(t) for t in reversed(range(n))] + [0.0]
    times = [i * schedule.steps // n + 1 for i in reversed(range(n))]
    return [schedule.t_to_sigma(t) for t in [*times, 0]]


def _trailing(n: int, schedule: NoiseSchedule) -> list[float]:
    """From the last training step, where a model was shown the most noise, down to sigma 0.

    Lin et al. 2023, section 3.3, "trailing", https://arxiv.org/abs/2305.08891.
    """
    steps = schedule.steps
    times = [round(Fraction(steps * (n - i), n)) - 1 for i in range(n)]  # halves to even
    return [schedule.t_to_sigma(t) for t in times] + [0.0]


def _between(low: float, high: float, ramp: Callable[[float], float], n: int) -> list[float]:
    """n levels from exactly high to exactly low, `ramp(i / (n - 1))` between them; then 0."""
    inner = [ramp(i / (n - 1)) for i in range(1, n - 1)]
    return [high, *inner, *([low] if n > 1 else []), 0.0]


def _karras(n: int, schedule: NoiseSchedule) -> list[float]:
    """Between the table's ends, Karras et al. 2022, equation 5, https://arxiv.org/abs/2206.00364."""
    low, high = schedule.sigma_min, schedule.sigma_max
    first, last = high ** (1 / RHO), low ** (1 / RHO)
    return _between(low, high, lambda share: (first + share * (last - first)) ** RHO, n)


def _exponential(n: int, schedule: NoiseSchedule) -> list[float]:
    """Equal steps in log sigma, between the table's ends."""
    low, high = schedule.sigma_min, schedule.sigma_max
    return _between(low, high, lambda share: high ** (1 - share) * low**share, n)


def _simple(n: int, schedule: NoiseSchedule) -> list[float]:
    """Every (steps / n)th entry of the table from its end, as ComfyUI and the web UI have it. From
    "trailing" it differs by less than a timestep.
    """
    stride = schedule.steps / n  # a float, and its products cut off, as there
    times = [schedule.steps - 1 - int(i * stride) for i in range(n)]
    return [schedule.t_to_sigma(t) for t in times] + [0.0]


def _sgm_uniform(n: int, schedule: NoiseSchedule) -> list[float]:
    """Equal steps in time from the table's end to its beginning, which is then 0. The timesteps are
    fractional: k-diffusion's `get_sigmas` of n + 1 steps, whose last level 0 replaces.
    """
    last = schedule.steps - 1
    return [schedule.t_to_sigma(last * (n - i) / n) for i in range(n)] + [0.0]


def _beta(n: int, schedule: NoiseSchedule) -> list[float]:
    """The quantiles of the Beta(0.6, 0.6) distribution, spread over sigma: close together at both
    ends.

    Lee et al. 2024, https://arxiv.org/abs/2407.12173, as the web UI and diffusers have it; the
    paper and ComfyUI spread them over the timesteps.
    """
    low, high = schedule.sigma_min, schedule.sigma_max
    shares = symmetric_beta_quantiles(np.linspace(1, 0, n) if n > 1 else np.ones(1), 0.6)
    inner = [low + share * (high - low) for share in shares[1:-1].tolist()]
    return [high, *inner, *([low] if n > 1 else []), 0.0]


def symmetric_beta_quantiles(p: Array, a: float) -> Array:
    """Where the distribution Beta(a, a) has so much of its weight below: p `[n]` in 0..1.

    Newton's method on its power series (Abramowitz & Stegun 26.5.4), in the variable x^a, in which
    the distribution is nearly a line.
    """
    tail = np.minimum(p, 1 - p)  # the upper half mirrors the lower one
    whole = a * math.gamma(a) ** 2 / math.gamma(2 * a)
    k = np.arange(60)  # 0.5^60 is nothing beside 1
    series = np.append(1.0, np.cumprod((k[1:] - a) / k[1:])) * a / (a + k)
    y = tail * whole
    for _ in range(8):
        x = y ** (1 / a)
        below = y * np.polyval(series[::-1], x) / whole
        y = y + (tail - below) * whole * (1 - x) ** (1 - a)
    x = y ** (1 / a)
    return np.where(p > 0.5, 1 - x, x)


def _kl_optimal(n: int, schedule: NoiseSchedule) -> list[float]:
    """Equal steps in the arc tangent of sigma, down to the table's beginning and not to 0.

    Sabour et al. 2024, theorem 3.1, https://arxiv.org/abs/2404.14507, as the web UI has it.
    """
    low, high = schedule.sigma_min, schedule.sigma_max
    ends = math.atan(high), math.atan(low)
    inner = [math.tan(ends[0] + i / n * (ends[1] - ends[0])) for i in range(1, n)]
    return [high, *inner, low]


#: The levels of ten steps that suit SD 1.x, found by optimisation; the last is the table's first.
ALIGNED = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152)


def _align_your_steps(n: int, schedule: NoiseSchedule) -> list[float]:
    """A table of ten steps, linear in log sigma between its levels for other numbers of them.

    Sabour et al. 2024, https://arxiv.org/abs/2404.14507. Its levels are those of Stable Diffusion
    1.x; the first is the model's own. Raises ValueError for a model that was trained on less noise.
    """
    if schedule.sigma_max < ALIGNED[1] or schedule.sigma_min > ALIGNED[-1]:
        raise ValueError(
            "the schedule 'align_your_steps' is a table of Stable Diffusion 1.x's noise levels, "
            f"and this model knows {schedule.sigma_min:.3g} to {schedule.sigma_max:.3g} alone: "
            "take another one"
        )
    table = np.log([*ALIGNED, schedule.sigma_min])
    logs = np.interp(np.linspace(0, len(ALIGNED), n + 1), np.arange(len(table)), table)
    return [schedule.sigma_max, *np.exp(logs[1:-1]).tolist(), 0.0]


def _lcm(n: int, schedule: NoiseSchedule, strength: float = 1.0) -> list[float]:
    """n of the 50 levels at which consistency models learn, each as far from the next; then 0.

    With a strength, n of those that are not above it. Luo et al. 2023, section 4.3,
    https://arxiv.org/abs/2310.04378, as in diffusers. Raises ValueError where there are fewer.
    """
    count = lcm_levels(n, strength)
    times = [(count - i * count // n) * schedule.steps // LCM_LEVELS - 1 for i in range(n)]
    return [schedule.t_to_sigma(t) for t in times] + [0.0]


_BUILDERS: dict[str, Callable[[int, NoiseSchedule], list[float]]] = {
    "uniform": _uniform,
    "trailing": _trailing,
    "karras": _karras,
    "exponential": _exponential,
    "simple": _simple,
    "sgm_uniform": _sgm_uniform,
    "beta": _beta,
    "kl_optimal": _kl_optimal,
    "align_your_steps": _align_your_steps,
    "lcm": _lcm,
}
SCHEDULES = tuple(_BUILDERS)


def sigmas(name: str, n: int, schedule: NoiseSchedule, strength: float = 1.0) -> list[float]:
    """The n + 1 noise levels of a run of n steps, strictly decreasing; the last may be 0.

    With a strength below 1, those of a run that begins with a picture: as `cut` has it, but with
    "lcm" n steps run at any strength. Raises ValueError for an unknown name, for n outside
    1..schedule.steps, and with "lcm" for more steps than it has levels.
    """
    if name not in _BUILDERS:
        near = get_close_matches(str(name), SCHEDULES, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"schedule {name!r} is unknown; {hint}known: {', '.join(SCHEDULES)}")
    if not 1 <= n <= schedule.steps:
        raise ValueError(f"steps is {n}; 1 to {schedule.steps} is expected")
    if name != "lcm":
        return cut(_BUILDERS[name](n, schedule), strength, schedule)
    _check_strength(strength)
    return _lcm(n, schedule, strength) if strength else []


def cut(levels: Sequence[float], strength: float, schedule: NoiseSchedule) -> list[float]:
    """The levels of a run that begins at `strength`: round(strength * n) steps, one at the least.

    The first level is the one to add noise for. Where strength * n is no whole number it lies
    between two of `levels`, linear in the timestep, so that each strength begins at its own level
    however few the steps are. Strength 1 leaves all, 0 leaves nothing ([]).
    Raises ValueError where strength is outside 0..1.
    """
    _check_strength(strength)
    if strength == 0:
        return []
    n = len(levels) - 1
    # Of the first level among `levels`; a smaller strength would round to the last one itself.
    place = n * (1 - max(strength, 1e-9))
    steps = max(1, round(n * strength))
    if math.isclose(place, n - steps, abs_tol=1e-9):
        return list(levels[n - steps :])
    before = min(int(place), n - 1)
    high, low = (schedule.sigma_to_t(level) for level in levels[before : before + 2])
    first = schedule.t_to_sigma(high + (place - before) * (low - high))
    return [first, *levels[n - steps + 1 :]]


def _check_strength(strength: float) -> None:
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is {strength}; it lies in 0..1 (0: the picture, 1: all new)")
