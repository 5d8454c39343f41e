"""The widgets' benchmark runs, and its figures add up."""

import json

import pytest

from sdnb import bench
from sdnb.bench import live_page
from sdnb.bench.widgets import bench_widgets


@pytest.mark.picture
def test_the_figures_add_up():
    lines = []
    data = bench_widgets(rounds=1, steps=3, moves=20, say=lines.append, browser=False)
    assert data["bare_seconds"] > 0
    assert data["panel_seconds"] > 0
    assert 0 < data["previews_a_run"] <= 3
    assert 0 < data["preview_percent"] < 100
    assert 500 < data["preview_bytes"] < 40_000
    assert [(ink["side"], ink["busy"]) for ink in data["ink"]] == [
        (512, False), (512, True), (1088, False), (1088, True),
    ]  # fmt: skip
    assert all(0 < ink["median_ms"] <= ink["p95_ms"] for ink in data["ink"])
    assert f"{data['preview_percent']:.2f} %" in lines[0]


MEASURED = {
    "width": 256, "height": 192, "steps": 4, "sampler": "lcm", "is_fast": True, "strokes": 9,
    "picture_seconds": 0.69, "finished_seconds": 0.91, "run_seconds": 0.85,
    "ink": {"alone": {"median_ms": 12.2, "p95_ms": 30.4, "moves": 42},
            "busy": {"median_ms": 35.6, "p95_ms": 51.0, "moves": 42}},
}  # fmt: skip


def test_live_says_its_figures_and_whether_the_variant_for_few_steps_made_them():
    words = live_page.table(MEASURED)
    assert "256x192, 4 steps of lcm, by the built-in model's variant for few steps" in words
    assert "first picture that shows it: 0.69 s (median of 9); goal 0.7 s met" in words
    assert "to the finished one: 0.91 s, its run 0.85 s" in words
    assert "while pictures are made:  median 36 ms, 95 % within 51 ms; goal 35 ms missed" in words
    slow = live_page.table({**MEASURED, "is_fast": False})
    assert "the weights of its variant for few steps are not there" in slow


def test_live_is_a_flag_whose_figures_are_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(live_page, "missing", lambda: "no Chromium was found")
    file = tmp_path / "live.json"
    assert bench.main(["widgets", "--live", "--json", str(file)]) == 1
    assert "not measured: no Chromium was found" in capsys.readouterr().out
    assert json.loads(file.read_text())["bench"] == "widgets"
