"""The tiny VAE that a model's folder brings: what it is used for, and how to do without it."""

import shutil

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from helpers import tiny_vaes
from safetensors.torch import save_file

import sdnb
from sdnb.engine.checkpoint import CheckpointError, hub
from sdnb.images.used_files import UsedFile
from sdnb.library import hashes
from sdnb.request.memory_plan import MemoryPlan

FOLDER = sdnb.assets.embedded_model()
FILE = FOLDER / "tiny_vae" / "diffusion_pytorch_model.safetensors"
REQUEST = sdnb.Request("a castle", width=64, height=64, steps=2, seed=1)


@pytest.fixture(scope="module")
def model():
    return sdnb.load(memory="cpu", precision="full")


@pytest.fixture(scope="module")
def without():
    return sdnb.load(memory="cpu", precision="full", tiny_vae=False)


@pytest.fixture(scope="module")
def theirs():
    return AutoencoderTiny.from_pretrained(FOLDER / "tiny_vae", torch_dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def latent(model):
    """Of a finished picture."""
    words = REQUEST.but(width=128, height=96, steps=4)
    return sdnb.generate(model, words, progress=False).latents[0][None]


def shown(pixels):
    """The first of pictures -1..1 `[b, 3, h, w]` as 0..255 `[h, w, 3]`."""
    return ((pixels[0].clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0).numpy().astype(int)


@pytest.fixture
def folder(tmp_path):
    """The built-in model's, whose tiny VAE may be spoilt."""
    ignored = shutil.ignore_patterns("control", "licenses", "*.png")
    return shutil.copytree(FOLDER, tmp_path / "model", ignore=ignored)


@pytest.mark.picture
def test_diffusers_decodes_and_encodes_the_same(model, theirs, latent):
    """2/255 at most; it shows something."""
    with torch.inference_mode():
        expected = shown(theirs.decode(latent).sample)
        seen = model.full_preview(latent)
        assert seen.size == (128, 96)
        assert np.asarray(seen).std() > 20
        assert np.abs(np.asarray(seen, dtype=int) - expected).max() <= 2
        given = torch.tensor(expected / 127.5 - 1).permute(2, 0, 1)[None].float()
        truth = theirs.encode(given).latents
        assert (model.tiny_vae.encode(given) - truth).abs().max() <= 1e-4 * truth.abs().max()


@pytest.mark.picture
def test_it_shows_what_the_picture_will_be(model, latent):
    """Beside the full decoder: 25 dB at least on a small picture."""
    fine = np.asarray(sdnb.decode(model, [latent[0]])[0], dtype=float)
    seen = np.asarray(model.full_preview(latent), dtype=float)
    assert 10 * np.log10(255**2 / ((seen - fine) ** 2).mean()) > 25


@pytest.mark.picture
def test_pictures_are_those_of_the_model_without_it(model, without):
    assert (model.tiny_vae is None, without.tiny_vae) == (False, None)
    made, truth = (sdnb.generate(each, REQUEST, progress=False) for each in (model, without))
    assert np.array_equal(np.asarray(made.image), np.asarray(truth.image))
    assert torch.equal(made.latents[0], truth.latents[0])
    assert (made.notes, made.files) == ((), truth.files)
    assert made.fingerprint == truth.fingerprint
    changed = [
        sdnb.img2img(each, "a", image=truth, strength=0.5, steps=2, seed=3, progress=False)
        for each in (model, without)
    ]
    assert np.array_equal(*(np.asarray(each.image) for each in changed))


@pytest.mark.picture
def test_a_plan_that_asks_for_it_makes_the_picture_by_it(model, theirs):
    model.ask(MemoryPlan(device="cpu", tiny_vae=True))
    try:
        made = sdnb.generate(model, REQUEST, progress=False)
    finally:
        model.ask(None)
    with torch.inference_mode():
        expected = shown(theirs.decode(made.latents[0][None]).sample)
    assert np.abs(np.asarray(made.image, dtype=int) - expected).max() <= 2
    assert UsedFile("vae", "tiny_vae", hashes.sha256(FILE)) in made.files


@pytest.mark.slow
def test_forecasts_count_it(model, without):
    """Its weights are a part like others, of the bytes that the file has in fp16."""
    parts, others = model.facts().parts, without.facts().parts
    assert parts.keys() - others.keys() == {"tiny_encoder", "tiny_decoder"}
    stored = sum(t.numel() for t in model.tiny_vae.parameters()) * model.dtype.itemsize
    assert sum(parts[name].size for name in parts.keys() - others.keys()) == stored
    assert abs(stored / model.dtype.itemsize * 2 - FILE.stat().st_size) < 30_000  # its header
    assert (model.facts().has_tiny_vae, model.facts().tiny_stands_in) == (True, False)
    assert model.facts().tiny_vae == model.tiny_vae.config


@pytest.mark.slow
def test_what_is_given_goes_first(tmp_path):
    file = tmp_path / "taesd.safetensors"
    save_file(tiny_vaes.comfy(tiny_vaes.diffusers(7)), file)
    other = sdnb.load(memory="cpu", tiny_vae=file)
    assert (other.tiny_vae.config.channels[0], other.facts().tiny_stands_in) == (64, True)
    alone = sdnb.load(memory="cpu", vae=file)  # which is a tiny one itself
    assert alone.tiny_vae is None
    assert alone.config.vae.tiny


@pytest.mark.slow
def test_a_damaged_one_is_named_with_the_way_out(folder):
    file = folder / "tiny_vae" / FILE.name
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"tiny_vae.*\(load\(..., tiny_vae=False\) leaves"):
        sdnb.load(folder, memory="cpu")
    assert sdnb.load(folder, memory="cpu", tiny_vae=False).tiny_vae is None
    shutil.rmtree(folder / "tiny_vae")
    assert sdnb.load(folder, memory="cpu").full_preview(torch.zeros(1, 4, 8, 8)) is None


def test_true_is_no_file():
    with pytest.raises(CheckpointError, match="tiny_vae=True: give the file or folder of one"):
        sdnb.load(memory="cpu", tiny_vae=True)


def test_a_hub_s_model_brings_it_too():
    parts = ("unet", "vae", "text_encoder")
    names = [f"{part}/{end}" for part in parts for end in ("config.json", "model.safetensors")]
    its = [f"tiny_vae/{end}" for end in ("config.json", FILE.name)]
    assert set(hub.needed_of_model([*names, *its, "tiny_vae/card.md"])) == {*names, *its}
    assert set(hub.needed_of_model([*names, "tiny_vae/card.md"])) == set(names)
