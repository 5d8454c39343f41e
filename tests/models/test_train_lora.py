"""A LoRA that is trained: what is written adds to the weights what training added to them."""

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import sdnb
from sdnb.models.training import train_lora as module


@pytest.mark.slow
def test_what_is_trained_is_what_is_laid_over(tmp_path, monkeypatch):
    """Each layer of the attention to 1e-3, which half precision leaves of weights below 1; and two
    steps in one direction leave no layer as it was.
    """
    kept = {}
    written = module._write
    monkeypatch.setattr(module, "_write", lambda added, *more: kept.update(added=added) or written(
        added, *more))  # fmt: skip
    model = sdnb.load(memory="cpu", precision="full")
    before = {name: p.clone() for name, p in model.unet.named_parameters()}
    blue = [Image.new("RGB", (64, 64), "blue")] * 2
    path = module.train_lora(
        model, blue, ["a cat", "a dog"], tmp_path / "a" / "blue.safetensors", steps=2, batch=1
    )
    assert len(load_file(path)) == 3 * len(kept["added"])
    asked = sdnb.Request("a cat", width=64, height=64, steps=1, seed=1, loras=str(path))
    assert not sdnb.generate(model, asked, progress=False).notes
    layers = {name.removesuffix(".weight").replace(".", "_"): name for name in before}
    assert sum("attn" in name and name.endswith("weight") for name in before) == len(kept["added"])
    for flat, added in kept["added"].items():
        name = layers[flat]
        now = model.unet.get_parameter(name)
        assert torch.allclose(now, before[name] + added.up @ added.down, atol=1e-3)
        assert not torch.equal(now, before[name])
