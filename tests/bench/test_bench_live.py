"""Pictures a second on a card: the requests of a hand, here on the CPU with a small model."""

import pytest
import torch
from bench.test_bench_load import SMALL

from sdnb.bench import card, live_speed, random_lora, random_sd


@pytest.mark.picture
def test_each_change_gives_another_picture_until_the_time_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr(live_speed, "SIZE", 128)
    monkeypatch.setattr(live_speed, "SECONDS", 0.1)
    monkeypatch.setattr(live_speed, "FIRST", 1)
    monkeypatch.setattr(live_speed, "_drawn", lambda sheet, n: 0 * drawn(sheet, n) + 4 * n % 256)
    seen = []
    made = live_speed.jpeg
    monkeypatch.setattr(live_speed, "jpeg", lambda image: seen.append(made(image)))
    path = random_sd.write(tmp_path, config=SMALL)
    write = random_lora.write
    monkeypatch.setattr(random_lora, "write", lambda path, rank: write(path, rank, SMALL))
    cells = {cell.pop("name"): cell for cell in live_speed.cells("sdnb", path, "")}
    assert len(cells) == 3
    assert len(set(seen)) == len(seen) > 3
    told = live_speed.table({"sdnb": cells | {"a slow one": dict.fromkeys(cells["the seed"], 1.0)}})
    assert told.splitlines()[-1].endswith("goal 15 missed")


drawn = live_speed._drawn


def test_it_needs_a_card(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="`sdnb bench gpu --live` needs a CUDA card"):
        live_speed.bench_live(tmp_path)
    assert not [*tmp_path.iterdir()]
    assert card.request_of(64, 1).cfg != 1  # what the hand's requests change
