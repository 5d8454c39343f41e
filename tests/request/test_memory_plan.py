"""Memory plans by name, by number and by hand; plans without a meaning are refused."""

import pytest

from sdnb.request import memory_plan
from sdnb.request.memory_plan import DecidedPlan, MemoryPlan


def test_every_named_plan_is_read_and_carries_its_name():
    names = memory_plan.names()
    assert names[0] == "auto"
    assert {"cpu", "file", "vae-on-cpu", *memory_plan.LADDER} == set(names[1:])
    for name in names[1:]:
        assert memory_plan.plan(name).name == name
    assert memory_plan.plan("auto") is None
    assert memory_plan.plan(2.5) is None
    assert memory_plan.plan("4gb").unet == "offload"
    assert memory_plan.plan("2gb").unet == "stream"
    assert memory_plan.plan("vae-on-cpu").vae == "cpu"
    assert memory_plan.plan("file").reads_files
    assert not memory_plan.plan("cpu").reads_files


def test_a_plan_by_hand_is_taken_as_it_is():
    plan = MemoryPlan(vae="cpu", batch=2)
    assert memory_plan.plan(plan) is plan
    assert plan.but(tile=64).tile == 64
    assert MemoryPlan().decided() == DecidedPlan(
        together=True, tile=0, store="device", chunk=0, keep=0.0
    )


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ("4 gb", ValueError, "4gb"),
        (None, TypeError, "a number of GB, or one of the names auto"),
        (True, TypeError, "memory=True"),
        ("", ValueError, "auto"),
        (0, ValueError, "above 0"),
        (float("nan"), ValueError, "above 0"),
        (float("inf"), ValueError, "above 0"),
        (10**400, ValueError, r"memory=2\*\*1328.*above 0"),
    ],
)
def test_an_unknown_plan_lists_the_known_ones(given, error, words):
    with pytest.raises(error, match=words):
        memory_plan.plan(given)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"unet": "gpu"}, "unet='gpu'.*resident"),
        ({"text": "file"}, "for a CPU, and device='auto'.*device='cpu'"),
        ({"vae": "file", "device": "cuda"}, "for a CPU, and device='cuda'.*'offload'"),
        ({"text": "stream"}, "text='stream'.*resident"),
        ({"batch": 0}, "batch=0"),
        ({"device": "gpu"}, "device='gpu'.*auto, cpu, cuda, mps"),
        ({"device": "cuda:"}, "device='cuda:'.*'cuda:1'"),
        ({"device": "cuda:" + "9" * 99}, "device='cuda:9"),
        ({"tile": -1}, "tile=-1"),
        ({"keep": 10**400}, r"keep=2\*\*1328"),
        ({"store": "disk"}, "store='disk'.*host"),
        ({"weights": "int8"}, "unet='stream'"),
        ({"speed": "compile", "unet": "stream"}, "speed='graph'"),
        ({"attention": "dense"}, "attention='dense'.*sliced"),
    ],
)
def test_a_plan_that_means_nothing_is_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        MemoryPlan(**fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"batch": 2.0}, "batch=2.0.*write 2"),
        ({"device": 1}, "device=1.*text"),
        ({"together": 1}, "together=1.*True or False"),
    ],
)
def test_a_plan_of_the_wrong_kind_is_refused(fields, words):
    with pytest.raises(TypeError, match=words):
        MemoryPlan(**fields)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:12", "mps"])
def test_a_device_is_one_that_the_plan_names(device):
    assert MemoryPlan(device=device).device == device


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: mine\nbatches: 3\n", "Key 'batches' not in 'MemoryPlan'. Did you mean: 'batch'"),
        ("batch: [", "flow node"),
        ("[1, 2]", r"it is \[1, 2\]"),
        ("", "it is None"),
        ("1: 2", "Key '1' not in 'MemoryPlan'"),
        ("name: ${oc.env:HOME}\nbatch: ${oc.env:HOME}", r"batch='\$\{oc.env:HOME\}'"),
        ("gb: " + "9" * 5000, "5,000 digits"),
        ("keep: .inf", "keep=inf"),
    ],
)
def test_a_damaged_plan_file_is_named(tmp_path, monkeypatch, text, words):
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "mine.yaml").write_text(text)
    monkeypatch.setattr(memory_plan.assets, "configs", lambda: tmp_path)
    with pytest.raises(ValueError, match=rf"mine.yaml is not a memory plan: .*{words}"):
        memory_plan.plan("mine")


def test_the_ladder_goes_down_to_its_end():
    plan, names = memory_plan.read("max"), []
    while plan is not None:
        names.append(plan.name)
        plan = memory_plan.below(plan)
    assert tuple(names) == memory_plan.LADDER
    assert memory_plan.below(memory_plan.read("cpu")) is None
    assert memory_plan.below(MemoryPlan()).name == "4gb"
    assert memory_plan.below(MemoryPlan(unet="stream")).name == "1gb"
