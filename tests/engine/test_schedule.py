"""Noise levels: against the original's formulas, diffusers' tables and k-diffusion's; n is n."""

import itertools
import math

import diffusers.schedulers
import numpy as np
import pytest
import scipy.stats
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, LCMScheduler, TCDScheduler
from oracles.k_diffusion import DiscreteSchedule
from oracles.k_diffusion import sampling as k

from sdnb.engine.diffusion.schedule import (
    SCHEDULES,
    NoiseSchedule,
    cut,
    sigmas,
    symmetric_beta_quantiles,
)
from sdnb.request import request

SCHEDULE = NoiseSchedule()
SD1 = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def times(levels):
    """The table's indices of levels that stand in it."""
    table = SCHEDULE.sigmas.tolist()
    return [table.index(level) for level in levels]


def few(name, n):
    """So many steps as the schedule has levels for."""
    return min(n, 50) if name == "lcm" else n


def test_the_names_are_those_of_a_request():
    assert SCHEDULES == request.SCHEDULES


def test_table_is_the_training_process_of_stable_diffusion():
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, 0)
    assert SCHEDULE.sigmas.dtype == torch.float64
    assert SCHEDULE.sigmas.device.type == "cpu"
    assert (SCHEDULE.sigmas - ((1 - alphas) / alphas).sqrt()).abs().max() < 1e-12
    theirs = DDIMScheduler(**SD1).alphas_cumprod.double()  # a float32 table
    ours = 1 / (1 + SCHEDULE.sigmas**2)
    assert (ours - theirs).abs().max() < 1e-6
    assert SCHEDULE.sigma_min == pytest.approx(0.029167, abs=1e-6)
    assert SCHEDULE.sigma_max == pytest.approx(14.614641, abs=1e-6)


def test_zero_terminal_snr_is_that_of_diffusers_but_for_its_infinite_end():
    schedule = NoiseSchedule(ztsnr=True)
    theirs = DDIMScheduler(**SD1, rescale_betas_zero_snr=True).alphas_cumprod.double()
    assert (schedule.alphas - theirs).abs().max() < 1e-6
    assert theirs[-1] == 0
    for t, sigma in ((0, 0.02917), (1, 0.04207), (500, 1.7746), (996, 748), (997, 1124.6),
                     (998, 2254.2), (999, 4518.8)):  # fmt: skip
        assert schedule.sigmas[t].item() == pytest.approx(sigma, rel=3e-4)
        assert schedule.sigma_to_t(schedule.t_to_sigma(t)) == pytest.approx(t, abs=1e-9)
    for name, n in itertools.product(SCHEDULES, (1, 2, 25, 1000)):
        levels = sigmas(name, few(name, n), schedule)
        assert all(high > low for high, low in itertools.pairwise(levels))
    assert sigmas("trailing", 25, schedule)[0] == schedule.sigma_max


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.slow
def test_n_steps_are_n_steps_for_every_n(name):
    for n in range(1, few(name, 1000) + 1):
        levels = sigmas(name, n, SCHEDULE)
        assert len(levels) == n + 1
        assert all(type(level) is float for level in levels)
        assert all(high > low >= 0 for high, low in itertools.pairwise(levels)), n
        assert levels[0] <= SCHEDULE.sigma_max
        assert levels[-2] >= SCHEDULE.sigma_min


@pytest.mark.parametrize("n", [n for n in range(1, 1000) if 1000 % n == 0])
def test_uniform_is_the_original_where_n_divides_1000(n):
    original = np.asarray(range(0, 1000, 1000 // n)) + 1  # CompVis make_ddim_timesteps
    levels = sigmas("uniform", n, SCHEDULE)
    assert times(levels[:-1]) == original[::-1].tolist()
    assert levels[-1] == SCHEDULE.sigma_min  # its alphas_prev begin with alphas_cumprod[0]
    theirs = DDIMScheduler(**SD1, steps_offset=1, set_alpha_to_one=False)
    theirs.set_timesteps(n)
    assert times(levels[:-1]) == theirs.timesteps.tolist()


def test_uniform_visits_every_timestep_at_1000():
    levels = sigmas("uniform", 1000, SCHEDULE)
    assert times(levels[:-1]) == list(range(999, -1, -1))
    assert levels[-1] == 0


@pytest.mark.parametrize("n", [1, 2, 4, 7, 8, 15, 20, 25, 30, 50, 100, 333, 500, 999, 1000])
def test_trailing_is_diffusers(n):
    theirs = DDIMScheduler(**SD1, timestep_spacing="trailing")
    theirs.set_timesteps(n)
    levels = sigmas("trailing", n, SCHEDULE)
    assert times(levels[:-1]) == theirs.timesteps.tolist()
    assert levels[0] == SCHEDULE.sigma_max
    assert levels[-1] == 0


def test_trailing_is_what_dmd2_and_sd_turbo_were_trained_for():
    assert times(sigmas("trailing", 4, SCHEDULE)[:-1]) == [999, 749, 499, 249]


@pytest.mark.parametrize(
    ("n", "strength", "visited"),
    [
        (1, 1, [999]), (2, 1, [999, 499]), (3, 1, [999, 679, 339]), (4, 1, [999, 759, 499, 259]),
        (5, 1, [999, 799, 599, 399, 199]), (6, 1, [999, 839, 679, 499, 339, 179]),
        (8, 1, [999, 879, 759, 639, 499, 379, 259, 139]), (4, 0.5, [499, 379, 259, 139]),
        (50, 1, [*range(999, 0, -20)]), (29, 0.58, [*range(579, 0, -20)]), (1, 0.02, [19]),
    ],
)  # fmt: skip
def test_lcm_visits_the_levels_that_were_learnt_at(n, strength, visited):
    levels = sigmas("lcm", n, SCHEDULE, strength)
    assert times(levels[:-1]) == visited
    assert levels[-1] == 0
    if strength != 0.58:  # of 50 that is 28 there, in floats
        for theirs in (LCMScheduler(**SD1), TCDScheduler(**SD1)):
            theirs.set_timesteps(n, strength=strength)
            assert theirs.timesteps.tolist() == visited


def test_lcm_is_diffusers_at_every_strength_that_has_levels_enough():
    """Up to 16 steps: from 22 on, theirs is a level off where rounding makes a whole index less."""
    for left in {*range(1, 51)} - {29}:
        for n in {*(1, 2, 3, 4, 6, 8, 12, 16)} & {*range(left + 1)}:
            theirs = LCMScheduler(**SD1)
            theirs.set_timesteps(n, strength=left / 50)
            assert times(sigmas("lcm", n, SCHEDULE, left / 50)[:-1]) == theirs.timesteps.tolist()


def test_lcm_refuses_more_steps_than_levels_in_words():
    assert sigmas("lcm", 60, SCHEDULE, 0.0) == []
    with pytest.raises(ValueError, match=r"steps is 51; the schedule 'lcm' has 50 levels: take 50"):
        sigmas("lcm", 51, SCHEDULE)
    with pytest.raises(
        ValueError, match=r"strength 0\.5 leaves 25 of them: take 25 steps or fewer"
    ):
        sigmas("lcm", 26, SCHEDULE, 0.5)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 10, 20, 30, 333, 1000])
def test_simple_strides_over_the_table(n):
    stride = 1000 / n
    assert times(sigmas("simple", n, SCHEDULE)[:-1]) == [999 - int(x * stride) for x in range(n)]


@pytest.mark.parametrize("n", [1, 2, 7, 20, 100])
def test_sgm_uniform_is_k_diffusions_and_diffusers_of_one_step_more(n):
    process = DiscreteSchedule(SCHEDULE.sigmas, quantize=False)  # k-diffusion's
    ours = torch.tensor(sigmas("sgm_uniform", n, SCHEDULE), dtype=torch.float64)
    theirs = process.get_sigmas(n + 1)
    assert (ours[:-1] - theirs[:-2].double()).abs().max() < 2e-5  # float32 timesteps
    euler = EulerDiscreteScheduler(
        **SD1, timestep_spacing="linspace", interpolation_type="log_linear"
    )
    assert ours[0].item() == SCHEDULE.sigma_max
    assert ours[-1] == 0
    euler.set_timesteps(n + 1)
    visited = torch.tensor([SCHEDULE.sigma_to_t(level) for level in ours[:-1].tolist()])
    assert (visited - euler.timesteps[:-1]).abs().max() < 1e-4


@pytest.mark.parametrize("n", [2, 3, 10, 20, 100])
def test_beta_is_diffusers_and_scipys(n):
    theirs = EulerDiscreteScheduler(**SD1, use_beta_sigmas=True)
    theirs.set_timesteps(n)
    ours = torch.tensor(sigmas("beta", n, SCHEDULE), dtype=torch.float64)
    assert (ours - theirs.sigmas.double()).abs().max() < 2e-5  # float32
    at = np.linspace(1, 0, n)
    low, high = SCHEDULE.sigma_min, SCHEDULE.sigma_max
    exact = low + scipy.stats.beta.ppf(at, 0.6, 0.6) * (high - low)
    assert np.abs(ours[:-1].numpy() - exact).max() < 1e-12


def test_beta_quantiles_are_scipys():
    for a in (0.3, 0.6, 1.0, 2.5):
        p = np.linspace(0, 1, 1001)
        error = symmetric_beta_quantiles(p, a) - scipy.stats.beta.ppf(p, a, a)
        assert np.abs(error).max() < 1e-13


@pytest.mark.parametrize("n", [1, 2, 10, 33, 1000])
def test_kl_optimal_is_the_theorem(n):
    shares = np.arange(n + 1) / n
    ends = np.arctan([SCHEDULE.sigma_max, SCHEDULE.sigma_min])
    theirs = np.tan((1 - shares) * ends[0] + shares * ends[1])
    assert np.abs(np.array(sigmas("kl_optimal", n, SCHEDULE)) - theirs).max() < 1e-11


def test_align_your_steps_is_the_published_table():
    published = diffusers.schedulers.AysSchedules["StableDiffusionSigmas"]  # ten steps, then 0
    ours = sigmas("align_your_steps", 10, SCHEDULE)
    assert ours == pytest.approx(published, abs=4e-4)  # it has three decimals: 14.615
    assert ours[1:] == pytest.approx(published[1:], abs=1e-12)
    ours_t = [SCHEDULE.sigma_to_t(level) for level in ours[:-1]]
    theirs = diffusers.schedulers.AysSchedules["StableDiffusionTimesteps"]
    assert ours_t == pytest.approx(theirs, abs=1)


@pytest.mark.parametrize("n", [1, 2, 5, 17, 20, 40])
def test_align_your_steps_is_log_linear_between_them(n):
    table = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029167]
    theirs = np.exp(np.interp(np.linspace(0, 1, n + 1), np.linspace(0, 1, 11), np.log(table)))
    ours = sigmas("align_your_steps", n, SCHEDULE)
    assert ours[:-1] == pytest.approx(theirs[:-1], rel=3e-5)  # the ends are the model's own
    assert ours[-1] == 0
    with pytest.raises(ValueError, match=r"knows 0\.00316 to 0\.105 alone: take another one"):
        sigmas("align_your_steps", n, NoiseSchedule(beta_start=1e-5, beta_end=1.2e-5))


@pytest.mark.parametrize("n", [2, 3, 10, 25, 100, 1000])
def test_karras_and_exponential_are_k_diffusions(n):
    ends = SCHEDULE.sigma_min, SCHEDULE.sigma_max
    for name, theirs in (
        ("karras", k.get_sigmas_karras(n, *ends)),  # float32
        ("exponential", k.get_sigmas_exponential(n, *ends)),
    ):
        ours = torch.tensor(sigmas(name, n, SCHEDULE), dtype=torch.float64)
        assert (ours - theirs.double()).abs().max() < 2e-5
        assert ours[0].item() == SCHEDULE.sigma_max
        assert ours[-2].item() == SCHEDULE.sigma_min


@pytest.mark.parametrize("name", ["karras", "exponential"])
def test_karras_and_exponential_are_diffusers(name):
    theirs = EulerDiscreteScheduler(**SD1, **{f"use_{name}_sigmas": True})
    theirs.set_timesteps(20)
    ours = torch.tensor(sigmas(name, 20, SCHEDULE), dtype=torch.float64)
    assert (ours - theirs.sigmas.double()).abs().max() < 2e-5
    ours_t = torch.tensor([SCHEDULE.sigma_to_t(level) for level in ours[:-1].tolist()])
    assert (ours_t - theirs.timesteps).abs().max() < 2e-3


@pytest.mark.parametrize("name", [n for n in SCHEDULES if n not in ("uniform", "kl_optimal")])
def test_one_step_goes_from_pure_noise_to_none(name):
    assert sigmas(name, 1, SCHEDULE) == [SCHEDULE.sigma_max, 0.0]


def test_timesteps_are_exact_at_the_table():
    for t, sigma in enumerate(SCHEDULE.sigmas.tolist()):
        assert SCHEDULE.sigma_to_t(sigma) == t
        assert SCHEDULE.t_to_sigma(t) == sigma
        assert SCHEDULE.t_to_sigma(float(t)) == sigma


def test_timesteps_between_are_linear_in_log_sigma_and_come_back():
    logs = np.log(SCHEDULE.sigmas.numpy())
    for sigma in np.exp(np.linspace(logs[0], logs[-1], 997)).tolist():
        t = SCHEDULE.sigma_to_t(sigma)
        assert t == pytest.approx(np.interp(math.log(sigma), logs, np.arange(1000)), abs=1e-9)
        assert SCHEDULE.t_to_sigma(t) == pytest.approx(sigma, rel=1e-12)


def test_levels_outside_the_table_get_its_ends():
    assert SCHEDULE.sigma_to_t(0.0) == 0.0
    assert SCHEDULE.sigma_to_t(0.001) == 0.0
    assert SCHEDULE.sigma_to_t(80.0) == 999.0
    for t in (-0.5, 999.5):
        with pytest.raises(ValueError, match=r"outside 0\.\.999"):
            SCHEDULE.t_to_sigma(t)


@pytest.mark.parametrize(
    ("n", "strength", "left"),
    [
        (100, 0.29, 29),  # the original's int(0.29 * 100) is 28
        (50, 0.7, 35),
        (25, 0.48, 12),
        (20, 1.0, 20),
        (20, 0.0, 0),
        (1000, 0.999, 999),
    ],
)
def test_strength_cuts_to_the_tail_at_an_entry(n, strength, left):
    levels = sigmas("karras", n, SCHEDULE)
    tail = cut(levels, strength, SCHEDULE)
    assert tail == (levels[-left - 1 :] if left else [])


@pytest.mark.parametrize(
    ("n", "strength", "times"),
    [
        # "trailing" visits t = 999, then 499 (two steps) or 749, 499, 249 (four), and then 0.
        (1, 0.5, [499.5]),
        (1, 0.01, [9.99]),
        (2, 0.75, [749.0, 499.0]),
        (2, 0.25, [249.5]),
        (4, 0.2, [199.2]),  # 0.8 of the last step's 249
        (4, 0.37, [369.0]),  # 1.48 steps are one, which begins 0.48 of 250 above 249
        (4, 0.4, [399.0, 249.0]),  # and 1.6 are two
    ],
)
def test_strength_begins_between_the_entries_of_few_steps(n, strength, times):
    tail = cut(sigmas("trailing", n, SCHEDULE), strength, SCHEDULE)
    table = np.log(SCHEDULE.sigmas.numpy())
    truth = [*np.exp(np.interp(times, np.arange(1000), table)), 0.0]
    assert tail == pytest.approx(truth, rel=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 30, 999, 1000])
def test_every_cut_of_every_schedule_decreases_and_begins_at_its_own_level(n):
    for name in SCHEDULES:
        levels = sigmas(name, few(name, n), SCHEDULE)
        tails = [cut(levels, percent / 100, SCHEDULE) for percent in range(1, 101)]
        for percent, tail in enumerate(tails, 1):
            assert tail[1:] == levels[len(levels) - len(tail) + 1 :]
            assert len(tail) - 1 == max(1, round(percent / 100 * few(name, n)))
            assert all(high > low for high, low in itertools.pairwise(tail))
        for low, high in itertools.pairwise(tails):  # the table has no level below sigma_min
            assert low[0] < high[0] or low[0] == high[0] == SCHEDULE.sigma_min


@pytest.mark.parametrize("strength", [5e-324, 1e-18, 1e-12, 0.5 - 1e-12, 0.5 + 1e-12, 1 - 1e-16])
def test_a_strength_next_to_an_entry_has_levels_too(strength):
    for name, n in itertools.product(SCHEDULES, (1, 2, 4, 25, 1000)):
        tail = cut(sigmas(name, few(name, n), SCHEDULE), strength, SCHEDULE)
        assert len(tail) >= 2
        assert all(high > low for high, low in itertools.pairwise(tail))


def test_errors_name_the_value_and_what_is_accepted():
    with pytest.raises(ValueError, match=r"'karas' is unknown; did you mean 'karras'\?"):
        sigmas("karas", 10, SCHEDULE)
    for n in (0, -1, 1001):
        with pytest.raises(ValueError, match=rf"steps is {n}; 1 to 1000 is expected"):
            sigmas("karras", n, SCHEDULE)
    for strength in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"strength is .* 0\.\.1"):
            cut([1.0, 0.0], strength, SCHEDULE)
    with pytest.raises(ValueError, match="beta_start"):
        NoiseSchedule(beta_start=0.1, beta_end=0.01)
    with pytest.raises(ValueError, match="steps is 1"):
        NoiseSchedule(steps=1)
