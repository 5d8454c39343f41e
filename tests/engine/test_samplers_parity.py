"""The samplers against k-diffusion, diffusers and the original, on a small random network.

All get the same network, levels and noise. Largest absolute errors on latents of order one: 1e-9
where both sides compute in float64 (measured: 2e-12), 1e-5 where x is float32 (measured: 4e-6),
5e-5 where an oracle also makes its own levels and timesteps in float32 (measured: 2e-5).

Where the oracles differ from each other, ours is:

* the first x: noise * sqrt(1 + sigma^2), the original's and diffusers' variance-preserving start;
  diffusers' Euler with "trailing" steps, and k-diffusion, start at noise * sigma (0.2 % less);
* a last step to 0: of first order, as in all of them; a last step above 0: like any other, as in
  k-diffusion (diffusers' DPM++ takes a first-order one where n < 15, so it is compared at 0 only);
* fractional timesteps for levels between the table's, as in k-diffusion and diffusers' Euler;
  diffusers' DPM++, UniPC and DPM2 round Karras' to integers, so these get our levels here;
* the noise of SDE samplers: independent normals, as in diffusers; k-diffusion's default is a
  Brownian tree, which its `noise_sampler` replaces;
* the noise of dpmpp_sde: of two halves of a step, together a Brownian motion in sigma, which is
  the law of k-diffusion's tree; here theirs is built of the same draws;
* TCD: a last step to 0 ends there; diffusers' ends at t = 0, whose level the runs here end at;
* LCM without its boundary scalings, which diffusers has: see `sdnb.diffusion.samplers.euler.lcm`;
* the original's PLMS, when one step is all, evaluates again where it began: not compared at n = 1.
"""

import inspect

import diffusers
import pytest
import torch
from oracles import compvis
from oracles.k_diffusion import sampling as k
from oracles.network import RandomNetwork

from sdnb.engine.diffusion.denoise import eps_denoiser
from sdnb.engine.diffusion.noise import finish, start
from sdnb.engine.diffusion.samplers import SAMPLERS
from sdnb.engine.diffusion.samplers.multistep import deis, unipc
from sdnb.engine.diffusion.schedule import NoiseSchedule, sigmas

SCHEDULE = NoiseSchedule()
SHAPE = (2, 4, 8, 8)
TIGHT, FLOAT32, FLOAT32_LEVELS = 1e-9, 1e-5, 5e-5

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers' use of numpy


def normal(seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(SHAPE, generator=generator, dtype=torch.float64).to(dtype)


class Draws:
    """The same sequence of noises for whoever asks, whatever is passed."""

    def __init__(self, dtype=torch.float64):
        self.count, self.dtype = 0, dtype

    def __call__(self, *_args, **_options):
        self.count += 1
        return normal(100 + self.count, self.dtype)


def denoiser(dtype=torch.float64):
    return eps_denoiser(RandomNetwork(dtype=dtype), SCHEDULE)


def end(sampler, x, levels, dtype=torch.float64, **options):
    """The latent at the end of a run of ours."""
    *_, last = sampler(denoiser(dtype), x, levels, **options)
    return last.x


def assert_close(mine, theirs, tolerance):
    assert theirs.std() > 0.1  # a dead network would agree with anything
    assert (mine - theirs).abs().max().item() <= tolerance


# -- k-diffusion ------------------------------------------------------------------------------

K = {  # its function, and the eta that is ours
    "euler": (k.sample_euler, None),
    "euler_a": (k.sample_euler_ancestral, 1.0),
    "ddim": (k.sample_euler_ancestral, 0.6),
    "heun": (k.sample_heun, None),
    "lms": (k.sample_lms, None),
    "dpm2": (k.sample_dpm_2, None),
    "dpm2_a": (k.sample_dpm_2_ancestral, 1.0),
    "dpmpp_2m": (k.sample_dpmpp_2m, None),
    "dpmpp_2m_sde": (k.sample_dpmpp_2m_sde, 1.0),
    "dpmpp_2s_a": (k.sample_dpmpp_2s_ancestral, 1.0),
    "dpmpp_sde": (k.sample_dpmpp_sde, 1.0),
    "dpmpp_3m_sde": (k.sample_dpmpp_3m_sde, 1.0),
}


class Motion:
    """Brownian noise for k-diffusion, whose time is sigma, from the same draws as ours: it is asked
    for the way from a level to the step's middle, then from that level to its end.
    """

    def __init__(self, dtype):
        self.draw, self.first, self.begin = Draws(dtype), None, None

    def __call__(self, sigma, to):
        if self.begin != sigma:
            self.begin, self.middle, self.first = sigma, to, self.draw()
            return self.first
        moved = self.first * (sigma - self.middle).sqrt()
        return (moved + self.draw() * (self.middle - to).sqrt()) / (sigma - to).sqrt()


def check_k(name, schedule, n, dtype, tolerance, eta=None):
    levels = sigmas(schedule, n, SCHEDULE)
    x, denoise = normal(dtype=dtype) * levels[0], denoiser(dtype)
    sample, usual = K[name]
    eta = usual if eta is None else eta
    draws = Motion if name == "dpmpp_sde" else Draws
    theirs = sample(
        lambda x, sigma: denoise(x, float(sigma[0])),
        x,
        torch.tensor(levels, dtype=dtype),
        disable=True,
        **({} if eta is None else {"eta": eta, "noise_sampler": draws(dtype)}),
    )
    mine = end(SAMPLERS[name], x, levels, dtype, eta=eta, noise=Draws(dtype))
    assert_close(mine, theirs, tolerance)


@pytest.mark.parametrize("name", K)
@pytest.mark.parametrize("schedule", ["uniform", "trailing", "karras"])
@pytest.mark.parametrize("n", [2, 3, 5, 20, 100])
@pytest.mark.slow
def test_k_diffusion(name, schedule, n):
    check_k(name, schedule, n, torch.float64, TIGHT)


# Two of theirs fail at one step to 0.
@pytest.mark.parametrize("name", sorted(set(K) - {"dpmpp_2m_sde", "dpmpp_3m_sde"}))
def test_k_diffusion_in_one_step(name):
    check_k(name, "karras", 1, torch.float64, TIGHT)


@pytest.mark.parametrize("name", [name for name in K if SAMPLERS[name].stochastic])
@pytest.mark.parametrize("eta", [0.0, 0.3])
def test_k_diffusion_at_other_etas(name, eta):
    check_k(name, "karras", 12, torch.float64, TIGHT, eta)


@pytest.mark.parametrize("name", K)
@pytest.mark.parametrize("schedule", ["uniform", "karras"])
def test_k_diffusion_in_float32(name, schedule):
    check_k(name, schedule, 20, torch.float32, FLOAT32)


# -- diffusers --------------------------------------------------------------------------------

SD1 = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
LEADING = {"timestep_spacing": "leading", "steps_offset": 1, "set_alpha_to_one": False}
TRAILING = {"timestep_spacing": "trailing"}


def scheduler(kind, **options):
    """A diffusers scheduler with a float64 table: the method is compared, not its rounding."""
    theirs = getattr(diffusers, kind + "Scheduler")(**SD1, **options)
    theirs.alphas_cumprod = compvis.table()
    theirs.final_alpha_cumprod = compvis.table()[0]
    return theirs


def draw_as_ours(monkeypatch, module):
    """Some schedulers draw their own noise: give them the sequence that ours gets."""
    module = getattr(diffusers.schedulers, f"scheduling_{module}")
    monkeypatch.setattr(module, "randn_tensor", Draws())


@pytest.mark.parametrize("n", [2, 5, 10, 20, 50, 100])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_diffusers_ddim(n, eta):
    theirs = scheduler("DDIM", **LEADING, clip_sample=False)
    network, noise = RandomNetwork(), Draws()
    theirs.set_timesteps(n)
    x = normal()
    for t in theirs.timesteps:
        options = {"variance_noise": noise()} if eta else {}
        x = theirs.step(network(x, int(t)), t, x, eta=eta, **options).prev_sample
    levels = sigmas("uniform", n, SCHEDULE)
    begin = start(None, normal(), levels[0])
    mine = end(SAMPLERS["ddim"], begin, levels, eta=eta, noise=Draws())
    assert_close(finish(mine, levels[-1]), x, TIGHT)


@pytest.mark.parametrize("n", [1, 2, 5, 20, 100])
def test_diffusers_ddpm(n, monkeypatch):
    draw_as_ours(monkeypatch, "ddpm")
    theirs, network = scheduler("DDPM", **TRAILING, clip_sample=False), RandomNetwork()
    theirs.set_timesteps(n)
    x = normal()
    for t in theirs.timesteps:
        x = theirs.step(network(x, int(t)), t, x).prev_sample
    levels = sigmas("trailing", n, SCHEDULE)
    mine = end(SAMPLERS["ddpm"], start(None, normal(), levels[0]), levels, noise=Draws())
    assert_close(mine, x, TIGHT)


@pytest.mark.parametrize("n", [2, 4, 10, 20, 50, 100])
def test_diffusers_plms(n):
    theirs, network = scheduler("PNDM", **LEADING, skip_prk_steps=True), RandomNetwork()
    theirs.set_timesteps(n)
    x = normal()
    for t in theirs.timesteps:
        x = theirs.step(network(x, int(t)), int(t), x).prev_sample
    levels = sigmas("uniform", n, SCHEDULE)
    mine = end(SAMPLERS["plms"], start(None, normal(), levels[0]), levels)
    assert_close(finish(mine, levels[-1]), x, TIGHT)


@pytest.mark.parametrize("n", [2, 5, 20])
@pytest.mark.parametrize(
    ("name", "kind", "schedule"),
    [
        ("euler", "EulerDiscrete", "trailing"),
        ("euler", "EulerDiscrete", "karras"),
        ("euler_a", "EulerAncestralDiscrete", "trailing"),  # it has no Karras levels
        ("heun", "HeunDiscrete", "trailing"),
        ("heun", "HeunDiscrete", "karras"),
        ("lms", "LMSDiscrete", "trailing"),
        ("lms", "LMSDiscrete", "karras"),
        ("dpm2", "KDPM2Discrete", "trailing"),  # with Karras levels it rounds the timesteps
    ],
)
@pytest.mark.slow
def test_diffusers_in_sigmas(name, kind, schedule, n, monkeypatch):
    """Their levels and timesteps are their own: nothing of ours is in their run."""
    options = TRAILING if schedule == "trailing" else {"use_karras_sigmas": True}
    theirs, network = scheduler(kind, **options), RandomNetwork()
    theirs.set_timesteps(n)
    if name == "euler_a":
        draw_as_ours(monkeypatch, "euler_ancestral_discrete")
    levels = sigmas(schedule, n, SCHEDULE)
    x = normal() * levels[0]
    for t in theirs.timesteps:
        eps = network(theirs.scale_model_input(x, t).double(), float(t))
        x = theirs.step(eps, t, x).prev_sample.double()
    mine = end(SAMPLERS[name], normal() * levels[0], levels, noise=Draws())
    assert_close(mine, x, FLOAT32_LEVELS)


def check_in_log_snr(theirs, sampler, levels, tolerance, noise=None):
    """For diffusers' multistep schedulers, variance preserving, on our levels."""
    theirs.set_timesteps(len(levels) - 1)
    theirs.sigmas = torch.tensor(levels, dtype=torch.float64)
    network, x = RandomNetwork(), normal()
    for t, sigma in zip(theirs.timesteps, levels[:-1], strict=True):
        options = {"variance_noise": noise()} if noise else {}
        eps = network(x, SCHEDULE.sigma_to_t(sigma))
        x = theirs.step(eps, t, x, **options).prev_sample.double()
    mine = end(sampler, start(None, normal(), levels[0]), levels)
    assert_close(finish(mine, levels[-1]), x, tolerance)


@pytest.mark.parametrize("schedule", ["trailing", "karras", "exponential"])
@pytest.mark.parametrize("n", [1, 2, 5, 20])
@pytest.mark.parametrize("name", ["dpmpp_2m", "dpmpp_2m_sde"])
def test_diffusers_dpmpp(name, n, schedule):
    kind = {"dpmpp_2m": "dpmsolver++", "dpmpp_2m_sde": "sde-dpmsolver++"}[name]
    theirs = scheduler("DPMSolverMultistep", **TRAILING, algorithm_type=kind)
    check_in_log_snr(
        theirs,
        lambda *run: SAMPLERS[name](*run, noise=Draws()),
        sigmas(schedule, n, SCHEDULE),
        FLOAT32,  # its step rounds x to float32
        Draws() if SAMPLERS[name].stochastic else None,
    )


@pytest.mark.parametrize("schedule", ["uniform", "trailing", "karras", "exponential"])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 20, 100])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.slow
def test_diffusers_unipc(order, n, schedule):
    theirs = scheduler("UniPCMultistep", **TRAILING, solver_order=order)
    levels = sigmas(schedule, n, SCHEDULE)
    check_in_log_snr(theirs, lambda *run: unipc(*run, order=order), levels, TIGHT)


def test_unipc_has_diffusers_default_order():
    default = inspect.signature(unipc).parameters["order"].default
    assert scheduler("UniPCMultistep").config.solver_order == default


@pytest.mark.parametrize("n", [1, 2, 4, 8])
@pytest.mark.parametrize(
    ("scaling", "tolerance"),
    [
        (1e9, TIGHT),  # without boundary scalings
        (10.0, 1e-6),  # with diffusers' own
    ],
)
def test_diffusers_lcm(n, scaling, tolerance, monkeypatch):
    draw_as_ours(monkeypatch, "lcm")
    theirs, network = scheduler("LCM", timestep_scaling=scaling), RandomNetwork()
    levels = sigmas("lcm", n, SCHEDULE)
    theirs.set_timesteps(n)
    x = normal()
    for t in theirs.timesteps:
        x = theirs.step(network(x, int(t)), t, x).prev_sample
    mine = end(SAMPLERS["lcm"], start(None, normal(), levels[0]), levels, noise=Draws())
    assert_close(mine, x, tolerance)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("eta", [0.0, 0.3, 0.75, 1.0])
def test_diffusers_tcd(n, eta, monkeypatch):
    draw_as_ours(monkeypatch, "tcd")
    theirs, network = scheduler("TCD"), RandomNetwork()
    theirs.set_timesteps(n)
    x = normal()
    for t in theirs.timesteps:
        x = theirs.step(network(x, int(t)), t, x, eta=eta).prev_sample
    levels = [*sigmas("lcm", n, SCHEDULE)[:-1], SCHEDULE.sigma_min]
    begin = start(None, normal(), levels[0])
    options = {"eta": eta, "noise": Draws(), "schedule": SCHEDULE}
    mine = end(SAMPLERS["tcd"], begin, levels, **options)
    assert_close(finish(mine, levels[-1]), x, TIGHT)


@pytest.mark.parametrize("schedule", ["uniform", "karras"])
@pytest.mark.parametrize("n", [2, 3, 20])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_diffusers_deis(order, n, schedule):
    theirs = scheduler("DEISMultistep", solver_order=order, lower_order_final=False)
    levels = sigmas(schedule, n, SCHEDULE)
    levels = levels if levels[-1] else levels[:-1]  # theirs has no step to 0
    check_in_log_snr(theirs, lambda *run: deis(*run, order=order), levels, TIGHT)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_sd_turbo_is_euler_on_trailing_steps(n):
    theirs, network = scheduler("EulerDiscrete", **TRAILING), RandomNetwork()
    theirs.set_timesteps(n)
    levels = sigmas("trailing", n, SCHEDULE)
    x = normal() * levels[0]
    for t in theirs.timesteps:
        eps = network(theirs.scale_model_input(x, t).double(), float(t))
        x = theirs.step(eps, t, x).prev_sample.double()
    assert_close(end(SAMPLERS["euler"], normal() * levels[0], levels), x, FLOAT32_LEVELS)


# -- the original -----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 4, 5, 8, 10, 20, 25, 40, 50, 100, 200, 500])
@pytest.mark.parametrize("eta", [0.0, 0.7, 1.0])
@pytest.mark.slow
def test_original_ddim(n, eta):
    theirs = compvis.ddim(RandomNetwork(), normal(), n, eta, Draws())
    levels = sigmas("uniform", n, SCHEDULE)
    begin = start(None, normal(), levels[0])
    mine = end(SAMPLERS["ddim"], begin, levels, eta=eta, noise=Draws())
    assert_close(finish(mine, levels[-1]), theirs, TIGHT)


@pytest.mark.parametrize("n", [2, 4, 5, 8, 10, 20, 25, 40, 50, 100, 200, 500])
def test_original_plms(n):
    theirs = compvis.plms(RandomNetwork(), normal(), n)
    levels = sigmas("uniform", n, SCHEDULE)
    mine = end(SAMPLERS["plms"], start(None, normal(), levels[0]), levels)
    assert_close(finish(mine, levels[-1]), theirs, TIGHT)
