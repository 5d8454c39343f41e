"""The samplers by themselves: n steps, no leaks, their order on a model known in closed form."""

import contextlib
import inspect
import itertools
import math

import pytest
import torch
from oracles import gaussian
from oracles.network import RandomNetwork
from torch.utils._python_dispatch import TorchDispatchMode

from sdnb import request
from sdnb.diffusion.denoise import eps_denoiser, guided, inpainting
from sdnb.diffusion.noise import Noise
from sdnb.diffusion.samplers import SAMPLERS, Step
from sdnb.diffusion.samplers.multistep import lms, lms_weights, unipc
from sdnb.diffusion.schedule import SCHEDULES, NoiseSchedule, cut, sigmas

SCHEDULE = NoiseSchedule()
SHAPE = (4, 8, 8)
STOCHASTIC = [name for name, sampler in SAMPLERS.items() if sampler.stochastic]


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def trivial(x, _sigma):
    return torch.zeros_like(x)


def run(name, denoise, x, levels, **options):
    """All steps of a run."""
    return list(SAMPLERS[name](denoise, x, levels, **options))


# -- what a run is ----------------------------------------------------------------------------


def test_names_and_etas_are_those_of_a_request():
    assert tuple(SAMPLERS) == request.SAMPLERS
    for name, sampler in SAMPLERS.items():
        asked = request.Request("a cat", seed=1, sampler=name).resolved(request.Settings())
        assert asked.eta == sampler.eta
        assert asked.schedule in SCHEDULES


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_n_steps_are_n_steps(name, schedule):
    noise = Noise([1], [1, 1, 2])
    for n in [*range(1, 13), 30, 36, 101, 150, 333, 501, 999, 1000]:
        levels = sigmas(schedule, n, SCHEDULE)
        steps = run(name, trivial, torch.ones(1, 1, 1, 2), levels, noise=noise)
        assert [step.index for step in steps] == list(range(n))
        assert {step.total for step in steps} == {n}
        assert [step.sigma for step in steps] == levels[1:]
        assert all(step.x.isfinite().all() for step in steps)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("strength", [0.0, 0.01, 0.3, 0.5, 0.99])
def test_a_tail_runs_its_steps(name, strength):
    for schedule, n in itertools.product(SCHEDULES, (1, 2, 7, 30)):
        levels = cut(sigmas(schedule, n, SCHEDULE), strength)
        steps = run(name, gaussian.denoise, normal(1, 2), levels, noise=lambda: normal(1, 2))
        assert len(steps) == max(len(levels) - 1, 0)


@pytest.mark.parametrize("name", SAMPLERS)
def test_evaluations_are_as_many_as_said_at_levels_that_are_floats(name):
    levels = sigmas("karras", 10, SCHEDULE)
    for run_levels, saved in ((levels, 1), (levels[:-1], 0)):  # a step to 0 has no second slope
        seen = []

        def denoise(x, sigma, seen=seen):
            seen.append(sigma)
            return gaussian.denoise(x, sigma)

        run(name, denoise, normal(1, 2), run_levels, noise=lambda: normal(1, 2))
        n = len(run_levels) - 1
        extra = SAMPLERS[name].evaluations - 1
        assert len(seen) == n + extra * (n - saved) + (name == "plms")
        assert {type(sigma) for sigma in seen} == {float}  # never a tensor: nothing waits for a GPU
        assert all(levels[0] >= sigma >= SCHEDULE.sigma_min for sigma in seen)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_run_that_ends_at_zero_ends_at_the_clean_guess(name):
    for n in (1, 2, 9):
        steps = run(
            name,
            gaussian.denoise,
            normal(1, 2) * 14,
            sigmas("trailing", n, SCHEDULE),
            noise=lambda: normal(1, 2, seed=1),
        )
        if name not in {"plms", "lms"}:  # these end on a weighted slope
            assert torch.equal(steps[-1].x, steps[-1].denoised)
        assert steps[-1].x.isfinite().all()


@pytest.mark.parametrize("name", SAMPLERS)
def test_levels_may_be_any_numbers_that_decrease(name):
    x, levels = normal(1, 2), sigmas("karras", 5, SCHEDULE)
    as_floats = run(name, gaussian.denoise, x, levels, eta=0)[-1].x
    as_tensor = run(name, gaussian.denoise, x, torch.tensor(levels).double(), eta=0)[-1].x
    assert (as_floats - as_tensor).abs().max() < 1e-5
    as_tuple = run(name, gaussian.denoise, x, tuple(levels), eta=0)[-1].x
    assert torch.equal(as_floats, as_tuple)
    assert run(name, gaussian.denoise, x, []) == [] if not SAMPLERS[name].eta else True


# -- nothing leaks ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLERS)
def test_nothing_leaks_to_the_caller_between_steps(name):
    inside = []

    def denoise(x, sigma):
        inside.append((torch.is_inference_mode_enabled(), torch.is_grad_enabled()))
        return gaussian.denoise(x, sigma)

    levels = sigmas("karras", 4, SCHEDULE)
    steps = SAMPLERS[name](denoise, normal(1, 2), levels, noise=Noise([1], [2]))
    assert inspect.isgenerator(steps)
    with contextlib.closing(steps):
        for i, step in enumerate(steps):
            assert isinstance(step, Step)
            assert not torch.is_inference_mode_enabled()
            assert torch.is_grad_enabled()
            weight = torch.ones(2, requires_grad=True)  # a caller may train between steps
            (weight * 2).sum().backward()
            assert weight.grad.tolist() == [2, 2]
            if i == 2:
                break
    assert set(inside) == {(True, False)}
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_error_or_an_interrupt_inside_leaves_the_caller_as_it_was(name):
    for error in (ValueError, KeyboardInterrupt):

        def denoise(_x, _sigma, error=error):
            raise error

        steps = SAMPLERS[name](denoise, normal(1, 2), [2.0, 1.0, 0.0], noise=Noise([1], [2]))
        with pytest.raises(error):
            next(steps)
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_callers_no_grad_survives(name):
    with torch.no_grad():
        for _ in SAMPLERS[name](gaussian.denoise, normal(1, 2), [2.0, 1.0, 0.5, 0.0], eta=0):
            assert not torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("name", SAMPLERS)
def test_nothing_is_written_to_the_callers_tensors(name):
    x, fresh = normal(2, *SHAPE) * 14, normal(2, *SHAPE, seed=1)
    levels = sigmas("uniform", 6, SCHEDULE)
    before = x.clone(), fresh.clone(), list(levels)
    denoise = eps_denoiser(RandomNetwork(), SCHEDULE)
    states = [
        (step.x, step.x.clone(), step.denoised, step.denoised.clone())
        for step in SAMPLERS[name](denoise, x, levels, noise=lambda: fresh)
    ]
    assert torch.equal(x, before[0])
    assert torch.equal(fresh, before[1])
    assert levels == before[2]
    for state, copy, denoised, denoised_copy in states:  # a step kept by the caller stays as it was
        assert torch.equal(state, copy)
        assert torch.equal(denoised, denoised_copy)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_x_keeps_its_precision(name, dtype):
    x = normal(1, *SHAPE).to(dtype)
    steps = run(name, gaussian.denoise, x, [3.0, 2.0, 1.0, 0.0], noise=Noise([1], SHAPE))
    assert {step.x.dtype for step in steps} == {dtype}


@pytest.mark.parametrize("name", SAMPLERS)
def test_image_i_of_a_batch_is_the_image_of_its_seed(name):
    denoise = eps_denoiser(RandomNetwork(dtype=torch.float32), SCHEDULE)
    levels = sigmas("karras", 8, SCHEDULE)

    def image(seeds):
        noise = Noise(seeds, SHAPE)
        return run(name, denoise, noise() * levels[0], levels, noise=noise)[-1].x

    assert (image([7, 8, 9])[1] - image([8])[0]).abs().max() < 1e-5


class NoReadBack(TorchDispatchMode):
    """Fails where a tensor's value becomes Python's: on a GPU, that waits for all work queued."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        reading = {"_local_scalar_dense", "item", "is_nonzero", "nonzero", "equal", "allclose"}
        assert name not in reading, f"{name} reads a tensor back"
        return function(*args, **(kwargs or {}))


def test_reading_back_is_noticed():
    for read in (float, bool, lambda x: torch.equal(x, x)):

        def denoise(x, _sigma, read=read):
            return x * read(x[:1, 0])

        with NoReadBack(), pytest.raises(AssertionError, match="reads a tensor back"):
            next(SAMPLERS["euler"](denoise, torch.ones(1, 1), [1.0, 0.0]))


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_step_waits_for_no_device(name, device):
    denoise = eps_denoiser(RandomNetwork(dtype=torch.float32).to(device), SCHEDULE)
    noise = Noise([1, 2], SHAPE)
    x = noise().to(device)
    fixed, mask = noise().to(device), (noise()[:1, :1] > 0).float().to(device)
    denoise = inpainting(guided(denoise, lambda x, _sigma: x * 0.5, 7.5), x, mask, fixed)
    steps = SAMPLERS[name](denoise, x * 14, sigmas("karras", 6, SCHEDULE), noise=noise)
    before = torch.cuda.get_sync_debug_mode() if device == "cuda" else 0
    try:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("error")
        with NoReadBack():
            last = list(steps)[-1]
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode(before)
    assert last.x.isfinite().all()


# -- errors -----------------------------------------------------------------------------------


def test_what_cannot_run_is_refused_before_the_first_step():
    x = normal(1, 2)
    for levels in ([1.0, 1.0, 0.0], [1.0, 2.0], [1.0, -0.1], [math.inf, 1.0], [1.0, math.nan]):
        with pytest.raises(ValueError, match="sigmas hold"):
            SAMPLERS["euler"](trivial, x, levels)
    for eta in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"eta is .* lies in 0\.\.1"):
            SAMPLERS["ddim"](trivial, x, [1.0, 0.0], eta=eta)
    with pytest.raises(ValueError, match=r"draws no noise; these do: ddim, euler_a"):
        SAMPLERS["heun"](trivial, x, [1.0, 0.0], eta=0.5)
    with pytest.raises(ValueError, match=r"noise is None; give noise=Noise"):
        SAMPLERS["euler_a"](trivial, x, [1.0, 0.0])


@pytest.mark.parametrize("name", STOCHASTIC)
def test_eta_zero_draws_nothing(name):
    def never():
        raise AssertionError("drawn")

    for schedule in SCHEDULES:
        run(name, gaussian.denoise, normal(1, 2), sigmas(schedule, 5, SCHEDULE), eta=0, noise=never)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_one_draw_a_step_and_none_to_zero(name):
    for schedule, n in itertools.product(SCHEDULES, (1, 2, 6)):
        draws = []

        def noise(draws=draws):
            draws.append(1)
            return normal(1, 2)

        levels = sigmas(schedule, n, SCHEDULE)
        run(name, gaussian.denoise, normal(1, 2), levels, eta=1, noise=noise)
        assert len(draws) == n - (levels[-1] == 0)


# -- order of convergence on the Gaussian model -----------------------------------------------


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
    assert (multistep.x - run("euler", gaussian.denoise, x, levels)[-1].x).abs().max() < 1e-13


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
            found = sum(w * node**power for w, node in zip(weights, nodes, strict=False))
            assert found == pytest.approx(exact, rel=1e-12)


# -- the marginals of the stochastic samplers -------------------------------------------------


def moment_errors(name, levels, eta, denoise=gaussian.denoise):
    """How far the end's mean and variance are from the truth, exactly: the model is linear in x.

    Row 0 starts at 0 without noise, row 1 at 1, row 2 + k at 0 with one unit of the k-th draw; so
    the differences to row 0 are what the start and each draw are multiplied by.
    """
    n = len(levels) - 1
    x = torch.zeros(n + 2, dtype=torch.float64)
    x[1] = 1
    draws = iter(torch.eye(n + 2, dtype=torch.float64)[2:])
    end = run(name, denoise, x, levels, eta=eta, noise=lambda: next(draws))[-1].x
    scale, *gains = (end[1:] - end[0]).tolist()
    mean = end[0].item() + scale * gaussian.MEAN
    variance = scale**2 * (gaussian.STD**2 + levels[0] ** 2) + sum(gain**2 for gain in gains)
    return mean - gaussian.MEAN, variance - gaussian.STD**2 - levels[-1] ** 2


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("ddim", 0.75, 1.05),
        ("euler_a", 0.75, 1.05),
        ("dpm2_a", 1.9, 2.15),
        ("dpmpp_2m_sde", 1.9, 2.15),
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


@pytest.mark.parametrize("name", STOCHASTIC)
def test_samples_have_the_mean_and_variance_of_the_data(name):
    count, levels = 100_000, karras(100)
    model = gaussian.consistent if name == "lcm" else gaussian.denoise
    generator = torch.Generator().manual_seed(0)

    def noise():
        return torch.randn(count, generator=generator, dtype=torch.float64)

    x = gaussian.MEAN + noise() * math.hypot(gaussian.STD, levels[0])
    end = run(name, model, x, levels, eta=1.0, noise=noise)[-1].x
    variance = gaussian.STD**2 + levels[-1] ** 2
    bias = moment_errors(name, levels, 1.0, model)[1]  # 100 steps are not infinitely many
    assert abs(bias) < 0.08 * variance
    assert abs(end.mean() - gaussian.MEAN) < 5 * math.sqrt(variance / count)
    assert abs(end.var() - variance - bias) < 5 * variance * math.sqrt(2 / count)
