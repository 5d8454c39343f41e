"""The grid's benchmark: it measures what it says, and its figures add up."""

import json

import pytest

from sdnb.bench import main


@pytest.mark.picture
def test_the_benchmark_prints_ratios_of_one_run(tmp_path, capsys):
    path = tmp_path / "grid.json"
    args = ["grid", "--size", "64", "--steps", "1", "--rounds", "2", "--memory", "cpu"]
    assert main([*args, "--batch", "12", "--json", str(path)]) == 0
    data = json.loads(path.read_text())
    assert data["bench"] == "grid"
    assert list(data["runs"]) == ["generate", "grid", "grid, batch 12"]
    for name, seconds in data["runs"].items():
        assert len(seconds) == 2
        assert data["medians"][name] == pytest.approx(sum(seconds) / 2)
        ratio = data["medians"][name] / data["medians"]["generate"]
        assert data["ratios"][name] == pytest.approx(ratio)
    printed = capsys.readouterr().out
    assert "12 pictures of 64x64, 1 step of ddim" in printed
    assert f"{data['ratios']['grid, batch 12']:.2f}" in printed
