"""Plans by name, by number and by hand: data that refuses what means nothing."""

import pytest

from sdnb.request import memory_plan as plans
from sdnb.request.memory_plan import DecidedPlan, MemoryPlan


def test_every_named_plan_is_read_and_carries_its_name():
    names = plans.names()
    assert names[0] == "auto"
    assert {"cpu", "vae-on-cpu", *plans.LADDER} == set(names[1:])
    for name in names[1:]:
        assert plans.plan(name).name == name
    assert plans.plan("auto") is None
    assert plans.plan(2.5) is None
    assert plans.plan("4gb").unet == "offload"
    assert plans.plan("2gb").unet == "stream"
    assert plans.plan("vae-on-cpu").vae == "cpu"


def test_a_plan_by_hand_is_taken_as_it_is():
    plan = MemoryPlan(vae="cpu", batch=2)
    assert plans.plan(plan) is plan
    assert plan.but(tile=64).tile == 64
    assert MemoryPlan().decided() == DecidedPlan(
        together=True, tile=0, store="device", chunk=0, keep=0.0
    )


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ("4 gb", ValueError, "4gb"),
        (None, TypeError, "a number of GB, or one of the names auto"),
        (True, TypeError, "memory=True"),
        ("", ValueError, "auto"),
        (0, ValueError, "above 0"),
        (float("nan"), ValueError, "above 0"),
    ],
)
def test_an_unknown_plan_lists_the_known_ones(given, error, said):
    with pytest.raises(error, match=said):
        plans.plan(given)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"unet": "gpu"}, "unet='gpu'.*resident"),
        ({"text": "stream"}, "text='stream'.*resident"),
        ({"batch": 0}, "batch=0"),
        ({"device": "gpu"}, "device='gpu'.*auto, cpu, cuda, mps"),
        ({"device": "cuda:"}, "device='cuda:'.*'cuda:1'"),
        ({"tile": -1}, "tile=-1"),
        ({"store": "disk"}, "store='disk'.*host"),
        ({"weights": "int8"}, "unet='stream'"),
        ({"speed": "compile", "unet": "stream"}, "speed='graph'"),
        ({"attention": "dense"}, "attention='dense'.*sliced"),
    ],
)
def test_a_plan_that_means_nothing_is_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        MemoryPlan(**fields)


@pytest.mark.parametrize(
    ("fields", "said"), [({"batch": 2.0}, "batch=2.0.*write 2"), ({"device": 1}, "device=1.*text")]
)
def test_a_plan_of_the_wrong_kind_is_refused(fields, said):
    with pytest.raises(TypeError, match=said):
        MemoryPlan(**fields)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:12", "mps"])
def test_a_device_is_one_that_the_plan_names(device):
    assert MemoryPlan(device=device).device == device


def test_a_damaged_plan_file_is_named(tmp_path, monkeypatch):
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "mine.yaml").write_text("name: mine\nbatches: 3\n")
    monkeypatch.setattr(plans.assets, "configs", lambda: tmp_path)
    with pytest.raises(ValueError, match=r"mine.yaml.*batches"):
        plans.plan("mine")


def test_the_ladder_goes_down_to_its_end():
    plan, names = plans.read("max"), []
    while plan is not None:
        names.append(plan.name)
        plan = plans.below(plan)
    assert tuple(names) == plans.LADDER
    assert plans.below(plans.read("cpu")) is None
    assert plans.below(MemoryPlan()).name == "4gb"
    assert plans.below(MemoryPlan(unet="stream")).name == "1gb"
