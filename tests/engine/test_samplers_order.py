"""The samplers' orders of convergence, and their marginals, on a model known in closed form."""

import itertools
import math

import pytest
import torch
from oracles import gaussian

from sdnb.engine.diffusion.samplers import SAMPLERS
from sdnb.engine.diffusion.samplers.multistep import lms, lms_weights, unipc

DRAWS = {"dpmpp_sde": 2}  # of noise in a step, where it is not one
STOCHASTIC = [name for name, sampler in SAMPLERS.items() if sampler.stochastic]


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def end(name, denoise, x, levels, **options):
    """The last x of a run."""
    *_, last = SAMPLERS[name](denoise, x, levels, **options)
    return last.x


# -- the deterministic samplers, and the others at eta 0 ---------------------------------------


def karras(n, high=14.6146, low=0.0292):
    """n steps that all stay above 0: the last step to 0 would be of first order."""
    ends = high ** (1 / 7), low ** (1 / 7)
    return [(ends[0] + i / n * (ends[1] - ends[0])) ** 7 for i in range(n + 1)]


def exponential(n, high=14.6146, low=0.0292):
    return [high * (low / high) ** (i / n) for i in range(n + 1)]


def orders(errors):
    return [math.log2(a / b) for a, b in itertools.pairwise(errors)]


def ode_errors(sampler, path, counts):
    """The largest error against the exact flow, for each number of steps."""
    x = torch.tensor([-14.0, -3.0, 1.0, 20.0], dtype=torch.float64)
    errors = []
    for n in counts:
        levels = path(n)
        *_, last = sampler(gaussian.denoise, x, levels)
        errors.append((last.x - gaussian.flow(x, levels[0], levels[-1])).abs().max().item())
    return errors


COUNTS = (16, 32, 64, 128)
ORDERS = {  # least and most between 16, 32, 64 and 128 steps
    "euler": (0.9, 1.1),
    "ddim": (0.9, 1.1),  # eta 0
    "lcm": (0.9, 1.1),  # eta 0 is Euler
    "tcd": (0.9, 1.1),  # and so it is here
    "ddpm": (0.9, 1.1),  # eta 0
    "dpmpp_2s_a": (1.9, 2.1),  # eta 0
    "dpmpp_sde": (1.9, 2.1),  # eta 0
    "dpmpp_3m_sde": (1.4, 2.4),  # eta 0: order 3 after an Euler step, whose error (order 2) stays
    "deis": (2.4, 3.5),  # order 3 after an Euler step, as lms
    "heun": (1.9, 2.1),
    "dpm2": (1.9, 2.1),
    "dpm2_a": (1.9, 2.1),  # eta 0
    "dpmpp_2m": (1.9, 2.1),
    "dpmpp_2m_sde": (1.9, 2.1),  # eta 0
    "plms": (1.9, 2.2),  # its weights are of order 4 for equal steps of sigma, which these are not
    "lms": (
        3.1,
        4.0,
    ),  # order 4 after an Euler step, whose error (order 2) shows from 512 on
    "unipc": (2.9, 3.5),  # UniPC-2 corrected is of order 3; its last step, of order 1, shows later
}


@pytest.mark.parametrize("path", [karras, exponential])
@pytest.mark.parametrize("name", ORDERS)
def test_order_of_convergence(name, path):
    def sampler(denoise, x, levels):
        return SAMPLERS[name](denoise, x, levels, eta=0)

    least, most = ORDERS[name]
    errors = ode_errors(sampler, path, COUNTS)
    assert all(least < order < most for order in orders(errors)), (errors, orders(errors))
    assert errors[-1] < {1: 2e-2, 2: 3e-4, 3: 2e-5}[round(least)]


@pytest.mark.parametrize(("order", "least", "most"), [(1, 0.9, 1.1), (2, 1.75, 2.1), (3, 2.5, 3.1)])
def test_lms_has_the_order_that_it_is_given(order, least, most):
    found = orders(ode_errors(lambda *run: lms(*run, order=order), karras, COUNTS))
    assert all(least < value < most for value in found), found


def test_lms_of_order_one_is_euler():
    x, levels = normal(2, 3), karras(9)
    *_, multistep = lms(gaussian.denoise, x, levels, order=1)
    assert (multistep.x - end("euler", gaussian.denoise, x, levels)).abs().max() < 1e-13


def test_unipc_of_order_three_is_better_still():
    (two,) = ode_errors(lambda *run: unipc(*run, order=2), karras, (20,))
    (three,) = ode_errors(lambda *run: unipc(*run, order=3), karras, (20,))
    assert three < two / 5


def test_lms_weights_integrate_polynomials_exactly():
    nodes, begin, end = [3.0, 4.5, 5.0, 9.0], 3.0, 0.7
    for count in range(1, 5):
        weights = lms_weights(nodes[:count], begin, end)
        for power in range(count):
            exact = (end ** (power + 1) - begin ** (power + 1)) / (power + 1)
            found = sum(w * node**power for w, node in zip(weights, nodes[:count], strict=True))
            assert found == pytest.approx(exact, rel=1e-12)


# -- the marginals of the stochastic samplers -------------------------------------------------


def moment_errors(name, levels, eta, denoise=gaussian.denoise):
    """How far the end's mean and variance are from the truth, exactly: the model is linear in x.

    Row 0 starts at 0 without noise, row 1 at 1, row 2 + k at 0 with one unit of the k-th draw; so
    the differences to row 0 are what the start and each draw are multiplied by.
    """
    n = (len(levels) - 1) * DRAWS.get(name, 1)
    x = torch.zeros(n + 2, dtype=torch.float64)
    x[1] = 1
    draws = iter(torch.eye(n + 2, dtype=torch.float64)[2:])
    last = end(name, denoise, x, levels, eta=eta, noise=lambda: next(draws))
    scale, *gains = (last[1:] - last[0]).tolist()
    mean = last[0].item() + scale * gaussian.MEAN
    variance = scale**2 * (gaussian.STD**2 + levels[0] ** 2) + sum(gain**2 for gain in gains)
    return mean - gaussian.MEAN, variance - gaussian.STD**2 - levels[-1] ** 2


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("ddim", 0.75, 1.05),
        ("euler_a", 0.75, 1.05),
        ("dpm2_a", 1.9, 2.15),
        ("dpmpp_2m_sde", 1.9, 2.15),
        ("ddpm", 0.75, 1.05),
        ("dpmpp_2s_a", 1.75, 2.05),
        ("dpmpp_sde", 1.85, 2.25),
        ("dpmpp_3m_sde", 1.85, 2.35),  # its second step is of order 2
    ],
)
@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_order_of_the_variance(name, least, most, eta):
    means, variances = zip(*(moment_errors(name, karras(n), eta) for n in COUNTS), strict=True)
    assert max(map(abs, means)) < 1e-13  # the mean is exact at any number of steps
    found = orders([abs(error) for error in variances])
    assert all(least < order < most for order in found), (variances, found)


def test_consistency_sampling_is_exact_at_any_number_of_steps():
    for n in (1, 2, 4, 8, 50):
        mean, variance = moment_errors("lcm", karras(n), 1.0, gaussian.consistent)
        assert abs(mean) < 1e-13
        assert abs(variance) < 1e-13


# TCD's steps are made for models that know where they go to: of others its variance is off.
@pytest.mark.parametrize("name", [name for name in STOCHASTIC if name != "tcd"])
@pytest.mark.slow
def test_samples_have_the_mean_and_variance_of_the_data(name):
    count, levels = 100_000, karras(100)
    model = gaussian.consistent if name == "lcm" else gaussian.denoise
    generator = torch.Generator().manual_seed(0)

    def noise():
        return torch.randn(count, generator=generator, dtype=torch.float64)

    x = gaussian.MEAN + noise() * math.hypot(gaussian.STD, levels[0])
    samples = end(name, model, x, levels, eta=1.0, noise=noise)
    variance = gaussian.STD**2 + levels[-1] ** 2
    bias = moment_errors(name, levels, 1.0, model)[1]  # 100 steps are not infinitely many
    assert abs(bias) < 0.08 * variance
    assert abs(samples.mean() - gaussian.MEAN) < 5 * math.sqrt(variance / count)
    assert abs(samples.var() - variance - bias) < 5 * variance * math.sqrt(2 / count)
