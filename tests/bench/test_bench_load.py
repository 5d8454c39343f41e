"""The loading benchmark: its checkpoints are whole, both sides load them, its figures add up."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open

from sdnb.bench import load, random_sd
from sdnb.engine.checkpoint import read
from sdnb.engine.networks.config import ModelConfig, TextConfig, UNetConfig, VAEConfig

SMALL = ModelConfig(
    unet=UNetConfig(channels=(32, 32, 32, 32), context_dim=64),
    vae=VAEConfig(channels=(32, 32, 32, 32)),
    text=TextConfig(width=64, layers=1, heads=1, hidden=64),
)


def test_the_cards_checkpoint_is_whole_and_its_pictures_are_not_flat(tmp_path):
    checkpoint = read(random_sd.write(tmp_path, config=SMALL))
    assert checkpoint.config == SMALL
    weight = checkpoint.unet["middle_block.0.in_layers.2.weight"].read().float()
    assert abs(weight.std().item() * weight[0].numel() ** 0.5 - 1) < 0.05


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    count = load.write_models(folder, SMALL)
    return folder, count


@pytest.mark.slow
def test_both_containers_hold_the_same_random_weights(models):
    folder, count = models
    ckpt, safetensors = (read(folder / name) for name in load.MODELS)
    assert ckpt.config == safetensors.config == SMALL
    assert ckpt.fingerprint == safetensors.fingerprint
    assert count == sum(t.count for part in (ckpt.unet, ckpt.vae, ckpt.text) for t in part.values())
    weight = ckpt.unet["middle_block.0.in_layers.2.weight"].read()
    assert abs(weight.std().item() - 0.02) < 0.002
    with safe_open(folder / load.MODELS[1], framework="pt") as file:
        theirs = file.get_tensor("model.diffusion_model.middle_block.0.in_layers.2.weight")
    assert torch.equal(weight, theirs)


@pytest.mark.process
def test_both_sides_load_them_in_their_own_process(models, monkeypatch):
    folder, count = models
    monkeypatch.setattr(load, "RUNS", 1)
    data = load._measure(folder, "half", count, lambda _: None)
    assert data["weights_gb"] == pytest.approx(2e-9 * count)
    for name in ("sdnb", "diffusers"):
        assert len(data["runs"][name]) == load.RUNS
        assert 0 < data[name]["load"] < data[name]["total"]
        assert 0.05 < data[name]["peak_gb"] < 4
    assert data["ratio"]["load"] == pytest.approx(data["sdnb"]["load"] / data["diffusers"]["load"])
    lines = load.table(data).splitlines()
    assert [line.split()[0] for line in lines] == ["load,", "sdnb", "diffusers", "ratio", "weights"]


def test_without_diffusers_it_says_so(models, monkeypatch):
    folder, count = models
    monkeypatch.setattr(load, "find_spec", lambda _: None)
    monkeypatch.setattr(
        load, "_child", lambda *_: dict.fromkeys(("load", "cpu", "total", "peak_gb"), 1.0)
    )
    lines: list[str] = []
    data = load._measure(folder, "half", count, lines.append)
    assert "not installed" in lines[0]
    assert "pip install" in lines[0]
    assert "ratio" not in data
    assert "diffusers" not in load.table(data)


def test_faults(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="precision is 'halff'; known are half, bf16, full"):
        load.bench_load(tmp_path, "halff")
    monkeypatch.setattr(load.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(OSError, match=r"needs \d+\.\d GB of disk"):
        load.bench_load(tmp_path, "half", say=lambda _: None)
    assert list(tmp_path.iterdir()) == []
