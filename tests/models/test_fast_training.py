"""Training for few steps: what is learnt from, in closed form; the LoRA that is written, against
sdnb and diffusers with PEFT; and a trainer's first steps.
"""

import itertools
import math
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from test_training import catalog, data  # noqa: F401 - fixtures

import sdnb
from sdnb import assets
from sdnb.engine.diffusion.schedule import NoiseSchedule, sigmas
from sdnb.engine.networks.unet import UNet
from sdnb.library import few_steps
from sdnb.models.training import recipe, segments, train_fast
from sdnb.models.training.low_rank import LowRank
from sdnb.models.training.timed import TimedUNet

SCHEDULE = NoiseSchedule()
SPREAD, MEAN, CFG = 0.5, 0.3, 4.0  # of latents that are normal; a caption moves their mean


def gaussian(x, times, context):
    """The noise in states at unit variance, if latents are normal: mean 0 without a caption."""
    sigma = torch.tensor([SCHEDULE.t_to_sigma(float(t)) for t in times]).view(-1, 1, 1, 1)
    mean = MEAN * context[:, 0, 0].view(-1, 1, 1, 1)
    state = x * (1 + sigma**2).sqrt()
    return sigma * (state - mean) / (SPREAD**2 + sigma**2)


def way(start, first, last, cfg):
    """Where the ordinary differential equation leads from `start` at level `first`: guidance moves
    the mean cfg times as far, and the state shrinks towards it with the distribution's width.
    """
    mean = cfg * MEAN
    return mean + (start - mean) * math.sqrt((SPREAD**2 + last**2) / (SPREAD**2 + first**2))


def captioned(count):
    context = torch.zeros(count, 77, 1)
    context[:, 0] = 1
    return context, torch.zeros(1, 77, 1)


@pytest.mark.parametrize(
    ("sampler", "substeps", "most"),
    [("dpmpp_2m", 4, 0.02), ("dpmpp_2m", 16, 0.003), ("ddim", 4, 0.12), ("ddim", 64, 0.012)],
)
def test_a_teacher_comes_to_where_the_equation_leads(sampler, substeps, most):
    """At each segment's end, as a share of the deviation that states have there."""
    torch.manual_seed(0)
    context, empty = captioned(3)
    teacher = segments.Teacher(gaussian, SCHEDULE, CFG, sampler)
    for levels in segments.Cuts(SCHEDULE, "trailing", 4, substeps).levels:
        first, last = levels[0], levels[-1]
        start = way(torch.randn(64, 4, 2, 2)[:3] * 14.6, 14.6, first, CFG)
        end = teacher.walk(start, context, empty, levels)[-1]
        apart = (end - way(start, first, last, CFG)).square().mean().sqrt().item()
        assert apart < most * math.sqrt(SPREAD**2 + last**2)


@pytest.mark.parametrize("steps", [2, 4])
def test_segments_meet_at_the_levels_of_the_fast_run(steps):
    cuts = segments.Cuts(SCHEDULE, "trailing", steps, 3)
    assert [cuts.levels[0][0], *(levels[-1] for levels in cuts.levels)] == sigmas(
        "trailing", steps, SCHEDULE
    )
    for levels, times in zip(cuts.levels, cuts.times, strict=True):
        assert len(levels) == len(times) == 4
        is_last = levels[-1] == 0
        assert all(a > b for a, b in itertools.pairwise(times))
        assert np.allclose(np.diff(times), np.diff(times)[0]) == (not is_last)
        for level, time in zip(levels[:-1], times, strict=False):
            assert SCHEDULE.sigma_to_t(level) == pytest.approx(time)
    for one, other in itertools.pairwise(cuts.levels):
        assert one[-1] == other[0]


def _store(own, substeps=64, room=64, sampler="heun"):
    cuts = segments.Cuts(SCHEDULE, "trailing", 4, substeps)
    teacher = segments.Teacher(gaussian, SCHEDULE, CFG, sampler)
    batches = itertools.repeat(({}, torch.ones(4, 77, dtype=torch.int16)))
    store = segments.Segments(
        cuts, teacher, batches, lambda ids: ids[..., None].float(),
        empty=torch.zeros(77, dtype=torch.int64), room=room, shape=(4, 2, 2),
    )  # fmt: skip
    return store, store.renew(gaussian, own)


@pytest.mark.parametrize("between", [0.0, 1.0])
def test_a_step_with_the_slopes_comes_to_the_segment_s_end(between):
    """From its beginning, and from any state on the way, to what half precision leaves."""
    torch.manual_seed(0)
    store, _ = _store(own=0.0)
    assert store.filled == 16
    learnt = store.draw(200, between)
    stepped = learnt.states + learnt.slopes * (learnt.ends - learnt.sigmas).view(-1, 1, 1, 1)
    for i in range(200):
        expected = way(learnt.states[i], learnt.sigmas[i].item(), learnt.ends[i].item(), CFG)
        assert (stepped[i] - expected).abs().max() < 0.02 * (1 + learnt.ends[i])
    at_the_beginning = torch.isclose(learnt.sigmas, store.sigmas[learnt.segments, 0])
    assert at_the_beginning.all() if not between else not at_the_beginning.all()
    assert segments.errors(learnt.slopes, learnt).max() == 0
    off = segments.errors(learnt.slopes + 1, learnt)  # a known miss, at the end's unit variance
    lengths = (learnt.sigmas - learnt.ends) / (1 + learnt.ends**2).sqrt()
    assert torch.allclose(off, lengths**2, rtol=1e-4)


@pytest.mark.parametrize("own", [0.0, 1.0])
def test_a_walk_goes_on_from_the_teacher_s_end_or_the_pupil_s_own(own):
    torch.manual_seed(0)
    store, (noise, _, _) = _store(own)
    first, second = (
        store.at(torch.arange(4), torch.zeros(4, dtype=torch.int64)),
        store.at(torch.arange(4, 8), torch.zeros(4, dtype=torch.int64)),
    )
    sigma = store.cuts.ends[0]
    start = noise * math.sqrt(1 + sigma**2)
    assert (first.states - start).abs().max() < 0.01 * sigma
    context = captioned(4)[0]
    slopes = first.slopes
    if own:  # without guidance, in one step
        seen = torch.full((4,), sigma), torch.full((4,), 999.0)
        slopes = segments.noise_in(gaussian, start, *seen, context)
    came = start + slopes * (store.cuts.ends[1] - sigma)
    assert (second.states - came).abs().max() < 0.02 * store.cuts.ends[1]


def test_a_store_that_is_full_forgets_the_oldest():
    store, _ = _store(own=0.0, substeps=2, room=18)
    before = store.states.clone()
    store.renew(gaussian, 0.0)
    assert store.filled == 16  # a whole batch of each segment, or the beginning again
    assert not torch.equal(store.states[:16], before[:16])


# -- the LoRA ----------------------------------------------------------------------------------
def _small():
    config = recipe.tiny(512).unet
    torch.manual_seed(0)
    return TimedUNet(config).requires_grad_(False)


def test_gradients_come_to_the_matrices_as_autograd_has_them():
    """Of the whole UNet, with the sums in place of its weights."""
    unet = _small()
    lora = LowRank(unet, 2)
    torch.manual_seed(1)
    for up in lora.ups:
        torch.nn.init.normal_(up, std=0.05)
    x, t, context = torch.randn(2, 4, 8, 8), torch.tensor([900.0, 20]), torch.randn(2, 77, 256)
    layers = zip(lora.names, lora.downs, lora.ups, strict=True)
    sums = {
        name: (own := unet.get_parameter(name).detach().clone()) + (up @ down).view(own.shape)
        for name, down, up in layers
    }
    torch.func.functional_call(unet, sums, (x, t, context)).square().mean().backward()
    expected = [p.grad.clone() for p in lora.parameters()]
    lora.zero_grad()
    lora.lay()
    unet(x, t, context).square().mean().backward()
    lora.pull()
    for p, grad in zip(lora.parameters(), expected, strict=True):
        assert torch.allclose(p.grad, grad, atol=1e-5 * grad.abs().max().item() + 1e-9)
    assert all(p.grad is None for p in unet.parameters())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A LoRA of random numbers over the built-in model, as training writes it, and its UNet."""
    folder, config = assets.embedded_model(), recipe.of(assets.embedded_model() / "tokenizer")
    unet = TimedUNet(config.unet)
    recipe.load_part(unet, config, "unet", folder)
    torch.manual_seed(0)
    lora = LowRank(unet, 12)
    with torch.no_grad():
        for name, up, down in zip(lora.names, lora.ups, lora.downs, strict=True):
            torch.nn.init.normal_(up)  # the product is a seventh of the weight
            up *= 0.15 * unet.get_parameter(name).norm() / (up @ down).norm()
    path = tmp_path_factory.mktemp("lora") / "fruit.safetensors"
    lora.write(path, train_fast.metadata("fruit", 4))
    lora.read(path)  # to half precision
    lora.lay()
    return path, unet


def test_the_file_is_below_4_mb_and_brings_its_settings(written):
    path, _ = written
    assert path.stat().st_size <= 4_000_000
    file = few_steps.at(path)
    suits = few_steps.settings_of(file)
    assert (suits.steps, suits.cfg, suits.sampler, suits.schedule) == (4, 1.0, "ddim", "trailing")
    assert (file.kind, file.base, file.rank) == ("lora", "sd1", 12)
    with safe_open(path, "pt") as stored:
        assert stored.metadata()["ss_network_dim"] == "12"


@pytest.mark.picture
def test_the_written_lora_is_what_sdnb_lays_over(written):
    path, unet = written
    model = sdnb.load(memory="cpu", precision="full")
    asked = sdnb.Request("a pear", width=64, height=64, seed=1, loras=str(path))
    result = sdnb.generate(model, asked, progress=False)
    assert (result.request.steps, result.request.cfg) == (4, 1)
    for name, weight in model.unet.named_parameters():
        assert (weight - unet.get_parameter(name)).abs().max() < 1e-6


@pytest.mark.picture
def test_the_picture_is_that_of_diffusers_and_peft(written):
    """To 2/255."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    path, _ = written
    model = sdnb.load(memory="cpu", precision="full")
    ask = {"width": 128, "height": 128, "seed": 5, "progress": False}
    made = sdnb.txt2img(model, "a red apple", loras=str(path), **ask).image
    without = sdnb.txt2img(
        model, "a red apple", steps=4, cfg=1, sampler="ddim", schedule="trailing", **ask
    ).image
    pipe = StableDiffusionPipeline.from_pretrained(
        str(assets.embedded_model()), torch_dtype=torch.float32
    )
    pipe.scheduler = DDIMScheduler.from_config(
        pipe.scheduler.config, timestep_spacing="trailing", clip_sample=False,
        set_alpha_to_one=True, steps_offset=0,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    pipe.load_lora_weights(str(path.parent), weight_name=path.name)
    theirs = pipe(
        "a red apple", width=128, height=128, num_inference_steps=4, guidance_scale=1.0,
        generator=torch.Generator().manual_seed(5), output_type="np",
    ).images[0]  # fmt: skip
    ours, theirs = np.asarray(made, int), np.round(theirs * 255)
    assert np.abs(ours - theirs).max() <= 2
    assert np.abs(np.asarray(without, int) - ours).max() > 20  # the LoRA does something


def test_a_file_of_another_rank_or_for_another_model_is_refused(written):
    path, unet = written
    with pytest.raises(ValueError, match=r"rank 12 and 3 was asked: go on with rank 12"):
        LowRank(unet, 3).read(path)
    config = sdnb.engine.networks.config.UNetConfig(
        channels=(32, 64), attention_levels=(0,), head_width=16, context_dim=24, groups=8
    )
    with pytest.raises(ValueError, match=r"has 279 layers, of which \d+ are among the"):
        LowRank(UNet(config), 12).read(path)
    with pytest.raises(ValueError, match="rank is 0"):
        LowRank(unet, 0)


# -- the trainer -------------------------------------------------------------------------------
def _arguments(data, out, *more):  # noqa: F811
    return ["train", *map(str, [
        "--data", data, "--out", out, "--size", 64, "--batch", 2, "--fresh", 2, "--fill", 4,
        "--room", 8, "--workers", 0, "--warm", 1, "--steps", 2, "--substeps", 1,
        "--seconds", 0.01, *more])]  # fmt: skip


@pytest.mark.slow
def test_a_run_saves_and_another_goes_on_from_it(data, tmp_path, monkeypatch, capsys):  # noqa: F811
    out = tmp_path / "fruit.safetensors"
    monkeypatch.setattr(sys, "argv", _arguments(data, out))
    train_fast.main()
    assert "set aside: run" in capsys.readouterr().out
    trained = load_file(out)
    again = tmp_path / "more" / "fruit.safetensors"
    more = ["--init", out, "--seconds", 0, "--out", again]
    monkeypatch.setattr(sys, "argv", [*sys.argv, *map(str, more)])
    train_fast.main()
    same = load_file(again)
    assert same.keys() == trained.keys()
    assert all(torch.equal(same[name], tensor) for name, tensor in trained.items())
    assert any(trained[name].any() for name in trained if name.endswith("up.weight"))
    told = [line for line in capsys.readouterr().out.splitlines() if "set aside" in line]
    assert told[0].split("run")[1] == told[-1].split("run")[1]  # begins where the first ended
    model = sdnb.load(memory="cpu", precision="full")
    asked = sdnb.Request("a red apple", width=64, height=64, seed=1, loras=str(out))
    assert sdnb.generate(model, asked, progress=False).request.steps == 2


@pytest.mark.slow
def test_there_is_nothing_to_learn_from_oneself_and_something_from_guidance(
    data, tmp_path, monkeypatch  # noqa: F811
):  # fmt: skip
    """One step of Euler's without guidance is what the untrained model does; and a few steps learn
    better what a guided teacher does.
    """
    monkeypatch.setattr(sys, "argv", _arguments(data, tmp_path / "a", "--cfg", 1))
    args = train_fast._parser().parse_args([*sys.argv[1:], "--teacher", "ddim"])
    trainer = train_fast.FastTrainer(args, torch.device("cpu"))
    store = trainer.segments(_captions(args), 8)
    store.renew(trainer.fast, 0.0)
    trainer.lora.lay()
    assert trainer.loss(store.draw(4), trainer.fast).max() < 1e-3  # of half precision
    trainer.teacher.cfg = 4.0
    store.renew(trainer.fast, 0.0)
    learnt, losses = store.at(torch.arange(4, 8), torch.zeros(4, dtype=torch.int64)), []
    for _ in range(5):
        trainer.lora.lay()
        loss = trainer.loss(learnt).mean()
        loss.backward()
        trainer.lora.pull()
        trainer.optimiser.step(5e-3)
        losses.append(loss.item())
    assert losses[0] > 5e-3
    assert losses[-1] < 0.7 * losses[0]


def _captions(args):
    batches = train_fast.Batches(args.data, 2, seed=1, tokens=args.model / "tokenizer")
    return train_fast.stream(batches, 0)
