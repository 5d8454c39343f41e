"""Prompts over a run, against the same steps taken by hand with diffusers' UNet.

Largest absolute error of the latents: 1e-4 of the largest, of four steps in float32.
"""

import itertools

import pytest
import torch
from helpers.copied_graph import recorded

import sdnb
from sdnb.engine import pipeline
from sdnb.engine.diffusion.noise import Noise
from sdnb.engine.diffusion.schedule import sigmas
from sdnb.request.memory_plan import MemoryPlan

pytestmark = pytest.mark.picture

SIZE, STEPS = 64, 4


@pytest.fixture(scope="module")
def model(model_of_oracle):
    return model_of_oracle


def request(prompt, **fields):
    given = {"width": SIZE, "height": SIZE, "steps": STEPS, "cfg": 7.5, "seed": 5,
             "sampler": "euler", "syntax": "a1111"}  # fmt: skip
    return sdnb.Request(prompt, **{**given, **fields})


@torch.inference_mode()
def by_hand(model, oracle, texts, sampler="euler", negative=""):
    """The latent of Euler's or Heun's steps; `texts` are, for each call, (scale, text) pairs."""
    calls = iter(texts)

    def encode(words):
        return oracle.encode_prompt(words, "cpu", 1, False)[0]

    def derivative(x, sigma):
        t, scaled = model.schedule.sigma_to_t(sigma), x / (1 + sigma**2) ** 0.5
        uncond = oracle.unet(scaled, t, encoder_hidden_states=encode(negative)).sample
        eps = uncond
        for scale, words in next(calls):
            cond = oracle.unet(scaled, t, encoder_hidden_states=encode(words)).sample
            eps = eps + scale * (cond - uncond)
        return eps  # (x - x0) / sigma

    levels = sigmas("karras", STEPS, model.schedule)
    x = Noise([5], model.latent_shape(SIZE, SIZE))() * (1 + levels[0] ** 2) ** 0.5
    for high, low in itertools.pairwise(levels):
        d = derivative(x, high)
        to = x + d * (low - high)
        if sampler == "heun" and low > 0:
            to = x + (d + derivative(to, low)) / 2 * (low - high)
        x = to
    assert next(calls, None) is None
    return x[0]


def near(result, truth):
    (ours,) = result.latents
    assert truth.std() > 0.1
    assert (ours - truth).abs().max() <= 1e-4 * max(1, truth.abs().max())


def one(text):
    return [(7.5, text)]


@pytest.mark.parametrize(
    ("words", "sampler", "calls"),
    [
        ("a [fox:cat:0.5]", "euler", "a fox,a fox,a fox,a cat"),
        ("a [fox|cat]", "euler", "a fox,a fox,a cat,a fox"),
        # 8 calls are planned, and 7 come: the last step needs one.
        ("a [fox:cat:0.5]", "heun", "a fox,a fox,a fox,a fox,a fox,a cat,a cat"),
        ("a [fox:cat:2]", "heun", "a fox,a fox,a fox,a cat,a cat,a cat,a cat"),
    ],
)
def test_a_schedule_changes_the_context_at_its_call(model, oracle, words, sampler, calls):
    prepared = []
    prepare = model.unet.prepare
    model.unet.prepare = lambda context: prepared.append(1) or prepare(context)
    try:
        ours = sdnb.generate(
            model, request(words, sampler=sampler, schedule="karras"), progress=False
        )
    finally:
        del model.unet.prepare
    near(ours, by_hand(model, oracle, [one(text) for text in calls.split(",")], sampler))
    assert len(prepared) == 2  # once for each of the two contexts, however often they change


@pytest.mark.parametrize("words", ["a [fox|cat]", "a [fox:cat:0.5]", "a fox"])
def test_a_recorded_step_reads_the_context_of_its_call(model, monkeypatch, words):
    truth = sdnb.generate(model, request(words), progress=False).latents[0]
    graphs = recorded(monkeypatch)
    ours = sdnb.generate(model, request(words), progress=False)
    assert len(graphs) == 1
    assert torch.equal(ours.latents[0], truth)


LEANEST = {"unet": "stream", "tile": 64, "store": "host", "together": False, "chunk": 64}


@pytest.mark.parametrize("plan", [{"together": True}, {"together": False}, LEANEST])
def test_and_adds_what_each_prompt_asks_for(model, oracle, plan):
    model.ask(MemoryPlan(device="cpu", **plan))
    words = "a [fox|owl] AND a cat:0.5 AND fog:-0.2"
    ours = sdnb.generate(model, request(words, schedule="karras", negative="dark"), progress=False)
    model.ask(None)
    calls = [
        [(7.5, f"a {first}"), (3.75, "a cat"), (-1.5, "fog")]
        for first in ("fox", "fox", "owl", "fox")
    ]
    near(ours, by_hand(model, oracle, calls, negative="dark"))


@torch.inference_mode()
def test_a_repeated_context_is_the_same_to_the_unet(model):
    draw = torch.Generator().manual_seed(0)
    width = model.config.unet.context_dim
    context = torch.randn(2, 77, width, generator=draw)
    x = torch.randn(2, 4, 16, 16, generator=draw)
    once, thrice = (
        model.unet(x.clone(), 500.0, model.unet.prepare(context.repeat(1, k, 1))) for k in (1, 3)
    )
    assert once.std() > 0.1
    assert (once - thrice).abs().max() <= 1e-5


@pytest.mark.parametrize("together", [True, False])
def test_texts_of_unequal_length_share_a_pass_or_have_their_own(model, together):
    """The long one has 5 chunks, the other 2 or 3: in all, 10 or 15."""
    model.ask(MemoryPlan(device="cpu", together=together))
    words = request("cat " * 350, negative="fog " * 140, syntax="comfy")
    one = sdnb.generate(model, words, progress=False)
    model.ask(None)
    other = sdnb.generate(model, words, progress=False)
    near(one, other.latents[0])


def test_requests_are_alike_only_with_equally_many_texts(model):
    def alike(words, **fields):
        return pipeline.alike(request(words, **fields).resolved(model.settings))

    assert alike("a fox") == alike("a cat:0.7", negative="b " * 90, cfg=3)
    assert alike("a fox") == alike("a [fox|cat]")
    assert len({alike("a fox"), alike("a AND b"), alike("a", cfg=1), alike("a", clip_skip=2),
                alike("a", syntax="comfy")}) == 5  # fmt: skip


def test_requests_with_schedules_and_lengths_of_their_own_share_a_pass(model):
    asked = [
        request("a [fox:cat:0.5]"), request("cat " * 100, negative="fog " * 200),
        request("a [dog|owl|fox] in fog", seed=7, cfg=3),
    ]  # fmt: skip
    *_, last = pipeline.run_together(model, asked)
    for result, alone in zip(last.results, asked, strict=True):
        truth = sdnb.generate(model, alone, progress=False).latents[0]
        near(result, truth)
