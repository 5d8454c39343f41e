"""A variant of a model: a folder with LoRAs that always lie over it. `tiny-fast` is one."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import sdnb
from sdnb import assets
from sdnb.bench import random_lora
from sdnb.engine import checkpoint
from sdnb.engine.checkpoint import CheckpointError
from sdnb.request import Settings
from sdnb.widgets.engine_door import for_few_steps

TINY = assets.embedded_model()
ASK = {"width": 64, "height": 64, "seed": 3}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package's folder of models, whose `tiny-fast` may be changed."""
    models = tmp_path / "sdnb" / "models"
    models.mkdir(parents=True)
    (models / "tiny").symlink_to(TINY)
    shutil.copytree(assets.PACKAGE / "models" / "tiny-fast", models / "tiny-fast")
    (tmp_path / "configs").symlink_to(assets.configs())
    monkeypatch.setattr(assets, "PACKAGE", models.parent)
    return models


def test_the_model_for_few_steps_is_named_where_its_weights_are(package):
    tiny = SimpleNamespace(name="tiny", settings=Settings(256, 256, 25, 4.0))
    assert for_few_steps(tiny) == "tiny-fast"
    assert for_few_steps(SimpleNamespace(name="tiny-fast", settings=tiny.settings)) == ""
    assert for_few_steps(SimpleNamespace(name="tiny", settings=Settings(256, 256, 4, 1.0))) == ""
    assert for_few_steps(SimpleNamespace(name="another.safetensors")) == ""
    (package / "tiny-fast" / "tiny-fast.safetensors").unlink()
    assert for_few_steps(tiny) == ""


def variant(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "variant.yaml").write_text(text)
    return folder


@pytest.mark.picture
def test_tiny_fast_is_the_model_with_its_lora_and_settings(package):
    """Bit for bit what a request with the LoRA makes, and a request's own LoRA lies above it."""
    file = str(package / "tiny-fast" / "tiny-fast.safetensors")
    fast, plain = sdnb.load("tiny-fast", "cpu", "full"), sdnb.load("tiny", "cpu", "full")
    assert fast.name == "tiny-fast"
    s = fast.settings
    assert (s.steps, s.cfg, s.sampler, s.schedule, s.width) == (4, 1, "ddim", "trailing", 256)
    made = sdnb.txt2img(fast, "a red apple", progress=False, **ASK)
    assert (made.request.steps, made.request.cfg, made.request.loras) == (4, 1, ())
    asked = sdnb.Request(
        "a red apple", steps=4, cfg=1, sampler="ddim", schedule="trailing", loras=file, **ASK
    )
    expected = sdnb.generate(plain, asked, progress=False)
    assert made.image.tobytes() == expected.image.tobytes()
    twice = sdnb.generate(plain, asked.but(loras=[sdnb.Lora(file, 2.0)]), progress=False)
    above = sdnb.generate(fast, asked, progress=False)
    apart = np.abs(np.asarray(above.image, int) - np.asarray(twice.image, int))
    assert apart.max() <= 1
    assert np.abs(np.asarray(above.image, int) - np.asarray(made.image, int)).max() > 9
    again = sdnb.generate(fast, made.request, progress=False)  # the request's own is taken off
    assert again.image.tobytes() == made.image.tobytes()


@pytest.mark.picture
def test_the_weights_are_the_lora_s_from_the_beginning(package):
    fast, plain = sdnb.load("tiny-fast", "cpu", "full"), sdnb.load("tiny", "cpu", "full")
    name = "middle_block.0.in_layers.2.weight"
    assert not torch.equal(fast.unet.get_parameter(name), plain.unet.get_parameter(name))
    assert fast.library.brings("control", "sketch")
    assert [net.name for net in fast.control_nets] == [net.name for net in plain.control_nets]


def test_its_folder_may_bring_files_and_so_may_that_of_the_other_model(package):
    own, of = checkpoint.read(package / "tiny-fast").folders
    assert own.samefile(package / "tiny-fast")
    assert of.samefile(TINY)
    assert checkpoint.read(TINY).folders == (TINY,)


def test_a_variant_is_another_model_than_the_one_it_is_of(package):
    of, own = checkpoint.read(TINY), checkpoint.read(package / "tiny-fast")
    assert of.fingerprint != own.fingerprint
    assert of.fingerprint.partition("-")[2] == own.fingerprint.partition("-")[2]
    lora = package / "tiny-fast" / "tiny-fast.safetensors"
    random_lora.write(lora, 2, own.config, seed=1, wanted=lambda n: "_unet_" in n)
    assert checkpoint.read(package / "tiny-fast").fingerprint != own.fingerprint


def test_without_its_file_the_name_says_what_is_missing(package):
    lora = package / "tiny-fast" / "tiny-fast.safetensors"
    lora.unlink()
    with pytest.raises(FileNotFoundError, match=r"tiny-fast needs .*tiny-fast\.safetensors"):
        sdnb.load("tiny-fast")


def test_a_slip_in_the_name_is_told_the_names(package):
    with pytest.raises(FileNotFoundError, match=r"Built in: tiny, tiny-fast\.$"):
        sdnb.load("tiny-fats")
    (package / "tiny-fast" / "tiny-fast.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"Built in: tiny\.$"):
        sdnb.load("tiny-fats")


def test_a_folder_of_that_name_comes_first(package, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    variant(tmp_path / "tiny-fast", "of: nowhere\nloras: [a.safetensors]")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        sdnb.load("tiny-fast")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("of: [", "cannot be read"),
        ("of: ..", "names no model and LoRAs"),
        ("[1, 2]", "names no model and LoRAs"),
        ("of: ..\nloras: []", "a list of 1 to 8 files"),
        ("of: ..\nloras: a.safetensors", "a list of 1 to 8 files"),
        ("of: 3\nloras: [a]", "expected a path"),
        ("of: ..\nloras: [[a]]", "expected a path"),
        ("of: ..\nloras: [a]\nlora: b", "unknown key 'lora'; did you mean 'loras'"),
        ("of: .\nloras: [a]", "a variant too"),
        ("of: ..\nloras: [a]", "there is no such file"),
        ("of: ..\nloras: [variant.yaml]\nvae: b", "its VAE, and there is no such file"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(tmp_path, text, words):
    with pytest.raises(CheckpointError, match=words):
        checkpoint.read(variant(tmp_path / "fast", text))


def test_a_variant_has_no_shapes_of_its_own(package):
    (package / "tiny-fast" / "sdnb.yaml").write_text("unet: {groups: 4}")
    with pytest.raises(CheckpointError, match=r"unet, which .* says for itself"):
        checkpoint.read(package / "tiny-fast")
