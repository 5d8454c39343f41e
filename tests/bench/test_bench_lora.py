"""The LoRA benchmark: its file fits, both sides lay it over the weights, its figures add up."""

from __future__ import annotations

import pytest
from bench.test_bench_load import SMALL

from sdnb.bench import lora_speed, random_sd
from sdnb.engine import adapters
from sdnb.request.lora import Lora


@pytest.mark.process
def test_both_sides_lay_the_same_file_over_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(lora_speed, "RUNS", 1)
    checkpoint = random_sd.write(tmp_path, config=SMALL)
    path = lora_speed.write_lora(tmp_path / "lora.safetensors", 4, SMALL)
    found = adapters.overlay(SMALL, [(Lora("x"), adapters.open_file(path))])
    assert found.notes == ()
    assert len(found.additions["unet"]) == 280  # 192 of attention, and all but two shortcuts
    assert len(found.additions["text"]) == 6
    data = lora_speed._measure(checkpoint, path, lambda _: None)
    for name in ("sdnb", "diffusers"):
        assert data[name]["apply"] > 0
    assert data["ratio"]["apply"] == pytest.approx(
        data["sdnb"]["apply"] / data["diffusers"]["apply"]
    )
    assert data["sdnb"]["largest_mb"] == pytest.approx(32 * 64 * 9 * 4 / 1e6)
    lines = lora_speed.table(data).splitlines()
    assert [line.split()[0] for line in lines] == [
        "apply,", "sdnb", "diffusers", "ratio", "another", "aims:",
    ]  # fmt: skip
