"""An embedding that is trained: only its vectors learn, and what was interrupted goes on."""

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import sdnb
from sdnb.models.training.noising import Noising
from sdnb.models.training.train_embedding import train_embedding
from sdnb.models.training.train_lora import train_lora

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model():
    return sdnb.load(memory="cpu", precision="full")


def pictures():
    return [Image.new("RGB", (64, 64), colour) for colour in ("blue", "navy")]


def train(model, path, **how):
    how = {"steps": 4, "batch": 2, "vectors": 3, "init": "red apple", **how}
    return train_embedding(model, pictures(), ["a wug", "a wug on white"], path, **how)


def test_it_begins_from_the_words_of_init_and_learns_its_vectors_alone(model, tmp_path):
    before = {
        part: {name: p.clone() for name, p in getattr(model, part).named_parameters()}
        for part in ("text", "unet")
    }
    untrained = load_file(train(model, tmp_path / "still" / "wug.safetensors", rate=0.0))
    path = train(model, tmp_path / "new" / "wug.safetensors")
    vectors = load_file(path)["emb_params"]
    table = model.text.embeddings.token_embedding.weight
    ids = model.tokenizer("red apple").ids[1:3]
    assert torch.equal(untrained["emb_params"], table[[*ids, ids[0]]])
    assert (vectors - untrained["emb_params"]).abs().amax(1).min() > 1e-4  # each has learnt
    for part, weights in before.items():
        own = dict(getattr(model, part).named_parameters())
        assert all(torch.equal(own[name], its) for name, its in weights.items())
    there = sdnb.load(memory="cpu", precision="full", library=path.parent)
    small = {"width": 64, "height": 64, "steps": 1, "seed": 1, "progress": False}
    found = sdnb.txt2img(there, "a wug", **small)
    assert [(file.kind, file.name) for file in found.files][-1] == ("embedding", "wug")


@pytest.fixture
def one_thread():
    """Several add up a layer's gradients in another order each time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("kind", ["embedding", "lora"])
@pytest.mark.usefixtures("one_thread")
def test_what_was_interrupted_goes_on_to_the_same_end(model, tmp_path, monkeypatch, kind):
    def run(path, **how):
        if kind == "embedding":
            return train(model, path, **how)
        return train_lora(model, pictures(), ["a cat", "a dog"], path, steps=4, batch=1, **how)

    whole = run(tmp_path / "whole" / "wug.safetensors")
    path = tmp_path / "parts" / "wug.safetensors"
    losses, loss = [], Noising.loss

    def interrupted(self, *given):
        losses.append(loss(self, *given))
        if len(losses) == 3:
            raise KeyboardInterrupt
        return losses[-1]

    monkeypatch.setattr(Noising, "loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(path)
    monkeypatch.undo()
    assert not path.exists()
    kept = path.with_name("wug.safetensors.training")
    assert kept.is_file()
    with pytest.raises(ValueError, match=r"left by another training \(.*seed 0, not 1"):
        run(path, seed=1, resume=True)
    run(path, resume=True)
    assert not kept.exists()
    one, two = load_file(whole), load_file(path)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_what_cannot_be_trained_on_is_said(model, tmp_path):
    path, (blue, _) = tmp_path / "wug.safetensors", pictures()
    wide = Image.new("RGB", (96, 60), "blue")
    with pytest.raises(ValueError, match="2 pictures and 1 captions"):
        train_embedding(model, [blue, blue], ["a wug"], path)
    with pytest.raises(ValueError, match="has the word 'wug' 0 times"):
        train_embedding(model, [blue], ["a cat"], path)
    with pytest.raises(ValueError, match="64x64, 96x60; one size is expected"):
        train_lora(model, [blue, wide], ["a", "b"], path)
    with pytest.raises(ValueError, match="init='' and vectors=2"):
        train_embedding(model, [blue], ["a wug"], path, init="")
    assert train_lora(model, [blue, wide], ["a", "b"], path, size=64, steps=1, batch=1).is_file()
