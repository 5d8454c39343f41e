"""The LoRA benchmark: its file fits, both sides lay it over the weights, its figures add up; and
what it compares on a card, here on the CPU.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from bench.test_bench_load import SMALL

from sdnb import bench
from sdnb.bench import lora_plans, lora_speed, random_lora, random_sd
from sdnb.engine import adapters
from sdnb.request.lora import Lora


@pytest.mark.process
def test_both_sides_lay_the_same_file_over_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(lora_speed, "RUNS", 1)
    checkpoint = random_sd.write(tmp_path, config=SMALL)
    path = random_lora.write(tmp_path / "lora.safetensors", 4, SMALL)
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


@pytest.mark.slow
def test_changes_at_random_are_compared_with_fresh_loads(tmp_path, monkeypatch):
    """The four files fit; a model that forgets one change of a set is found out."""
    files = {
        name: random_lora.write(tmp_path / f"{name}.safetensors", 1, SMALL, **how)
        for name, how in lora_plans._LORAS.items()
    }
    sets = lora_plans.loras_in_sets(files)
    for loras in sets:
        chosen = [(lora, adapters.open_file(Path(lora.name))) for lora in loras]
        assert not [note for note in adapters.overlay(SMALL, chosen).notes if "26" not in note]

    def picture(model, request):
        if isinstance(model, list):  # the one that is changed
            model.append(request)
            if len(model) == 9:
                request = model[-2]
        parts = sorted(lora.tag for lora in request.loras)
        seen.extend([parts] * (parts not in seen))
        return np.full((2, 2, 3), seen.index(parts)), 0.5

    seen: list[list[str]] = []

    monkeypatch.setattr(lora_plans, "_picture", picture)
    monkeypatch.setattr(lora_plans.card, "clean", lambda: None)
    found = lora_plans.walk(nullcontext(), sets, nullcontext, [])
    assert (found["pictures"], found["differ"], found["largest"]) == (30, 0, 0)
    assert found["alike"] == 0
    found = lora_plans.walk([], sets, nullcontext, [])
    assert found["differ"] == 1
    assert found["largest"] > 0


def test_a_picture_that_differs_fails_the_command(tmp_path, monkeypatch, capsys):
    row = {"pictures": 2, "differ": 0, "largest": 0, "recorded": 7}

    def sides(differ):
        rows = {name: dict(row) for name in ("changes", *lora_plans.PROMPTS)}
        rows["AND"]["differ"] = differ
        return lambda *_: {"max": rows}

    monkeypatch.setattr(lora_plans.card, "refuse_without", lambda _: None)
    for differ in (0, 1):
        monkeypatch.setattr(lora_plans.card, "measure_sides", sides(differ))
        assert bench.main(["lora", "--out", str(tmp_path), "--plans", "max"]) == differ
        told = ("all pictures are equal", lora_plans._FAILED)[differ]
        assert capsys.readouterr().out.splitlines()[-1] == told
    with pytest.raises(ValueError, match="--plans '3gb': did you mean '4gb'"):
        bench.main(["lora", "--plans", "3gb"])
