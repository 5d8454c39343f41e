"""Runs in which guidance works at some steps, or its guess without words is used again, against the
same steps taken by hand with diffusers' UNet.

Largest absolute error of the latents: 1e-4 of the largest, of six steps in float32.
"""

import itertools
from dataclasses import replace

import pytest
import torch
from helpers import tiny_controls as tiny
from helpers.copied_graph import recorded
from helpers.guided_request import CFG, SIZE, STEPS, asked
from oracles import tiny_pipeline
from PIL import Image

import sdnb
from sdnb.engine.diffusion.noise import Noise
from sdnb.engine.diffusion.schedule import sigmas
from sdnb.request.guidance_steps import GuidanceSteps
from sdnb.request.memory_plan import MemoryPlan

pytestmark = pytest.mark.picture

LEANEST = {"unet": "stream", "tile": 64, "store": "host", "together": False, "chunk": 64}
# What each step takes: both guesses (g), the prompt's and the distance of the last both (k), or the
# prompt's alone, without guidance (p).
WAYS = [
    ({"cfg_every": 2}, "gkgkgk"),
    ({"cfg_every": 4}, "gkkkgk"),
    ({"cfg_end": 0.5}, "ggggpp"),  # steps are 0, 1/6, 2/6 ... of the run, and 3/6 is in
    ({"cfg_start": 0.3}, "ppgggg"),
    ({"cfg_start": 0.1, "cfg_end": 0.7, "cfg_every": 3}, "pgkkgp"),
]


@pytest.fixture(scope="module")
def model(model_of_oracle):
    return model_of_oracle


@pytest.fixture
def reads(model, monkeypatch):
    """How many texts each call of the UNet reads."""
    found, whole = [], model.unet.forward

    def noted(x, t, text, *others):
        found.append(len(text[0][0]) // len(x))
        return whole(x, t, text, *others)

    monkeypatch.setattr(model.unet, "forward", noted)
    return found


@torch.inference_mode()
def by_hand(model, oracle, way, rescale=0.0):
    """The latent of Euler's steps."""
    empty, words = (oracle.encode_prompt(w, "cpu", 1, False)[0] for w in ("blurred", "a fox"))
    levels = sigmas("karras", STEPS, model.schedule)
    x = Noise([5], model.latent_shape(SIZE, SIZE))() * (1 + levels[0] ** 2) ** 0.5
    distance = None
    for taken, (high, low) in zip(way, itertools.pairwise(levels), strict=True):
        t, scaled = model.schedule.sigma_to_t(high), x / (1 + high**2) ** 0.5
        eps = cond = oracle.unet(scaled, t, encoder_hidden_states=words).sample
        if taken == "g":
            distance = cond - oracle.unet(scaled, t, encoder_hidden_states=empty).sample
        if taken != "p":
            eps = cond + (CFG - 1) * distance
            eps = eps * (rescale * cond.std() / eps.std() + 1 - rescale)
        x = x + eps * (low - high)
    return x[0]


def near(result, truth):
    (ours,) = result.latents
    assert truth.std() > 0.1
    assert (ours - truth).abs().max() <= 1e-4 * max(1, truth.abs().max())


def run(model, request):
    return sdnb.generate(model, request, progress=False)


@pytest.mark.parametrize(("fields", "way"), WAYS)
def test_steps_are_those_by_hand_and_leave_passes_out(model, oracle, reads, fields, way):
    result = run(model, asked(**fields))
    near(result, by_hand(model, oracle, way))
    assert reads == [2 if taken == "g" else 1 for taken in way]
    assert result.notes == ()
    passes = GuidanceSteps.of(result.request, STEPS, 2).passes
    assert passes == pytest.approx(sum(reads) / STEPS)
    model.ask(MemoryPlan(device="cpu", **LEANEST))
    reads.clear()
    near(run(model, asked(**fields)), by_hand(model, oracle, way))
    model.ask(None)
    assert len(reads) == sum(2 if taken == "g" else 1 for taken in way)


@pytest.mark.parametrize("together", [True, False])
def test_recorded_steps_take_turns(model, monkeypatch, together):
    """Each reads its own texts, also in a second run, and those of a schedule."""
    plan = MemoryPlan(device="cpu", together=together)
    fields = {"cfg_start": 0.1, "cfg_end": 0.7, "cfg_every": 3}
    prompts = "a fox", "a [fox|owl]"
    requests = [asked(**fields, syntax="a1111").but(prompt=words) for words in prompts]
    model.ask(plan)
    truth = [run(model, request).latents[0] for request in requests]
    graphs = recorded(monkeypatch)
    for request, its in zip(requests, truth, strict=True):
        assert torch.equal(run(model, request).latents[0], its)
    assert len(graphs) == 2 * 2  # of both texts apart, and of the prompt alone
    model.ask(None)


def test_a_sampler_of_two_passes_takes_both_alike(model, reads):
    run(model, asked(sampler="heun", cfg_every=2))
    assert reads == [2, 2, 1, 1, 2, 2, 1, 1, 2, 2, 1]  # the last step has one
    run(model, asked(sampler="plms", cfg_every=2))
    assert reads[11:] == [2, 2, 1, 2, 1, 2, 1]  # the first one has two


def test_guidance_by_a_kept_distance_is_rescaled_too(model, oracle):
    near(run(model, asked(cfg_rescale=0.7, cfg_every=2)), by_hand(model, oracle, "gkgkgk", 0.7))
    truth = by_hand(model, oracle, "ggggpp", 0.7)
    near(run(model, asked(cfg_rescale=0.7, cfg_end=0.5)), truth)


@pytest.mark.parametrize("mode", ["balanced", "prompt", "control"])
def test_where_nothing_guides_it_is_cfg_1_with_control_too(model, tmp_path, mode):
    """Where no step has guidance, and where the negative prompt is the prompt; a network that works
    on the prompt alone tells both apart then.
    """
    unet = tiny_pipeline.CONFIG.unet
    net = tiny.written("cropped", tmp_path, tiny.weights(replace(tiny.NET, unet=unet)), {})
    adapter, _ = tiny.t2i("its own", tmp_path, replace(tiny.FULL, channels=unet.channels))
    image = Image.effect_noise((SIZE, SIZE), 90)
    controls = [sdnb.Control(str(path), image, mode=mode) for path in (net, adapter)]
    free = asked(cfg=1, negative="", controls=controls)
    truth = run(model, free).latents[0]
    assert (truth - run(model, free.but(controls=())).latents[0]).abs().max() > 0.1
    ways = [{"cfg_start": 0.9}]
    if mode != "control":
        ways += [{"cfg_every": 2}, {"cfg_end": 0.4}]
    for together in (True, False):
        model.ask(MemoryPlan(device="cpu", together=together))
        for way in ways:
            ours = run(model, free.but(cfg=CFG, negative="a fox", **way)).latents[0]
            assert (ours - truth).abs().max() <= 1e-4 * truth.abs().max()
    model.ask(None)


def test_prompts_that_and_joins_lose_their_guidance_and_save_nothing(model, reads):
    words = {"prompt": "a fox AND an owl:0.5", "syntax": "a1111"}
    result = run(model, asked(cfg_end=0.4, **words))
    assert reads == [3] * STEPS
    assert any("save no time with AND" in note for note in result.notes)
    cut = run(model, asked(cfg_start=0.9, cfg_end=0.95, **words))
    assert any(note.startswith("No step has guidance") for note in cut.notes)
    near(cut, run(model, asked(cfg=1, **words)).latents[0])


def test_what_has_no_effect_is_said(model):
    result = run(model, asked(cfg=1, negative="", cfg_every=2))
    assert result.notes == (
        "cfg_start, cfg_end and cfg_every have no effect where nothing guides.",
    )
    with pytest.raises(ValueError, match=r"cfg_start=0\.5 is behind cfg_end=0\.25"):
        asked(cfg_start=0.5, cfg_end=0.25)
