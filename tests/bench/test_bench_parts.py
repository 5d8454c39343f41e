"""Where the seconds of a picture go: parts that add up to the whole."""

import pytest
import torch
from bench.test_bench_load import SMALL

import sdnb
from sdnb.bench import card, gpu, picture_parts, random_sd


@pytest.mark.picture
def test_the_parts_of_a_picture_are_its_whole(tmp_path, monkeypatch):
    path, settled = random_sd.write(tmp_path, config=SMALL), []
    request = card.request_of(128, steps=3)
    with sdnb.load(path, memory="max") as model:
        seconds = picture_parts.seconds_of(model, request, lambda: settled.append(True))
        assert {*seconds} == {*picture_parts.PARTS, "whole"}
        assert sum(seconds[part] for part in picture_parts.PARTS) == pytest.approx(seconds["whole"])
        assert min(seconds[part] for part in ("plan", "steps", "decode")) > 0
        assert seconds["text"] >= 0
        assert len(settled) >= 5  # before, when it is ready, after each step, at the end
        still = request.but(image=sdnb.images.picture(torch.zeros(128, 128, 3).byte().numpy()))
        with pytest.raises(ValueError, match="takes no step"):
            picture_parts.seconds_of(model, still.but(strength=0))
    monkeypatch.setattr(gpu, "OURS", [card.Case("resident", 128, 3)])
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    [cell] = gpu.cells("parts", path, "[]")
    name = cell.pop("name")
    told = gpu.table({"parts": {name: cell}})
    assert told.splitlines()[-1].startswith("sdnb 128 resident, a picture in ")
    assert f"decode {1000 * cell['decode']:.1f}" in told
