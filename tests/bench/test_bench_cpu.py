"""The CPU's benchmark: each side in its own process, and figures that add up."""

import copy
import json
from contextlib import contextmanager

import numpy as np
import pytest

from sdnb.bench import cpu, cpu_peers, cpu_process, cpu_side, main

pytestmark = pytest.mark.process


def test_both_sides_are_measured_alike(tmp_path, capsys, monkeypatch):
    path = tmp_path / "cpu.json"
    args = ["cpu", "--size", "64", "--steps", "1", "--rounds", "3", "--threads", "1"]
    monkeypatch.setattr(cpu, "SIDES", {name: (name,) for name in ("sdnb", "diffusers")})
    assert main([*args, "--json", str(path)]) == 0
    data = json.loads(path.read_text())
    assert (data["bench"], data["size"], data["steps"]) == ("cpu", 64, 1)
    assert list(data["runs"]) == list(data["memory"]) == ["sdnb", "diffusers"]
    for name, memory in data["memory"].items():
        assert data["seconds"][name] == sorted(data["runs"][name])[1]
        assert 50e6 < memory["imports"] < memory["peak"] < 4e9
    assert data["psnr"]["diffusers"] == 99.0  # itself
    assert data["psnr"]["sdnb"] > 60
    seconds, memory, ratios = data["seconds"], data["memory"], data["ratios"]["sdnb"]
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
        yield {"memory": {"peak": 2e9, "imports": 1e9}, "picture": True, "pixels": "00"}.get

    monkeypatch.setattr(cpu, "find_spec", lambda name: name == "sdnb" or None)
    monkeypatch.setattr(cpu, "side", side)
    lines: list[str] = []
    data = cpu.bench_cpu(rounds=1, steps=1, size=64, say=lines.append)
    assert "not installed" in lines[0]
    assert list(data["runs"]) == ["sdnb"]
    assert "ratios" not in data
    assert "diffusers" not in cpu.table(data)


def test_a_side_that_ends_is_named():
    asked = {"path": "no-such-file.ckpt", "size": 64, "steps": 1, "threads": 1}
    with (
        cpu_process.side("sdnb", asked) as ask,
        pytest.raises(RuntimeError, match="sdnb's process"),
    ):
        ask("picture")


def test_several_tables_and_a_truth_in_full_precision(monkeypatch):
    """onnxruntime has no bf16 on a CPU; in bf16 all are compared with diffusers in fp32."""
    asked = []

    @contextmanager
    def side(name, one):
        asked.append((name, one["threads"], one["precision"]))
        pixels = "80" if one["precision"] == "full" else "7f"
        yield {"memory": {"peak": 2e9, "imports": 1e9}, "picture": True, "pixels": pixels}.get

    monkeypatch.setattr(cpu, "find_spec", lambda _: True)
    monkeypatch.setattr(cpu, "side", side)
    lines: list[str] = []
    kinds = ["full", "bf16"]
    data = cpu.bench_cpu(1, 1, [1, 2], precision=kinds, size=64, say=lines.append)
    full, bf16 = data["tables"][:2]
    assert list(full["runs"]) == ["sdnb", "diffusers", "openvino", "onnxruntime"]
    assert list(bf16["runs"]) == ["sdnb", "diffusers", "openvino"]
    assert set(full["psnr"].values()) == {99.0}
    assert bf16["psnr"]["diffusers"] == pytest.approx(48.13, abs=0.01)  # off by 1 of 255
    assert [(t["threads"], t["precision"]) for t in data["tables"]] == [
        (1, "full"), (1, "bf16"), (2, "full"), (2, "bf16"),
    ]  # fmt: skip
    assert asked.count(("diffusers", 1, "full")) == 2  # once more, as the truth
    assert "openvino in multiples of diffusers" in lines[1]
    assert "64x64, 1 step of ddim, 2 threads, bf16" in lines[3]


def test_a_compiled_pipeline_gives_diffusers_own_picture(monkeypatch):
    """With a compiler that compiles nothing: what is compiled is all that there is to compute."""
    given = []

    def compiled(module, inputs, precision):
        given.append((type(module).__name__, [tuple(x.shape) for x in inputs], precision))
        return copy.deepcopy(module)  # as it is now

    monkeypatch.setattr(cpu_peers, "COMPILERS", {"none": lambda: compiled})
    size = {"path": None, "size": 64, "steps": 2}
    own = cpu_side._diffusers()(**size, precision="full")()
    other = cpu_peers.loader(cpu_side._diffusers(), "none")(**size, precision="bf16")()
    assert np.abs(np.asarray(own).astype(int) - np.asarray(other)).max() <= 1
    width = 256
    assert given == [
        ("_UNetOfTensors", [(2, 4, 8, 8), (2,), (2, 77, width)], "bf16"),
        ("_DecoderOfTensors", [(1, 4, 8, 8)], "bf16"),
    ]


@pytest.mark.parametrize("more", [["--threads", "1", "2"], ["--precision", "bf16"]])
def test_the_fast_model_refuses_what_it_would_leave_out(more, capsys):
    with pytest.raises(SystemExit):
        main(["cpu", "--fast", *more])
    assert "--fast is measured in full precision" in capsys.readouterr().err


def test_memory_plans_are_measured_beside_all_in_memory(tmp_path, capsys):
    path = tmp_path / "memory.json"
    args = ["cpu", "--memory", "file", "0.9", "--size", "64", "--steps", "1", "--rounds", "1"]
    assert main([*args, "--threads", "1", "--json", str(path)]) == 0
    data = json.loads(path.read_text())
    assert list(data["plans"]) == ["cpu", "file", "0.9"]
    for its in data["plans"].values():
        assert its["largest"] <= 1
        assert 0.05 < its["imports"] < its["peak"] < 4
    assert data["plans"]["cpu"]["times"] == 1.0
    assert data["plans"]["file"]["plan"] == "file"
    # All fits: then the 0.2 GB that a first run of any model may leave behind are counted.
    within = data["plans"]["0.9"]
    assert within["plan"] == "cpu"
    assert 0 < within["expected"] - within["peak"] < 0.3
    printed = capsys.readouterr().out
    assert "built-in model, 64x64, 1 step of ddim, 1 thread" in printed
    assert "/255" in printed


def test_plans_are_measured_by_one_number_of_threads(capsys):
    with pytest.raises(SystemExit):
        main(["cpu", "--memory", "--threads", "1", "2"])
    assert "one number of --threads" in capsys.readouterr().err
