"""Runs that compute the deep blocks of the UNet at some steps alone, against the same steps taken
with the blocks of diffusers' UNet, called by hand.

Largest absolute error of the latents: 1e-4 of the largest, of six steps in float32.
"""

import gc
import itertools
import weakref
from dataclasses import replace

import pytest
import torch
from helpers import tiny_controls as tiny
from helpers.copied_graph import recorded
from helpers.guided_request import CFG, SIZE, STEPS, asked
from oracles import diffusers_deep as deep
from oracles import tiny_pipeline
from PIL import Image

import sdnb
from sdnb.engine.diffusion.noise import Noise
from sdnb.engine.diffusion.schedule import sigmas
from sdnb.engine.stages.deep_cache import DeepCache
from sdnb.request.memory_plan import MemoryPlan

pytestmark = pytest.mark.picture

LEANEST = {"unet": "stream", "tile": 64, "store": "host", "together": False, "chunk": 64}
#: Of each call of the UNet: all of it (w), or the outer blocks alone (s).
WAYS = [(2, "wswsws"), (3, "wsswss"), (5, "wssssw")]


@pytest.fixture(scope="module")
def model(model_of_oracle):
    yield model_of_oracle
    model_of_oracle.ask(None)


@pytest.fixture
def calls(model, monkeypatch):
    """What each call of the UNet computes, and of how many texts: "w2", "s1"."""
    found, whole = [], model.unet.forward

    def noted(x, t, text, *others, kept=None, **how):
        found.append(f"{'w' if kept is None else 's'}{len(text[0][0]) // len(x)}")
        return whole(x, t, text, *others, kept=kept, **how)

    monkeypatch.setattr(model.unet, "forward", noted)
    return found


def run(model, request):
    return sdnb.generate(model, request, progress=False)


def near(result, truth):
    (ours,) = result.latents
    assert truth.std() > 0.1
    assert (ours - truth).abs().max() <= 1e-4 * max(1, truth.abs().max())


class ByHand:
    """The guided prediction of noise, pass by pass."""

    def __init__(self, model, oracle, way):
        self.model, self.unet, self.way = model, oracle.unet, iter(way)
        texts = [oracle.encode_prompt(w, "cpu", 1, False)[0] for w in ("blurred", "a fox")]
        self.texts, self.kept = torch.cat(texts), None

    def __call__(self, x, sigma):
        t, both = self.model.schedule.sigma_to_t(sigma), torch.cat([x, x]) / (1 + sigma**2) ** 0.5
        if next(self.way) == "w":
            out, self.kept = deep.whole(self.unet, both, t, self.texts)
            plain = self.unet(both, t, encoder_hidden_states=self.texts).sample
            assert (out - plain).abs().max() <= 1e-5  # the oracle is diffusers'
        else:
            out = deep.shallow(self.unet, both, t, self.texts, self.kept)
        without, words = out.chunk(2)
        return without + CFG * (words - without)


@torch.inference_mode()
def by_hand(model, oracle, way, sampler="euler"):
    """The latent of Euler's or of Heun's steps, which have two passes, the last of them one."""
    predict, levels = ByHand(model, oracle, way), sigmas("karras", STEPS, model.schedule)
    x = Noise([5], model.latent_shape(SIZE, SIZE))() * (1 + levels[0] ** 2) ** 0.5
    for high, low in itertools.pairwise(levels):
        slope = predict(x, high)
        ahead = x + slope * (low - high)
        if sampler == "heun" and low > 0 and low != levels[-1]:
            slope = (slope + predict(ahead, low)) / 2
        x = x + slope * (low - high)
    return x[0]


@pytest.mark.parametrize(("every", "way"), WAYS)
def test_steps_are_those_by_hand(model, oracle, calls, every, way):
    result = run(model, asked(deep_every=every))
    near(result, by_hand(model, oracle, way))
    assert calls == [f"{taken}2" for taken in way]
    assert result.notes == ()


def test_a_sampler_of_two_passes_takes_both_alike(model, oracle, calls):
    result = run(model, asked(deep_every=2, sampler="heun"))
    assert calls == ["w2", "w2", "s2", "s2", "w2", "w2", "s2", "s2", "w2", "w2", "s2"]
    near(result, by_hand(model, oracle, "wwsswwsswws", "heun"))
    run(model, asked(deep_every=2, sampler="plms"))
    assert calls[11:] == ["w2", "w2", "s2", "w2", "s2", "w2", "s2"]  # the first one has two


def test_every_step_is_off(model, calls):
    assert torch.equal(run(model, asked(deep_every=1)).latents[0], run(model, asked()).latents[0])
    assert calls == ["w2"] * 2 * STEPS


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m"])
def test_plans_make_the_same_picture(model, oracle, sampler):
    """Offloaded, streamed, with one text at a time: bit for bit, by bands of rows to rounding."""
    request = asked(deep_every=3, sampler=sampler, cfg_every=2)
    truth = run(model, request).latents[0]
    plans = [
        {"together": True, "unet": "stream"},
        {"together": True, "unet": "offload"},
        {"together": True, "unet": "file", "keep": 0.0},
        {"together": False},
        {"together": False, "unet": "stream"},
    ]
    made = []
    for fields in plans:
        model.ask(MemoryPlan(device="cpu", **fields))
        made.append(run(model, request).latents[0])
    model.ask(MemoryPlan(device="cpu", **LEANEST))
    lean = run(model, request).latents[0]
    model.ask(None)
    assert torch.equal(made[0], truth)
    assert torch.equal(made[1], truth)
    assert torch.equal(made[2], truth)
    assert torch.equal(made[4], made[3])
    near_to = 1e-4 * truth.abs().max()
    assert all((each - truth).abs().max() <= near_to for each in (made[3], lean))


def test_a_shallow_pass_streams_its_own_blocks_alone(model, monkeypatch):
    from sdnb.engine.memory import Streamed

    copied, whole = [], Streamed._copy
    monkeypatch.setattr(
        Streamed, "_copy", lambda self, unit, last: (copied.append(unit), whole(self, unit, last))
    )
    model.ask(MemoryPlan(device="cpu", unet="stream", keep=0.0))
    units = len([m for m in model.unet.execution_order() if [*m.parameters()]])
    short = len([m for m in model.unet.shallow_order() if [*m.parameters()]])
    run(model, asked(deep_every=3))
    model.ask(None)
    assert short < units / 3
    ahead = len(copied) - (2 * units + 4 * short)
    assert 0 <= ahead < units  # what was copied before it was known that passes differ


@pytest.mark.parametrize("together", [True, False])
def test_recorded_steps_take_turns(model, monkeypatch, together):
    """Each reads its own texts and what was kept, also in a second run, and those of a schedule."""
    fields = {"deep_every": 3, "cfg_start": 0.1, "cfg_every": 2}
    prompts = "a fox", "a [fox:owl:0.5]"
    requests = [asked(**fields, syntax="a1111").but(prompt=words) for words in prompts]
    model.ask(MemoryPlan(device="cpu", together=together))
    truth = [run(model, request).latents[0] for request in requests]
    graphs = recorded(monkeypatch)
    for request, its in zip(requests, truth, strict=True):
        assert torch.equal(run(model, request).latents[0], its)
    assert len(graphs) > 4
    model.ask(None)


@pytest.mark.parametrize(
    ("fields", "way"),
    [
        # Both guesses at each second step, and the prompt's alone between them: what all texts kept
        # serves it, too.
        ({"deep_every": 2, "cfg_every": 2}, "w2 s1 w2 s1 w2 s1"),
        ({"deep_every": 3, "cfg_every": 2}, "w2 s1 s2 w1 w2 s1"),
        ({"deep_every": 2, "cfg_start": 0.5}, "w1 s1 w1 w2 s2 w2"),
        ({"deep_every": 6, "cfg_end": 0.5}, "w2 s2 s2 s2 s1 s1"),
        ({"deep_every": 3, "cfg": 1, "negative": ""}, "w1 s1 s1 w1 s1 s1"),
        ({"deep_every": 6, "syntax": "a1111", "prompt": "a [fox:owl:0.5]"}, "w2 s2 s2 s2 w2 s2"),
    ],
)  # fmt: skip
def test_what_was_kept_of_other_texts_is_not_used(model, calls, fields, way):
    run(model, asked(**fields))
    assert " ".join(calls) == way


def test_steps_under_control_are_whole_and_said(model, tmp_path, calls):
    net = tiny.written(
        "cropped", tmp_path, tiny.weights(replace(tiny.NET, unet=tiny_pipeline.CONFIG.unet)), {}
    )
    control = sdnb.Control(str(net), Image.effect_noise((SIZE, SIZE), 90), end=0.4)
    result = run(model, asked(deep_every=2, controls=[control]))
    assert calls == ["w2", "w2", "w2", "w2", "s2", "w2"]
    assert "deep_every leaves nothing out of the steps at which a control" in result.notes[0]
    calls.clear()
    always = asked(deep_every=2, controls=[replace(control, end=1.0)])
    result = run(model, always)
    assert calls == ["w2"] * STEPS
    assert result.notes[0].startswith("deep_every=2 leaves nothing out of any step: control")
    assert torch.equal(result.latents[0], run(model, always.but(deep_every=1)).latents[0])
    short = run(model, asked(deep_every=2, steps=1))
    assert any("the run is too short" in note for note in short.notes)


def test_what_is_kept_goes_with_the_run(model, monkeypatch):
    caches, kept, keep = set(), [], DeepCache.keep

    def noted(self, reads, set_index, features):
        caches.add(id(self))
        kept.extend(weakref.ref(each) for each in features)
        keep(self, reads, set_index, features)

    monkeypatch.setattr(DeepCache, "keep", noted)

    def left():
        gc.collect()
        return [ref for ref in kept if ref() is not None]

    run(model, asked(deep_every=2, count=2))
    assert len(kept) == 6  # each picture its own
    assert not left()
    steps = sdnb.run(model, asked(deep_every=4))
    for at in steps:
        if at.step == 2:
            break
    assert left()
    steps.close()
    assert not left()
    whole, count = model.unet.forward, itertools.count()

    def fails(*args, **how):
        if next(count) == 2:
            raise ValueError("out of paint")
        return whole(*args, **how)

    monkeypatch.setattr(model.unet, "forward", fails)
    with pytest.raises(ValueError, match="out of paint"):
        run(model, asked(deep_every=4))
    assert not left()


def test_a_run_that_steps_down_goes_on_with_a_whole_pass(model, monkeypatch, calls):
    """Memory runs out at a shallow step: what was kept is given back with the plan."""
    whole, count = model.unet.forward, itertools.count()

    def fails(*args, **how):
        if next(count) == 2:
            raise torch.OutOfMemoryError("no room. none")
        return whole(*args, **how)

    monkeypatch.setattr(model.unet, "forward", fails)
    monkeypatch.setattr("sdnb.engine.stages.predictor.leaner", lambda plan: plan)
    run(model, asked(deep_every=4))
    assert calls == ["w2", "s2", "w2", "s2", "w2", "s2"]
