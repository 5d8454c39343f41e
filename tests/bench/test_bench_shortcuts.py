"""The table of shortcuts: each makes the same pictures as the run without any."""

import pytest

from sdnb.bench import shortcut_speed


@pytest.mark.picture
def test_each_is_compared_with_the_run_without_any(monkeypatch):
    asked = []
    few = {name: shortcut_speed.SHORTCUTS[name] for name in ("none", "cfg_every=2", "cfg_end=0.6")}
    monkeypatch.setattr(shortcut_speed, "SHORTCUTS", few)
    whole = shortcut_speed._make

    def noted(model, fields, *others):
        asked.append(fields)
        whole(model, {"width": 64, "height": 64, **fields}, *others)

    monkeypatch.setattr(shortcut_speed, "_make", noted)
    said = []
    data = shortcut_speed.bench_shortcuts(rounds=1, steps=4, memory="cpu", say=said.append)
    assert asked == [*few.values()] * 2  # once before, and one round
    assert data["psnr"]["none"] == 99
    assert all(5 < data["psnr"][name] < 60 for name in few if name != "none")
    assert data["share"]["none"] == 1
    assert [line.split()[0] for line in said[0].splitlines()[2:]] == list(few)
    assert f"{data['share']['cfg_every=2']:.2f}" in said[0]
