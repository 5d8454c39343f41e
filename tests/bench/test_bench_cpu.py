"""The CPU's benchmark: each side in its own process, and figures that add up."""

import json
from contextlib import contextmanager

import pytest

from sdnb.bench import cpu, main

pytestmark = pytest.mark.process


def test_both_sides_are_measured_alike(tmp_path, capsys):
    path = tmp_path / "cpu.json"
    args = ["cpu", "--size", "64", "--steps", "1", "--rounds", "3", "--threads", "1"]
    assert main([*args, "--json", str(path)]) == 0
    data = json.loads(path.read_text())
    assert (data["bench"], data["size"], data["steps"]) == ("cpu", 64, 1)
    assert list(data["runs"]) == list(data["memory"]) == ["sdnb", "diffusers"]
    for name, memory in data["memory"].items():
        assert data["seconds"][name] == sorted(data["runs"][name])[1]
        assert 50e6 < memory["imports"] < memory["peak"] < 4e9
    seconds, memory, ratios = data["seconds"], data["memory"], data["ratios"]
    assert ratios["seconds"] == pytest.approx(seconds["sdnb"] / seconds["diffusers"])
    ours, theirs = memory["sdnb"], memory["diffusers"]
    assert ratios["peak"] == pytest.approx(ours["peak"] / theirs["peak"])
    above = (ours["peak"] - ours["imports"]) / (theirs["peak"] - theirs["imports"])
    assert ratios["above_imports"] == pytest.approx(above)
    printed = capsys.readouterr().out
    assert "built-in model, 64x64, 1 step of ddim, 1 thread" in printed
    assert f"{ratios['peak']:.2f} of the peak memory ({above:.2f} without the imports)" in printed


def test_without_diffusers_it_says_so(monkeypatch):
    @contextmanager
    def side(_name, _asked):  # the processes are tried above
        yield lambda word: {"peak": 2e9, "imports": 1e9} if word == "memory" else True

    monkeypatch.setattr(cpu, "find_spec", lambda _: None)
    monkeypatch.setattr(cpu, "_side", side)
    lines: list[str] = []
    data = cpu.bench_cpu(rounds=1, steps=1, size=64, say=lines.append)
    assert "not installed" in lines[0]
    assert list(data["runs"]) == ["sdnb"]
    assert "ratios" not in data
    assert "diffusers" not in cpu.table(data)


def test_a_side_that_ends_is_named():
    asked = {"path": "no-such-file.ckpt", "size": 64, "steps": 1, "threads": 1}
    with cpu._side("sdnb", asked) as ask, pytest.raises(RuntimeError, match="sdnb's process"):
        ask("picture")
