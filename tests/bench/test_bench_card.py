"""The parts of the card's benchmarks that need no card: processes, tables, the clock."""

import os
import sys

import pytest
import torch

from sdnb.bench import alternating, caps, card, gpu, recorded


@pytest.mark.parametrize(("name", "bench"), [("gpu", gpu.bench_gpu), ("caps", caps.bench_caps)])
def test_without_a_card_it_says_so_and_writes_nothing(name, bench, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match=f"`sdnb bench {name}` needs a CUDA card"):
        bench(tmp_path)
    assert not [*tmp_path.iterdir()]


def test_a_side_is_measured_in_a_process_of_its_own(tmp_path, monkeypatch):
    """Cells come back by name, in order; its other output is ignored."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys, types\n"
        "bench = types.ModuleType('sdnb.bench.made_up')\n"
        "def cells(side, path, asked):\n"
        "    print('a warning')\n"
        "    for i in range(2):\n"
        "        about = {'asked': asked, 'path': path.name, 'in': os.getpid()}\n"
        "        yield {'name': f'{side} {i}', **about}\n"
        "bench.cells = cells\n"
        "sys.modules['sdnb.bench.made_up'] = bench\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    lines, cells, kept = [], {}, []
    card.child(
        "made_up", "ours", tmp_path / "model", '["x"]', cells=cells, say=lines.append,
        keep=lambda: kept.append(len(cells)),
    )  # fmt: skip
    assert [*cells] == ["ours 0", "ours 1"]
    assert cells["ours 1"]["asked"] == '["x"]'
    assert cells["ours 1"]["path"] == "model"
    assert cells["ours 0"]["in"] != os.getpid()
    assert len(lines) == 2
    assert kept == [1, 2]  # so a run that is broken off keeps its cells


def test_what_is_held_against_each_other_is_measured():
    ours, theirs = (
        {cell.name for cell in cells}
        for cells in ((*gpu.OURS, gpu.COMPILED), (*gpu.THEIRS, gpu.THEIRS_COMPILED))
    )
    for mine, other in gpu.PAIRS:
        assert mine in ours
        assert other in theirs
    data = recorded()
    assert "predicted / measured peak" in gpu.table(data)
    data = {
        side: {f"1.0 {n}": {"cap": 1.0, "size": n}}
        for side, n in (("sdnb", 2048), ("diffusers", 512))
    }
    assert caps.table(data).splitlines()[-1].split() == ["1", "GiB", "2048", "512"]


def test_makers_take_turns_after_a_first_time():
    calls = []
    makers = {name: lambda name=name: calls.append(name) for name in "ab"}
    runs = alternating.in_turn(makers, 3)
    assert calls == [*"ab"] * 4
    assert {name: len(seconds) for name, seconds in runs.items()} == {"a": 3, "b": 3}
    assert min(min(seconds) for seconds in runs.values()) >= 0
