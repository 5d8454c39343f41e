"""Whole pictures with a tiny autoencoder as the VAE, against diffusers' pipelines on the same
random weights: 1/255 on 99.9 % of the pixels.
"""

import numpy as np
import pytest
from diffusers import StableDiffusionImg2ImgPipeline
from helpers import tiny_vaes
from oracles import tiny_pipeline
from PIL import Image
from safetensors.torch import save_file

import sdnb
from sdnb import images
from sdnb.engine.diffusion.noise import Noise
from sdnb.images.used_files import UsedFile
from sdnb.library import hashes

SIZE = 64
WORDS = {"width": SIZE, "height": SIZE, "steps": 4, "cfg": 7.5, "seed": 5}
# What diffusers' pipelines are asked for.
STEPS = {"num_inference_steps": 4, "guidance_scale": 7.5, "output_type": "np"}


@pytest.fixture(scope="module")
def oracle():
    pipe = tiny_pipeline.build()
    pipe.vae = tiny_vaes.diffusers(7)
    pipe.register_to_config(vae=("diffusers", "AutoencoderTiny"))
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def folder(oracle, tmp_path_factory):
    """The whole model as a folder, and its VAE beside it as ComfyUI's file."""
    where = tmp_path_factory.mktemp("models")
    oracle.save_pretrained(where / "model")
    save_file(tiny_vaes.comfy(oracle.vae), where / "taesd.safetensors")
    return where


@pytest.fixture(scope="module")
def model(folder):
    return sdnb.load(folder / "model", vae="taesd", library=folder, memory="cpu")


def picture():
    small = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def assert_same(ours, theirs):
    truth = np.round(theirs.images[0] * 255)
    assert truth.std() > 5
    difference = np.abs(np.asarray(ours.image, dtype=float) - truth).max(axis=-1)
    assert (difference <= 1).mean() >= 0.999, f"largest difference {difference.max()}"


@pytest.mark.picture
def test_txt2img_equals_diffusers(model, oracle):
    ours = sdnb.generate(model, sdnb.Request("a red fox", **WORDS), progress=False)
    noise = Noise([5], (4, SIZE // 8, SIZE // 8))()
    assert_same(ours, oracle("a red fox", height=SIZE, width=SIZE, latents=noise, **STEPS))


@pytest.mark.picture
def test_img2img_equals_diffusers(model, oracle, monkeypatch):
    """Also how the picture is encoded: nothing is drawn there, and diffusers draws the same
    noise.
    """
    pipe = StableDiffusionImg2ImgPipeline(**oracle.components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    noise = Noise([5], (4, SIZE // 8, SIZE // 8))()
    name = "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img.randn_tensor"
    monkeypatch.setattr(name, lambda *_, **__: noise)
    theirs = pipe("a red fox", image=picture(), strength=0.5, **STEPS)
    ours = sdnb.img2img(
        model, "a red fox", image=picture(), strength=0.5, progress=False, **WORDS,
    )  # fmt: skip
    assert_same(ours, theirs)


@pytest.mark.picture
def test_it_inpaints_and_enlarges(model):
    """Kept pixels are the picture's own; both encode and decode by the tiny VAE."""
    mask = Image.new("L", (SIZE, SIZE), 0)
    mask.paste(255, (0, 0, SIZE, SIZE // 2))
    words = {"steps": 2, "seed": 5, "progress": False}
    given = picture()
    made = sdnb.inpaint(model, "a red fox", image=given, mask=mask, **words)
    kept = np.asarray(made.image)[SIZE // 2 :]
    assert np.array_equal(kept, np.asarray(given)[SIZE // 2 :])
    assert not np.array_equal(np.asarray(made.image), np.asarray(given))
    assert sdnb.upscale(model, made, width=96, height=96, strength=0.5, **words).image.width == 96


@pytest.mark.picture
def test_result_and_png_say_it(model, folder):
    plain = sdnb.load(folder / "model", memory="cpu")  # whose own VAE is the same one
    assert plain.fingerprint == model.fingerprint
    assert plain.config.vae.tiny
    assert any("tiny autoencoder (TAESD)" in note for note in model.notes)
    made = sdnb.generate(model, sdnb.Request("a", **WORDS | {"steps": 1}), progress=False)
    assert made.fingerprint == model.fingerprint
    used = UsedFile("vae", "taesd.safetensors", hashes.sha256(folder / "taesd.safetensors"))
    assert used in made.files
    assert used in images.inspect(images.encoded(made)).files


@pytest.mark.picture
def test_another_vae_is_another_fingerprint(folder, model):
    """Of a model whose own VAE has settings of its own: the look of its latents stays."""
    embedded = sdnb.load(memory="cpu")
    tiny = sdnb.load(vae=folder / "taesd.safetensors", memory="cpu")
    assert len({tiny.fingerprint, embedded.fingerprint, model.fingerprint}) == 3
    assert tiny.config.vae.preview == embedded.config.vae.preview
    assert tiny.latent_shape(64, 96) == (4, 12, 8)
