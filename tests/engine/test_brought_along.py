"""LoRAs and embeddings in a model's own folder: found by name, with no library given."""

from copy import copy

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import sdnb
from sdnb import assets, images
from sdnb.bench import random_lora
from sdnb.engine import checkpoint
from sdnb.grid.checkpoints import checkpoint_groups
from sdnb.library import with_files

ASK = sdnb.Request("a cat", steps=1, cfg=1, width=64, height=64, seed=1)
pytestmark = pytest.mark.picture


def add_ons(folder, config, seed, word="soft"):
    """A LoRA `crayon` of the text encoder's first layer, and an embedding."""
    lora = folder / "lora" / "crayon.safetensors"
    random_lora.write(lora, 2, config, seed=seed, wanted=lambda n: "_te_" in n and "layers_0_" in n)
    soft = folder / "embeddings" / f"{word}.safetensors"
    soft.parent.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    save_file({"emb_params": torch.randn(2, config.text.width, generator=generator)}, soft)
    return lora, soft


@pytest.fixture(scope="module")
def folder(tmp_path_factory, model):
    """The built-in model with other add-ons of its own."""
    folder = tmp_path_factory.mktemp("models") / "mine"
    folder.mkdir()
    for each in assets.embedded_model().iterdir():
        if each.name not in ("lora", "embeddings"):
            (folder / each.name).symlink_to(each)
    add_ons(folder, model.config, 1)
    return folder


@pytest.fixture(scope="module")
def mine(folder):
    return sdnb.load(folder, memory="cpu", precision="full")


def made(model, request):
    return sdnb.generate(model, request, progress=False)


def pixels(result):
    return np.asarray(result.image).astype(int)


def test_by_name_they_are_what_they_are_by_path_and_come_back(folder, mine, model):
    path = folder / "lora" / "crayon.safetensors"
    truth = made(model, ASK.but(loras=[sdnb.Lora(str(path), 0.8)]))
    by_name = made(mine, ASK.but(loras=[sdnb.Lora("crayon", 0.8)]))
    by_tag = made(mine, ASK.but(prompt="a cat <lora:crayon:0.8>"))
    assert np.array_equal(pixels(by_name), pixels(truth))
    assert np.array_equal(pixels(by_tag), pixels(truth))
    assert (pixels(truth) != pixels(made(mine, ASK))).any()
    assert [file.kind for file in by_name.files if file.name == "crayon"] == ["lora"]
    for result in (by_name, by_tag):
        saved = images.inspect(images.encoded(result))
        request, notes = with_files(saved, mine.library)
        assert (request, notes) == (result.request, [])
        assert np.array_equal(pixels(made(mine, request)), pixels(result))


def test_the_word_of_an_embedding_is_read(folder, mine, model, tmp_path):
    soft = folder / "embeddings" / "soft.safetensors"
    (tmp_path / soft.name).symlink_to(soft)
    other = copy(model)
    other.use_library(sdnb.Library(tmp_path))
    asked = ASK.but(prompt="a soft cat")
    truth, result = made(other, asked), made(mine, asked)
    assert np.array_equal(pixels(result), pixels(truth))
    assert (pixels(result) != pixels(made(model, asked))).any()
    assert [file.name for file in result.files if file.kind == "embedding"] == ["soft"]
    saved = images.inspect(images.encoded(result))
    assert with_files(saved, mine.library) == (result.request, [])


def test_a_users_files_of_these_names_are_others(folder, mine, tmp_path):
    lora, _ = add_ons(tmp_path, mine.config, 2)
    other = copy(mine)
    other.use_library(sdnb.Library(tmp_path))
    assert other.load_arguments["library"] == [str(tmp_path)]
    asked = ASK.but(prompt="a soft cat", loras=["crayon"])
    assert np.array_equal(pixels(made(other, asked)), pixels(made(mine, asked)))
    file = other.library.given.find("lora", "crayon")
    assert other.library.name_of(file) == str(lora)
    theirs = made(other, ASK.but(loras=[sdnb.Lora("crayon", sha256=file.sha256)]))
    assert np.array_equal(pixels(theirs), pixels(made(mine, ASK.but(loras=[str(lora)]))))
    other.use_library(mine.library)  # of another model: what it brings stays with it
    assert (other.library.given, other.load_arguments["library"]) == (None, None)


def test_a_name_that_is_not_there_says_the_way_out(mine):
    words = r"no lora 'crayn' among 1 file .*did you mean 'crayon'\? The model was loaded without"
    with pytest.raises(LookupError, match=words):
        made(mine, ASK.but(loras=["crayn"]))


def test_a_grid_varies_one(folder, mine):
    grid = sdnb.sweep(ASK, lora=("crayon", [0, 1]))
    grid.run(mine, progress=False)
    truth = [made(mine, ASK), made(mine, ASK.but(loras=["crayon"]))]
    for result, cell in zip(truth, grid.cells, strict=True):
        assert np.array_equal(pixels(grid.pictures.made[cell.key]), pixels(result))
    (group,) = checkpoint_groups(grid.cells, folder)  # a model that is not loaded
    assert group.library.find("lora", "crayon").path == folder / "lora" / "crayon.safetensors"


def test_a_variant_brings_its_own_and_the_models(folder, mine, tmp_path):
    where = tmp_path / "varied"
    add_ons(where, mine.config, 3, word="hard")
    (where / "lora" / "crayon.safetensors").rename(where / "over.safetensors")
    (where / "variant.yaml").write_text(f"of: {folder}\nloras: [over.safetensors]\n")
    varied = sdnb.load(where, memory="cpu", precision="full")
    assert {"soft", "hard"} <= {*varied.embeddings}
    assert varied.library.find("lora", "crayon").path == folder / "lora" / "crayon.safetensors"
    assert checkpoint.read(where).folders == (where, folder)
