"""Plans by name and by hand, and brackets that give back what they took."""

import pytest
import torch
from torch import nn

from sdnb import memory
from sdnb.memory import MemoryPlan

CPU, META = torch.device("cpu"), torch.device("meta")


def test_every_named_plan_is_read_and_carries_its_name():
    names = memory.names()
    assert names[0] == "auto"
    assert {"cpu", "max", "4gb", "8gb"} <= set(names)
    for name in names[1:]:
        plan = memory.plan(name)
        assert plan.name == name
        assert plan.attention in ("auto", "sdpa", "sliced", "xformers")
    assert memory.plan("auto") is None
    assert memory.plan("4gb").unet == "offload"
    assert memory.plan("vae-on-cpu").vae == "cpu"


def test_a_plan_by_hand_is_taken_as_it_is():
    plan = MemoryPlan(vae="cpu", batch=2)
    assert memory.plan(plan) is plan


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [("4 gb", ValueError, "4gb"), (4, TypeError, "names auto"), ("", ValueError, "auto")],
)
def test_an_unknown_plan_lists_the_known_ones(given, error, said):
    with pytest.raises(error, match=said):
        memory.plan(given)


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"unet": "gpu"}, "unet='gpu'.*resident"), ({"batch": 0}, "batch=0")],
)
def test_a_plan_that_means_nothing_is_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        MemoryPlan(**fields)


def test_a_damaged_plan_file_is_named(tmp_path, monkeypatch):
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "mine.yaml").write_text("name: mine\nbatches: 3\n")
    monkeypatch.setattr(memory.assets, "configs", lambda: tmp_path)
    with pytest.raises(ValueError, match=r"mine.yaml.*batches"):
        memory.plan("mine")


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="no CUDA device"):
        memory.device_of(MemoryPlan(device="cuda"))
    assert memory.device_of(MemoryPlan(device="cpu")) == CPU


@pytest.mark.parametrize(
    ("card", "capability", "expected"),
    [
        ("NVIDIA GeForce GTX 1660 SUPER", (7, 5), torch.float32),
        ("NVIDIA GeForce GTX 1650", (7, 5), torch.float32),
        ("NVIDIA GeForce GTX 1080", (6, 1), torch.float32),
        ("NVIDIA GeForce RTX 2060", (7, 5), torch.float16),
        ("NVIDIA H100", (9, 0), torch.float16),
    ],
)
def test_auto_precision_is_full_on_cards_whose_half_is_broken(
    card, capability, expected, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: card)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    dtype, notes = memory.dtype("auto", torch.device("cuda"))
    assert dtype == expected
    assert [card in note for note in notes] == [True] * (expected == torch.float32)
    assert memory.dtype("half", torch.device("cuda")) == (torch.float16, [])


def test_precision_on_a_cpu_and_an_unknown_one():
    assert memory.dtype("auto", CPU) == (torch.float32, [])
    assert memory.dtype("bf16", CPU) == (torch.bfloat16, [])
    with pytest.raises(ValueError, match=r"precision='fp16'.*half"):
        memory.dtype("fp16", CPU)


@pytest.mark.parametrize(("free", "expected"), [(20, "max"), (5.5, "8gb"), (4, "4gb"), (1, "4gb")])
def test_auto_goes_by_free_memory(free, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (int(free * 2**30), 24 * 2**30))
    assert memory.choose(2 * 2**30, torch.device("cuda")).name == expected
    assert memory.choose(2 * 2**30, CPU).name == "cpu"


def test_xformers_needs_a_card():
    with pytest.raises(ValueError, match="needs a CUDA device"):
        memory.attention(MemoryPlan(attention="xformers"), CPU)


@pytest.mark.parametrize("inference", [False, True])
def test_an_offloaded_part_is_on_the_device_inside_only(inference):
    """The meta device stands for a card: tensors there have no data, nothing can be copied back."""
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).requires_grad_(False)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    with torch.inference_mode(inference):
        with memory.use(module, "offload", META) as device, memory.use(module, "offload", META):
            assert device == META
            assert {t.device for t in module.state_dict().values()} == {META}
        with pytest.raises(RuntimeError, match="stop"), memory.use(module, "offload", META):
            raise RuntimeError("stop")
    after = module.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize(
    ("placement", "device", "inside"),
    [("resident", META, META), ("cpu", META, CPU), ("offload", CPU, CPU), ("resident", CPU, CPU)],
)
def test_other_placements_move_nothing(placement, device, inside):
    module = nn.Linear(2, 2)
    with memory.use(module, placement, device) as found:
        assert found == inside
        assert module.weight.device == CPU


def test_peak_sees_what_was_there_for_a_moment():
    with memory.Peak(CPU) as peak:
        start = peak.read()
        block = torch.ones(64 * 2**20)  # 256 MB
        peak._done.wait(0.2)
        del block
    assert peak.read() - start > 0.2
