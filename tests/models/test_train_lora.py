"""A LoRA that is trained: what is written adds to the weights what training added to them."""

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

import sdnb
from sdnb.models.training import train_lora as module

SAID = ["a cat", "a dog"]


@pytest.fixture(scope="module")
def model():
    return sdnb.load(memory="cpu", precision="full")


def train(model, path, **how):
    blue = [Image.new("RGB", (64, 64), "blue")] * 2
    return module.train_lora(model, blue, SAID, path, **{"steps": 2, "batch": 1, **how})


@pytest.mark.slow
def test_what_is_trained_is_what_is_laid_over(model, tmp_path, monkeypatch):
    """Each layer of the attention to 1e-3, which half precision leaves of weights below 1; and two
    steps in one direction leave no layer as it was.
    """
    kept = []
    monkeypatch.setattr(
        module, "LowRank", lambda *given, made=module.LowRank, **how: kept.append(
            made(*given, **how)) or kept[-1]
    )  # fmt: skip
    before = {name: p.clone() for name, p in model.unet.named_parameters()}
    path = train(model, tmp_path / "a" / "blue.safetensors")
    (lora,) = kept
    assert len(load_file(path)) == 3 * len(lora.names)
    asked = sdnb.Request("a cat", width=64, height=64, steps=1, seed=1, loras=str(path))
    assert not sdnb.generate(model, asked, progress=False).notes
    assert sum("attn" in name and name.endswith("weight") for name in before) == len(lora.names)
    for name, down, up in zip(lora.names, lora.downs, lora.ups, strict=True):
        now = model.unet.get_parameter(name)
        assert torch.allclose(now, before[name] + (up @ down).view(now.shape), atol=1e-3)
        assert not torch.equal(now, before[name])
    train(model, tmp_path / "again.safetensors", steps=1)  # the LoRA still lies over the model
    for name, own in zip(lora.names, kept[1]._own, strict=True):
        assert torch.equal(own, before[name])
    with safe_open(path, "pt") as file:
        said = file.metadata()
    assert (said["ss_network_dim"], said["ss_steps"], said["ss_num_train_images"]) == (
        "4",
        "2",
        "2",
    )


@pytest.mark.slow
def test_it_goes_on_from_a_file(model, tmp_path):
    first = train(model, tmp_path / "first.safetensors")
    same = train(model, tmp_path / "same.safetensors", init=first, rate=0.0)
    more = train(model, tmp_path / "more.safetensors", init=first, rate=1e-3, steps=1)
    alone = train(model, tmp_path / "alone.safetensors", rate=1e-3, steps=1)
    one, two, three, four = map(load_file, (first, same, more, alone))
    assert all(torch.equal(one[name], two[name]) for name in one)
    apart = [(one[name] - three[name]).abs().max().item() for name in one]
    assert 0 < max(apart) < 2e-3  # one step of this rate
    assert max((four[name] - three[name]).abs().max().item() for name in one) > 1e-2
    with pytest.raises(ValueError, match="rank 4 and 2 was asked"):
        train(model, tmp_path / "other.safetensors", init=first, rank=2)
