"""Noise levels: against the original's formulas, diffusers' tables and k-diffusion's; n is n."""

import itertools
import math

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler
from oracles.k_diffusion import sampling as k

from sdnb.engine.diffusion.schedule import SCHEDULES, NoiseSchedule, cut, sigmas
from sdnb.request import request

SCHEDULE = NoiseSchedule()
SD1 = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def times(levels):
    """The table's indices of levels that stand in it."""
    table = SCHEDULE.sigmas.tolist()
    return [table.index(level) for level in levels]


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
        levels = sigmas(name, n, schedule)
        assert all(high > low for high, low in itertools.pairwise(levels))
    assert sigmas("trailing", 25, schedule)[0] == schedule.sigma_max


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.slow
def test_n_steps_are_n_steps_for_every_n(name):
    for n in range(1, 1001):
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


@pytest.mark.parametrize("name", ["trailing", "karras", "exponential"])
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
        levels = sigmas(name, n, SCHEDULE)
        tails = [cut(levels, percent / 100, SCHEDULE) for percent in range(1, 101)]
        for percent, tail in enumerate(tails, 1):
            assert tail[1:] == levels[len(levels) - len(tail) + 1 :]
            assert len(tail) - 1 == max(1, round(percent / 100 * n))
            assert all(high > low for high, low in itertools.pairwise(tail))
        for low, high in itertools.pairwise(tails):  # the table has no level below sigma_min
            assert low[0] < high[0] or low[0] == high[0] == SCHEDULE.sigma_min


@pytest.mark.parametrize("strength", [5e-324, 1e-18, 1e-12, 0.5 - 1e-12, 0.5 + 1e-12, 1 - 1e-16])
def test_a_strength_next_to_an_entry_has_levels_too(strength):
    for name, n in itertools.product(SCHEDULES, (1, 2, 4, 25, 1000)):
        tail = cut(sigmas(name, n, SCHEDULE), strength, SCHEDULE)
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
