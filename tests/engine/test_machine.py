"""Limits of memory on a CPU: they hold, or it is said that they do not."""

import pytest

import sdnb
from sdnb.engine import memory
from sdnb.engine.planning import peaks, planner
from sdnb.engine.stages.prepare import beyond_limit, prepare
from sdnb.request.memory_plan import MemoryPlan

SMALL = sdnb.Request("a cat", width=64, height=64, steps=1, seed=1)


@pytest.fixture(scope="module")
def model():
    return sdnb.load(memory="cpu")


@pytest.fixture
def computer(monkeypatch):
    """Let this process take 0.5 GB, and so many others be free, of which half is ours."""

    def has(free):
        monkeypatch.setattr(peaks, "resident", lambda: 0.5)
        monkeypatch.setattr(memory, "free", lambda _: free / 2)

    return has


def first(model, request):
    """Begin a run, and break it off."""
    with pytest.MonkeyPatch.context() as patch:
        asked = []
        whole = planner.forecast
        patch.setattr(planner, "forecast", lambda *a: asked.append(a) or whole(*a))
        steps = sdnb.run(model, request)
        next(steps)
        steps.close()
    return bool(asked)


@pytest.mark.parametrize("limit", [0.1, MemoryPlan(device="cpu", gb=0.1)])
@pytest.mark.slow
def test_a_limit_that_is_too_low_is_said_when_loading_and_refused_before_any_work(limit):
    model = sdnb.load(memory=limit)
    assert any("A limit of 0.1 GB is too low: Python and the model" in n for n in model.notes)
    with pytest.raises(ValueError, match=r"64x64 needs .*there are 0\.10 GB. No size fits: give"):
        sdnb.generate(model, SMALL, progress=False)


@pytest.mark.slow
def test_a_limit_is_planned_for_and_what_is_free_does_not_lower_it(computer):
    """1024x1024 takes a leaner way within 1.0 GB than without a limit; 0.8 are too few."""
    computer(3)
    large = SMALL.but(width=1024, height=1024)
    model = sdnb.load(memory=1.0)
    assert not model.notes
    assert first(model, large)
    assert model.memory.tile or model.memory.chunk
    assert first(model, SMALL)
    assert (model.memory.tile, model.memory.chunk) == (0, 0)
    assert model.plan(large).gb <= 1.0 < sdnb.load(memory=64.0).plan(large).gb
    with pytest.raises(ValueError, match=r"there are 0\.80 GB\. \d+x\d+ fits"):
        next(sdnb.run(sdnb.load(memory=0.8), large))


@pytest.mark.slow
def test_a_limit_that_did_not_hold_is_said():
    model = sdnb.load(memory=64.0)
    assert beyond_limit(model, 65.5) == [
        "It took 65.50 GB, and 64 are allowed: on a CPU a limit is predicted, not enforced."
    ]
    assert sdnb.generate(model, SMALL, progress=False).notes == ()


@pytest.mark.slow
def test_pictures_of_a_usual_size_wait_for_no_plan_and_large_ones_do(model, computer):
    computer(16)
    assert not first(model, SMALL)
    assert not first(model, SMALL.but(width=512, height=512))
    assert first(model, SMALL.but(width=576, height=512))
    computer(0.2)
    large = SMALL.but(width=2048, height=2048)
    assert not first(model, SMALL)
    with pytest.raises(ValueError, match=r"2048x2048 needs .* No size fits: free some memory"):
        next(sdnb.run(model, large))


@pytest.mark.slow
def test_more_than_half_of_what_is_free_is_taken_and_said(model, computer, monkeypatch):
    computer(1.6)
    large, notes = SMALL.but(width=2048, height=2048), []
    prepare(model, large.resolved(model.settings), notes)
    assert "more than half of the memory that was free" in notes[0]
    assert model.memory.tile
    assert not first(model, SMALL)
    assert model.memory.tile == 0  # and the usual way again


@pytest.mark.parametrize("name", ["4gb", "max", "vae-on-cpu"])
@pytest.mark.slow
def test_a_cards_plan_is_said_to_limit_nothing_here(name, computer):
    computer(16)
    model = sdnb.load(memory=name)
    assert any(f"memory={name!r} is a plan for an NVIDIA card" in note for note in model.notes)
    assert model.plan(SMALL.but(width=2048, height=2048)).refusal == ""
