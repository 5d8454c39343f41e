"""The whole path against diffusers' pipelines: same weights, same noise, fp32.

Tolerance: 1/255 on 99.9 % of the pixels. The weights are random, which is harder than trained ones:
nothing pulls the two computations together again once they part.
"""

import itertools
from contextlib import closing
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import (
    LCMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
)
from oracles import tiny_pipeline
from PIL import Image

import sdnb
from sdnb.engine import pipeline, pixels
from sdnb.engine.diffusion.noise import Noise
from sdnb.engine.stages import prompts
from sdnb.engine.stages.from_picture import from_picture
from sdnb.images.canvas import fit
from sdnb.images.inpaint_fill import filled
from sdnb.request.memory_plan import MemoryPlan
from sdnb.request.pace import Pace

SIZE = 96
# What each pipeline of diffusers is asked for.
STEPS = {"num_inference_steps": 20, "guidance_scale": 7.5, "output_type": "np"}


@pytest.fixture(scope="module")
def model(model_of_oracle):
    return model_of_oracle


def request(prompt="a red fox", **fields):
    given = {"width": SIZE, "height": SIZE, "steps": 20, "cfg": 7.5, "seed": 5, **fields}
    return sdnb.Request(prompt, **given)


def noise(seed=5, count=1):
    return Noise(range(seed, seed + count), (4, SIZE // 8, SIZE // 8))()


def picture(seed=0, size=(SIZE, SIZE)):
    """A smooth random picture: noise at an eighth of the size, enlarged."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (size[1] // 8 + 1, size[0] // 8 + 1, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def assert_same_pictures(ours, theirs):
    """`ours` PIL, `theirs` float arrays in 0..1."""
    for image, truth in zip(ours, theirs, strict=True):
        truth = np.round(truth * 255)
        assert truth.std() > 5  # not a flat picture that anything would match
        difference = np.abs(np.asarray(image, dtype=float) - truth).max(axis=-1)
        assert (difference <= 1).mean() >= 0.999, f"largest difference {difference.max()}"


@pytest.mark.parametrize("negative", ["", "blurred, dark"])
@pytest.mark.picture
def test_txt2img_equals_diffusers(model, oracle, negative):
    ours = sdnb.generate(model, request(negative=negative), progress=False)
    theirs = oracle(
        "a red fox",
        negative_prompt=negative,
        height=SIZE,
        width=SIZE,
        latents=noise(),
        **STEPS,
    )
    assert_same_pictures(ours.images, theirs.images)


@pytest.mark.picture
def test_few_steps_of_lcm_from_a_picture_equal_diffusers(model, oracle, monkeypatch):
    """All of the steps run at any strength, as in diffusers' own pipeline for LCM."""
    draws = Noise([5], (4, SIZE // 8, SIZE // 8))
    lcm = LCMScheduler.from_config(oracle.scheduler.config)
    of_strength = partial(lcm.set_timesteps, strength=0.5)
    monkeypatch.setattr(lcm, "set_timesteps", lambda n, device, **_: of_strength(n, device))
    parts = {**oracle.components, "scheduler": lcm}
    pipe = StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    pipe.get_timesteps = lambda *_: (lcm.timesteps, 4)
    image = "pipelines.stable_diffusion.pipeline_stable_diffusion_img2img"
    for name in ("schedulers.scheduling_lcm", image):
        monkeypatch.setattr(f"diffusers.{name}.randn_tensor", lambda *_, **__: draws())
    with torch.inference_mode():
        latent = model.vae.encode(pixels.tensor(picture()))
    few = {**STEPS, "num_inference_steps": 4, "guidance_scale": 1.5}
    theirs = pipe("a red fox", image=latent, strength=0.5, **few)
    png = sdnb.images.picture(picture())
    asked = request(steps=4, cfg=1.5, sampler="lcm", strength=0.5, image=png)
    assert_same_pictures(sdnb.generate(model, asked, progress=False).images, theirs.images)


@pytest.mark.picture
def test_rescaled_guidance_equals_diffusers(model, oracle):
    words = request(cfg_rescale=0.7)
    ours = sdnb.generate(model, words, progress=False)
    theirs = oracle(
        "a red fox", height=SIZE, width=SIZE, latents=noise(), guidance_rescale=0.7, **STEPS
    )
    assert_same_pictures(ours.images, theirs.images)
    with closing(pipeline.run_together(model, [words, words.but(cfg_rescale=0)])) as steps:
        *_, last = steps
    plain = sdnb.generate(model, request(), progress=False)
    for result, alone in zip(last.results, (ours, plain), strict=True):
        assert_same_pictures(result.images, [np.asarray(alone.images[0]) / 255])
    assert (np.asarray(ours.images[0]) != np.asarray(plain.images[0])).any()
    idle = sdnb.generate(model, words.but(cfg=1, steps=1), progress=False)
    assert any("cfg_rescale has no effect at cfg 1" in note for note in idle.notes)


@pytest.mark.picture
def test_weighted_prompt_equals_diffusers_given_the_averaged_embeddings(model, oracle):
    blocks = [("picture of", 1), ("small", 0.5), ("cat sitting on", 1), ("big", 2), ("dog", 1)]
    encoded = [oracle.encode_prompt(t, "cpu", 1, False)[0] * (w / 5.5) for t, w in blocks]
    theirs = oracle(
        prompt_embeds=sum(encoded),
        negative_prompt_embeds=oracle.encode_prompt("", "cpu", 1, False)[0],
        height=SIZE,
        width=SIZE,
        latents=noise(),
        **STEPS,
    )
    words = "picture of:1 small:0.5 cat sitting on:1 big:2 dog"
    ours = sdnb.generate(model, request(words), progress=False)
    assert_same_pictures(ours.images, theirs.images)


def test_weights_below_zero_lead_away_from_the_empty_prompt(model, oracle):
    """Shares of 1 and -1.5, and the empty prompt's 1.5: together 1, as of every context."""
    asked = request("a red apple:1 an owl:-1.5", cfg=1).resolved(model.settings)
    encoded = prompts.encode(model, asked)
    ((_, context),) = encoded.texts[0].stages
    apple, owl, empty = (
        oracle.encode_prompt(words, "cpu", 1, False)[0] for words in ("a red apple", "an owl", "")
    )
    assert (context - (apple - 1.5 * owl + 1.5 * empty)).abs().max() <= 1e-5
    assert any("cancel the others" in note for note in encoded.notes)


@pytest.mark.parametrize("strength", [0.25, 0.5, 0.75])
@pytest.mark.picture
def test_img2img_equals_diffusers(model, oracle, strength):
    """Given the same start latent: diffusers draws it from the posterior, sdnb takes its mean."""
    pipe = StableDiffusionImg2ImgPipeline(**oracle.components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    with torch.inference_mode():
        latent = model.vae.encode(pixels.tensor(picture()))
    theirs = pipe(
        "a red fox",
        image=latent,
        strength=strength,
        generator=torch.Generator().manual_seed(5),
        **STEPS,
    )
    png = sdnb.images.picture(picture())
    ours = sdnb.generate(model, request(image=png, strength=strength), progress=False)
    assert_same_pictures(ours.images, theirs.images)


@pytest.mark.picture
def test_nine_channel_inpainting_equals_diffusers(tmp_path):
    """On cells of 8 pixels, where both make the same latent mask; kept pixels are compared before
    the paste.
    """
    config = tiny_pipeline.CONFIG
    pipe = tiny_pipeline.build(replace(config, unet=replace(config.unet, in_channels=9)))
    pipe.save_pretrained(tmp_path)
    model = sdnb.load(tmp_path)
    assert model.config.unet.in_channels == 9
    mask = Image.new("L", (SIZE, SIZE))
    mask.paste(255, (16, 24, 64, 80))
    asked = request(image=sdnb.images.picture(picture()), mask=sdnb.images.mask(mask), strength=1.0)
    canvas, _ = fit(asked)
    with torch.inference_mode():
        hole = model.vae.encode(pixels.tensor(canvas.masked_picture()))
    inpaint = StableDiffusionInpaintPipeline(**pipe.components, requires_safety_checker=False)
    inpaint.set_progress_bar_config(disable=True)
    theirs = inpaint(
        "a red fox",
        image=picture(),
        mask_image=mask,
        masked_image_latents=hole,
        height=SIZE,
        width=SIZE,
        strength=1.0,
        latents=noise(),
        **STEPS,
    )
    ours = sdnb.generate(model, asked, progress=False)
    inside = (16, 24, 64, 80)
    assert_same_pictures(
        [image.crop(inside) for image in ours.images], [im[24:80, 16:64] for im in theirs.images]
    )
    with pytest.raises(ValueError, match=r"inpainting model.*image="):
        sdnb.generate(model, request(), progress=False)


@pytest.mark.parametrize("content", ["original", "noise", "fill"])
def test_the_masked_part_begins_from_the_content_asked_for(model, content):
    mask = Image.new("L", (SIZE, SIZE))
    mask.paste(255, (32, 32, 64, 64))
    given = picture(1)
    asked = request(image=sdnb.images.picture(given), mask=sdnb.images.mask(mask), content=content)
    canvas, _ = fit(asked.resolved(model.settings))
    found = from_picture(model, canvas, asked.strength, [])
    keep = torch.ones(1, 1, SIZE // 8, SIZE // 8)
    keep[..., 4:8, 4:8] = 0
    latent = model.vae.encode(pixels.tensor(given))
    wanted = {
        "original": latent,
        "noise": latent * keep,
        "fill": model.vae.encode(pixels.tensor(filled(given, mask))),
    }[content]
    assert (found.begin - wanted).abs().max() == 0
    assert (found.latent - latent).abs().max() == 0  # what is kept is the picture's own
    assert (found.mask - (1 - keep)).abs().max() == 0


@pytest.mark.parametrize("verb", [sdnb.inpaint, sdnb.img2img])
def test_what_was_taken_of_a_mask_with_transparency_is_a_note(model, verb):
    erased = picture(1).convert("RGBA")
    erased.paste((0, 0, 0, 0), (8, 8, 40, 40))
    result = verb(model, image=picture(1), mask=erased, strength=0, progress=False)
    assert "erased part" in result.notes[0]
    assert sdnb.images.open(result.request.mask).getbbox() == (8, 8, 40, 40)


@pytest.mark.parametrize(
    ("content", "strength", "gone"),
    [("original", 1.0, 1.0), ("original", 0.25, 0.25), ("noise", 0.25, 1.0), ("fill", 0.25, 1.0)],
)
def test_cells_that_are_white_in_part_are_mixed_with_the_filled_picture(
    model, content, strength, gone
):
    mask = Image.new("L", (SIZE, SIZE))
    mask.paste(255, (32, 32, 60, 64))  # the last column of cells is half white
    given = picture(1)
    fields = {"content": content, "strength": strength}
    asked = request(image=sdnb.images.picture(given), mask=sdnb.images.mask(mask), **fields)
    canvas, _ = fit(asked.resolved(model.settings))
    source = from_picture(model, canvas, strength, [])
    old, new = (model.vae.encode(pixels.tensor(p)) for p in (given, filled(given, mask)))
    rim = torch.zeros(1, 1, SIZE // 8, SIZE // 8)
    rim[..., 4:8, 7] = 1
    wanted = old + rim * gone * (new - old)
    assert (source.latent - wanted).abs().max() <= 1e-6
    assert (source.mask[..., 4:8, 7] - 0.5).abs().max() <= 1 / 255
    if content == "noise":
        assert (source.begin - wanted * (1 - source.mask)).abs().max() <= 1e-6


@pytest.mark.picture
def test_image_i_of_a_batch_is_the_image_of_that_seed(model, monkeypatch):
    model.ask(MemoryPlan(device="cpu", batch=2))
    try:
        calls, forward = [], model.unet.forward
        counted = lambda x, *rest: calls.append(len(x)) or forward(x, *rest)  # noqa: E731
        monkeypatch.setattr(model.unet, "forward", counted)
        batch = sdnb.generate(model, request(count=3, sampler="euler_a", steps=6), progress=False)
    finally:
        model.ask(None)
    assert len(batch.images) == 3
    assert calls == [2] * 6 + [1] * 6  # two passes of six steps
    for i, image in enumerate(batch.images):
        alone = request(seed=5 + i, sampler="euler_a", steps=6)
        alone = sdnb.generate(model, alone, progress=False).image
        difference = np.abs(np.asarray(image, dtype=int) - np.asarray(alone, dtype=int))
        assert difference.max() <= 2


@pytest.mark.picture
def test_guidance_together_and_apart_agree(model):
    together = sdnb.generate(model, request(count=2, steps=6), progress=False)
    model.ask(MemoryPlan(device="cpu", batch=1, together=False))
    try:
        apart = sdnb.generate(model, request(count=2, steps=6), progress=False)
    finally:
        model.ask(None)
    for one, other in zip(together.images, apart.images, strict=True):
        difference = np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int))
        assert difference.max() <= 1


@pytest.mark.parametrize(("cfg", "texts"), [(1, 1), (0, 1), (2, 2)])
def test_cfg_one_and_zero_cost_one_text(model, cfg, texts, monkeypatch):
    seen = []
    forward = model.unet.forward
    monkeypatch.setattr(
        model.unet,
        "forward",
        lambda x, t, text: seen.append(len(text[0][0])) or forward(x, t, text),
    )
    result = sdnb.generate(model, request(negative="dark", cfg=cfg, steps=3), progress=False)
    assert seen == [texts] * 3
    unused = {1: ["'dark' has no effect at cfg 1"], 0: ["'a red fox' has no effect at cfg 0"]}
    found = [note.partition(":")[0] for note in result.notes]
    assert found == unused.get(cfg, [])


@pytest.mark.picture
def test_strength_zero_returns_the_picture_and_one_equals_txt2img(model):
    png = sdnb.images.picture(picture())
    untouched = sdnb.generate(model, request(image=png, strength=0, count=2), progress=False)
    for image in untouched.images:
        assert np.array_equal(image, picture())
    assert any("Strength 0" in note for note in untouched.notes)
    whole = sdnb.generate(model, request(image=png, strength=1, steps=5), progress=False)
    words = sdnb.generate(model, request(steps=5), progress=False)
    assert np.array_equal(whole.image, words.image)


@pytest.mark.parametrize("sampler", sdnb.request.SAMPLERS)
@pytest.mark.picture
def test_every_sampler_repeats_itself_and_counts_its_steps(model, sampler):
    asked = request(sampler=sampler, steps=7, cfg=2)
    first, second = ([*sdnb.run(model, asked)] for _ in range(2))
    assert [p.step for p in first] == [*range(8), 7]
    assert [p.latent is None for p in first] == [True, *[False] * 7, True]
    assert all(p.total == 7 for p in first)
    assert np.array_equal(first[-1].result.image, second[-1].result.image)
    assert np.asarray(first[-1].result.image).std() > 5


def test_eta_for_a_sampler_without_noise_is_refused_before_any_work(model):
    with pytest.raises(ValueError, match=r"eta=0.5.*plms.*ddim"):
        sdnb.generate(model, request(sampler="plms", eta=0.5), progress=False)


@pytest.mark.picture
def test_breaking_off_and_failing_leave_the_model_usable(model, monkeypatch):
    truth = sdnb.generate(model, request(steps=4), progress=False)
    for at in sdnb.run(model, request(steps=4)):
        if at.step == 2:
            break
    forward, calls = model.unet.forward, []

    def interrupted(x, t, text):
        calls.append(t)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return forward(x, t, text)

    with monkeypatch.context() as patch:
        patch.setattr(model.unet, "forward", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sdnb.generate(model, request(steps=4), progress=False)
    assert len(calls) == 2  # stopped within the step
    again = sdnb.generate(model, request(steps=4), progress=False)
    assert np.array_equal(truth.image, again.image)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_an_unusable_prompt_is_refused_before_any_work(model, monkeypatch):
    monkeypatch.setattr(model.weights, "use", None)
    with pytest.raises(sdnb.prompt.PromptError, match="inf"):
        sdnb.generate(model, request("a cat:inf dog"), progress=False)


def test_what_stayed_text_is_said(model):
    notes = sdnb.generate(model, request("cat at 12:30 noon", steps=1), progress=False).notes
    assert any("12:30" in note for note in notes)


@pytest.mark.parametrize("size", [(64, 64), (72, 104), (200, 64)])
def test_any_multiple_of_eight_works(model, size):
    result = sdnb.generate(model, request(width=size[0], height=size[1], steps=2), progress=False)
    assert result.image.size == size


def test_resolved_request_makes_the_same_picture_again(model):
    first = sdnb.txt2img(model, "a fox", width=64, height=64, steps=3, progress=False)
    assert first.request.seed is not None
    again = sdnb.generate(model, first.request, progress=False)
    assert again.request == first.request
    assert np.array_equal(first.image, again.image)


def test_what_is_no_model_or_no_request_is_refused_in_words(model):
    with pytest.raises(TypeError, match=r"'a cat' is no model.*sdnb\.load"):
        sdnb.txt2img("a cat")
    with pytest.raises(TypeError, match="'a cat' is no Request"):
        sdnb.generate(model, "a cat")
    gone = sdnb.load()
    gone.unload()
    for use in (
        lambda: sdnb.txt2img(gone, "a cat"),
        lambda: gone.plan(request()),
        lambda: sdnb.decode(gone, [torch.zeros(4, 8, 8)]),
    ):
        with pytest.raises(ValueError, match="was unloaded"):
            use()


@pytest.mark.picture
def test_a_run_teaches_how_long_the_next_one_takes(model, monkeypatch):
    """By a clock that goes on by a second whenever it is read: the same again takes as long."""
    clock = itertools.count().__next__
    monkeypatch.setattr(pipeline, "time", SimpleNamespace(perf_counter=lambda: float(clock())))
    monkeypatch.setattr(model, "pace", Pace())
    asked = request(steps=4).resolved(model.settings)
    assert model.pace.seconds(asked) is None
    made = sdnb.generate(model, asked, progress=False)
    whole = made.seconds
    assert model.pace.seconds(asked) == pytest.approx(whole)
    more = asked.but(steps=14).resolved(model.settings)
    assert model.pace.seconds(more) == pytest.approx(whole + 10)
    with closing(sdnb.run(model, asked.but(steps=30, width=SIZE * 2))) as steps:
        for at in steps:
            if at.step == 3:
                break  # it was stopped, and its steps count
    wide = asked.but(steps=30, width=SIZE * 2).resolved(model.settings)
    assert model.pace.seconds(wide) >= 30


@pytest.mark.picture
@pytest.mark.parametrize("fit", ["crop", "fill", "fit"])
def test_a_picture_of_other_proportions_is_made_as_it_is_fitted(model, fit):
    wide = picture(size=(SIZE * 2, SIZE))
    fields = {"width": SIZE, "height": SIZE, "steps": 2, "strength": 0.5, "seed": 5}
    made = sdnb.img2img(model, "a fox", image=wide, fit=fit, progress=False, **fields)
    assert made.request.fit == fit
    size = (SIZE, SIZE // 2) if fit == "fit" else (SIZE, SIZE)
    assert made.image.size == size
    again = sdnb.generate(model, made.request, progress=False)
    assert again.image.tobytes() == made.image.tobytes()
    middle = wide.crop((SIZE // 2, 0, SIZE * 3 // 2, SIZE))
    alone = sdnb.img2img(model, "a fox", image=middle, progress=False, **fields)
    assert (alone.image.tobytes() == made.image.tobytes()) is (fit == "crop")


def test_the_borders_of_a_fill_are_made_anew_and_the_picture_is_kept(model):
    wide = picture(size=(SIZE, SIZE // 2))
    made = sdnb.inpaint(
        model, "a fox", image=wide, mask=Image.new("L", wide.size), fit="fill", width=SIZE,
        height=SIZE, steps=2, strength=1, progress=False,
    )  # fmt: skip
    pixels, rim = np.asarray(made.image), SIZE // 4
    assert np.array_equal(pixels[rim:-rim], np.asarray(wide))
    smeared = np.pad(np.asarray(wide), ((rim, rim), (0, 0), (0, 0)), mode="edge")
    assert np.abs(pixels[:rim].astype(int) - smeared[:rim]).mean() > 5
