"""The samplers by themselves: n steps are n steps, nothing leaks or waits, errors in words."""

import contextlib
import inspect
import itertools
import math

import pytest
import torch
from oracles import gaussian
from oracles.network import RandomNetwork
from torch.utils._python_dispatch import TorchDispatchMode

from sdnb.engine.diffusion.denoise import combine, eps_denoiser, inpainting
from sdnb.engine.diffusion.noise import Noise
from sdnb.engine.diffusion.samplers import SAMPLERS, Step
from sdnb.engine.diffusion.schedule import SCHEDULES, NoiseSchedule, cut, sigmas
from sdnb.request import request
from sdnb.request.choices import step_of

SCHEDULE = NoiseSchedule()
SHAPE = (4, 8, 8)
# A sampler sees numbers alone: these end above 0, at 0 with large steps, and at 0 with small ones.
WALKED = ("uniform", "trailing", "karras")
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
def test_the_step_of_a_call_is_told_by_its_number(name):
    """By it, control networks know when they work."""
    done, calls = [0], []

    def counted(x, _sigma):
        calls.append(done[0])
        return torch.zeros_like(x)

    noise, levels = Noise([1], [1, 2, 2]), sigmas("karras", 4, SCHEDULE)
    for step in SAMPLERS[name](counted, normal(1, 1, 2, 2), levels, noise=noise, schedule=SCHEDULE):
        done[0] = step.index + 1
    assert calls == [step_of(name, number) for number in range(len(calls))]


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("schedule", WALKED)
@pytest.mark.slow
def test_n_steps_are_n_steps(name, schedule):
    noise = Noise([1], [1, 1, 2])
    for n in [
        *range(1, 13),
        30,
        36,
        *([101, 150, 333, 501, 999, 1000] if schedule != "lcm" else []),
    ]:
        levels = sigmas(schedule, n, SCHEDULE)
        steps = run(name, trivial, torch.ones(1, 1, 1, 2), levels, noise=noise)
        assert [step.index for step in steps] == list(range(n))
        assert {step.total for step in steps} == {n}
        assert [step.sigma for step in steps] == levels[1:]
        assert all(step.x.isfinite().all() for step in steps)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("strength", [0.0, 0.01, 0.3, 0.5, 0.99])
def test_a_tail_runs_its_steps(name, strength):
    for schedule, n in itertools.product(WALKED, (1, 2, 7, 30)):
        levels = cut(sigmas(schedule, n, SCHEDULE), strength, SCHEDULE)
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
    guided = lambda x, sigma: combine(x * 0.5, denoise(x, sigma), 7.5)  # noqa: E731
    inside = inpainting(guided, x, mask, fixed)
    steps = SAMPLERS[name](inside, x * 14, sigmas("karras", 6, SCHEDULE), noise=noise)
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

    for schedule in WALKED:
        run(name, gaussian.denoise, normal(1, 2), sigmas(schedule, 5, SCHEDULE), eta=0, noise=never)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_one_draw_a_step_and_none_to_zero(name):
    """`dpmpp_sde` draws one for each half of a step, and `tcd` none to t = 0, where eta 1 ends."""
    each = 2 if name == "dpmpp_sde" else 1
    lowest = SCHEDULE.sigma_min if name == "tcd" else 0
    for schedule, n in itertools.product(WALKED, (1, 2, 6)):
        draws = []

        def noise(draws=draws):
            draws.append(1)
            return normal(1, 2)

        levels = sigmas(schedule, n, SCHEDULE)
        run(name, gaussian.denoise, normal(1, 2), levels, eta=1, noise=noise)
        assert len(draws) == each * (n - (levels[-1] <= lowest) - (levels[-2] <= lowest))
