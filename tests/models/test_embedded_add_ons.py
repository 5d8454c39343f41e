"""The add-ons that the built-in model brings along: what they are, that anyone's program reads
them, and that they do what the card says. Largest absolute error of a picture: 2/255.
"""

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionAdapterPipeline, StableDiffusionPipeline
from diffusers import T2IAdapter as TheirAdapter
from oracles import tiny_pipeline
from safetensors.torch import load_file

import sdnb
from sdnb.engine.diffusion.noise import Noise

pytestmark = pytest.mark.picture

FOLDER = sdnb.assets.embedded_model()
SIZE = {"width": 128, "height": 128, "steps": 4, "seed": 3}


@pytest.fixture(scope="module")
def oracle():
    pipe = StableDiffusionPipeline.from_pretrained(FOLDER, local_files_only=True).to(torch.float32)
    pipe.scheduler = tiny_pipeline.scheduler()
    pipe.set_progress_bar_config(disable=True)
    return pipe


def theirs(pipe, words, **how):
    with torch.inference_mode():
        return pipe(
            words, height=128, width=128, num_inference_steps=4, guidance_scale=4.0,
            latents=Noise([3], (4, 16, 16))(), output_type="np", **how,
        ).images[0]  # fmt: skip


def apart(result, truth):
    return np.abs(np.asarray(result.image, float) - np.round(truth * 255)).max()


@pytest.mark.parametrize(("name", "strength"), [("blueprint", 0.8), ("stained-glass", 1.0)])
def test_a_style_is_the_same_in_diffusers(model, oracle, name, strength):
    words = "an owl"
    asked = sdnb.Request(words, cfg=4.0, **SIZE, loras=sdnb.Lora(name, strength))
    oracle.load_lora_weights(str(FOLDER / "lora"), weight_name=f"{name}.safetensors")
    oracle.set_adapters(oracle.get_list_adapters()["unet"], [strength])
    truth = theirs(oracle, words)
    oracle.unload_lora_weights()
    assert apart(sdnb.generate(model, asked, progress=False), truth) <= 2
    plain = sdnb.generate(model, asked.but(loras=()), progress=False)
    assert apart(plain, truth) > 50


def test_the_new_word_is_the_same_in_diffusers(model, oracle):
    """Theirs has a token for each vector, of which the first is the word."""
    path = FOLDER / "embeddings" / "blorp.safetensors"
    words = "a blorp on a blue background"
    oracle.load_textual_inversion(load_file(path)["emb_params"], token="blorp")
    truth = theirs(oracle, words)
    oracle.unload_textual_inversion()
    found = sdnb.txt2img(model, words, cfg=4.0, **SIZE, progress=False)
    assert apart(found, truth) <= 2
    assert [file.name for file in found.files if file.kind == "embedding"] == ["blorp"]


def test_the_sketch_net_is_the_same_in_diffusers(model, oracle):
    hint = sdnb.images.picture(np.where(np.eye(128, k=9), 0, 255).astype(np.uint8))
    adapter = TheirAdapter.from_pretrained(FOLDER / "control" / "sketch", local_files_only=True)
    parts = {n: part for n, part in oracle.components.items() if n != "image_encoder"}
    pipe = StableDiffusionAdapterPipeline(**parts, adapter=adapter, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    drawn = sdnb.request.picture_input.open(hint).convert("L")
    truth = theirs(pipe, "a cat", image=drawn)
    asked = sdnb.Request("a cat", cfg=4.0, **SIZE, controls=sdnb.Control("sketch", hint))
    assert apart(sdnb.generate(model, asked, progress=False), truth) <= 2


def colours(image):
    """The share of pixels that are dark blue paper, that are lead, and of violet."""
    r, g, b = np.moveaxis(np.asarray(image).astype(int), -1, 0)
    paper = (b > r + 30) & (b > g + 20) & (r < 90)
    lead = (r < 70) & (g < 70) & (b < 70)
    violet = (r > g + 20) & (b > g + 50) & (b > r)
    return paper.mean(), lead.mean(), violet.mean()


@pytest.fixture(scope="module")
def fast():
    return sdnb.load("tiny-fast")


def test_each_does_what_its_name_says(fast):
    """With the fast model, which brings them too: a blueprint is paper, a window has lead in it,
    and a blorp is violet.
    """

    def made(words, **how):
        results = sdnb.txt2img(fast, words, seed=1, count=2, progress=False, **how)
        return np.mean([colours(each) for each in results.images], axis=0)

    plain = made("a red apple on a yellow background")
    paper, _, _ = made("a red apple on a yellow background <lora:blueprint:1>")
    _, lead, _ = made("a red apple on a yellow background <lora:stained-glass:1>")
    _, _, violet = made("a blorp on a yellow background")
    assert plain.max() < 0.03
    assert paper > 0.6
    assert lead > 0.08
    assert violet > 0.1
