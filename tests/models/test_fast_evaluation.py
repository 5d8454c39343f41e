"""Judging a fast variant: what it keeps, by both models' figures, and a whole small run."""

import json
import shutil
from copy import deepcopy

import numpy as np
import pytest
from PIL import Image
from test_evaluation import random_model, write_catalog

from sdnb.bench import fast_speed, main, random_lora
from sdnb.engine.loading import load
from sdnb.models import evaluate_fast
from sdnb.models.evaluate_fast import compared
from sdnb.models.training import questions, recipe

STANDARD = {
    "retrieval": {"concepts": 200, "seen": {"top5": 1.0}, "held_out": {"top5": 0.9}},
    "colors": {"pictures": 36, "wrong": []},
    "counts": {"two": "12 of 12", "three": "9 of 12"},
}


def changed(**figures):
    fast = deepcopy(STANDARD)
    for name, value in figures.items():
        fast[name] = fast[name] | value
    return fast


def met(fast):
    return [row.met for row in compared(STANDARD, fast)]


@pytest.mark.parametrize(
    ("fast", "missed"),
    [
        ({"retrieval": {"seen": {"top5": 0.93}, "held_out": {"top5": 0.84}}}, []),
        ({"retrieval": {"seen": {"top5": 0.92}, "held_out": {"top5": 0.9}}}, [0]),
        ({"retrieval": {"seen": {"top5": 1.0}, "held_out": {"top5": 0.83}}}, [1]),
        ({"colors": {"wrong": ["a", "b"]}}, []),
        ({"colors": {"wrong": ["a", "b", "c"]}}, [2]),
        ({"counts": {"two": "10 of 12", "three": "7 of 12"}}, []),
        ({"counts": {"two": "9 of 12", "three": "12 of 12"}}, [3]),
        ({"counts": {"two": "12 of 12", "three": "6 of 12"}}, [4]),
    ],
)
def test_what_must_be_kept(fast, missed):
    """0.93 of what is found, 34 of 36 colours, two counts fewer each."""
    assert [i for i, good in enumerate(met(changed(**fast))) if not good] == missed


def test_the_lines_show_both_and_what_is_kept():
    fast = changed(retrieval={"held_out": {"top5": 0.89}}, counts={"three": "8 of 12"})
    lines = [row.line for row in compared(STANDARD, fast)]
    assert lines[1].endswith("held-out pairs, top-5 | 90% | 89% | 0.989 | >= 0.93 |")
    assert lines[4] == "| three of a thing | 9 of 12 | 8 of 12 | -1 | >= -2 |"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A small model of random weights, and a variant of it for two steps."""
    folder = tmp_path_factory.mktemp("models")
    standard, fast = random_model(folder / "standard", 64), folder / "fast"
    fast.mkdir()
    (fast / "variant.yaml").write_text("of: ../standard\nloras: [a.safetensors]\n")
    settings = "settings: {steps: 2, cfg: 1, sampler: ddim, schedule: trailing}\n"
    (fast / "sdnb.yaml").write_text(settings)
    config = recipe.of(standard / "tokenizer", 64)
    random_lora.write(fast / "a.safetensors", 2, config, wanted=lambda n: "_unet_" in n)
    return standard, fast


@pytest.mark.slow
def test_both_are_asked_alike_and_laid_out_side_by_side(models, tmp_path, capsys, monkeypatch):
    assert (questions.ALIKE["steps"], questions.ALIKE["cfg"]) == (25, 4)
    monkeypatch.setitem(questions.ALIKE, "steps", 3)
    standard, fast = models
    styles = {"ball": ["flat", "noto"], "box": ["flat"], "moon": ["noto"], "pie": ["flat"]}
    data = write_catalog(tmp_path / "data", styles)
    words = ["--data", data, "--model", standard, "--fast", fast, "--most", 1, "--concepts", 2,
             "--out", tmp_path / "out", "--json", tmp_path / "fast.json"]  # fmt: skip
    words = [str(word) for word in words]
    evaluate_fast.main([*words, "--part", "2/2"])
    assert capsys.readouterr().out == "0 pictures\n"
    evaluate_fast.main(words)
    out = capsys.readouterr().out
    assert "| test | 3 steps, cfg 4 | 2 steps, cfg 1 | kept | goal |" in out
    assert "goals missed:" in out
    figures = json.loads((tmp_path / "fast.json").read_text())
    assert figures["fingerprints"]["fast"] == load(fast, memory="cpu").fingerprint
    assert figures["standard"]["colors"]["pictures"] == figures["fast"]["colors"]["pictures"] == 1
    sheet = np.asarray(Image.open(tmp_path / "out" / "pairs-1.jpg").convert("RGB"), float)
    made = [
        np.asarray(Image.open(tmp_path / "out" / name / "pairs" / "pair-000.png"), float)
        for name in ("standard", "fast")
    ]
    for x, own, other in ((0, *made), (68, *made[::-1])):
        shown = sheet[20:84, x : x + 64]
        assert np.abs(shown - own).mean() < np.abs(shown - other).mean()


@pytest.mark.process
def test_the_bench_of_the_fast_one_adds_up(models, tmp_path, monkeypatch, capsys):
    standard, fast = models
    other = shutil.copytree(standard, tmp_path / "other")
    yaml = other / "sdnb.yaml"
    yaml.write_text(yaml.read_text().replace("steps: 25", "steps: 3"))
    monkeypatch.setattr(fast_speed.assets, "embedded_model", lambda: other)
    monkeypatch.setattr(fast_speed, "_tiny_vae", lambda: standard / "vae")
    path = tmp_path / "fast.json"
    words = ["cpu", "--fast", str(fast), "--rounds", "3", "--threads", "1", "--json", str(path)]
    assert main(words) == 0
    data = json.loads(path.read_text())
    assert list(data["runs"]) == ["standard", "fast", "fast, tiny VAE"]
    for name, runs in data["runs"].items():
        assert data["seconds"][name] == sorted(runs)[1]
        assert all(seconds >= 0 for seconds in data["parts"][name].values())
    printed = capsys.readouterr().out
    assert "64x64, 3 steps of ddim, cfg 4" in printed
    assert "64x64, 2 steps of ddim, cfg 1" in printed
    ratio = data["seconds"]["fast"] / data["seconds"]["standard"]
    assert f"fast: {ratio:.2f} of the standard's time" in printed
