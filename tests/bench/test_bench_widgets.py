"""The widgets' benchmark runs, and its figures add up."""

import pytest

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
