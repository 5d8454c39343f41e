"""The benchmark with a ControlNet: both sides run it, here on the CPU; its figures add up."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from bench.test_bench_load import SMALL

from sdnb import bench
from sdnb.bench import card, control_speed, random_net, random_sd


@pytest.mark.process
def test_both_sides_read_the_same_network(tmp_path, monkeypatch):
    """Two plans give one picture, which the network changes; diffusers' side runs."""

    def measured(work, *_):
        return dict.fromkeys(("ms", "reserved", "allocated"), 1.0), work()

    monkeypatch.setattr(card, "measure", measured)
    monkeypatch.setattr(card, "place", lambda pipe, _: pipe)
    monkeypatch.setattr(card, "clean", lambda: None)
    path = random_sd.write(tmp_path, config=SMALL)
    random_net.write(tmp_path / "net", SMALL)
    monkeypatch.setattr(control_speed, "OURS", {
        which: [
            replace(case, size=64, steps=4) for case in cases
            if case.name in ("512 resident", "512 least")
        ]
        for which, cases in control_speed.OURS.items()
    })  # fmt: skip
    theirs = replace(control_speed.THEIRS[0], size=64, steps=4)
    monkeypatch.setattr(control_speed, "THEIRS", [theirs])
    data = {"sdnb": {}, "diffusers": {}}
    for side, which in (("sdnb", "resident"), ("sdnb", "lean"), ("diffusers", "")):
        for cell in control_speed.cells(side, path, which):
            data[side][cell.pop("name")] = cell
    assert not [cell for cells in data.values() for cell in cells.values() if "error" in cell]
    assert {cell["largest"] for cell in data["sdnb"].values()} <= {0, 1}
    assert len(data["sdnb"]) == 2
    assert data["diffusers"]["64 resident"]["step"] > 0
    assert len(control_speed.table(data).splitlines()) == 1 + 3 + 1


def test_its_aims_and_pairs_are_of_cells_that_are_measured():
    cases = [case for some in control_speed.OURS.values() for case in some]
    ours = {case.name for case in cases}
    theirs = {case.name for case in control_speed.THEIRS}
    assert len(ours) == len(cases)
    whole = {(c.size, c.works) for c in control_speed.RESIDENT}
    assert whole >= {(c.size, c.works) for c in control_speed.LEAN}  # with what they are compared
    assert {mine for mine, _ in control_speed.PAIRS} <= ours
    assert {other for _, other in control_speed.PAIRS} <= theirs
    assert {name for name, *_ in control_speed.AIMS} <= ours
    cell = {"step": 8.0, "ms": 9.0, "reserved": 0.5, "predicted": 0.4, "largest": 1}
    told = control_speed.table({"sdnb": {"512 resident": cell, "512 least": cell}})
    assert "512 resident: step 8.00, aim 8.5: reached" in told
    assert "512 least: reserved 0.50, aim 0.45: NOT reached" in told
    assert "predicted / measured peak: 0.80 to 0.80" in told


def test_the_command_asks_for_a_card(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="`sdnb bench gpu --control` needs a CUDA card"):
        bench.main(["gpu", "--control", "--out", str(tmp_path)])
    assert not [*tmp_path.iterdir()]
