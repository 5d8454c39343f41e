"""Tensors on disk: brought into any target, exactly, and into modules, strictly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sdnb.engine.checkpoint import CheckpointError, LazyTensor, assign_weights
from sdnb.engine.checkpoint import tensors as module
from sdnb.engine.checkpoint.tensors import keep_open

TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


def on_disk(path: Path, tensor: torch.Tensor, offset: int = 0) -> LazyTensor:
    data = tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
    path.write_bytes(b"\xff" * offset + data + b"\xff" * 7)
    return LazyTensor(path, offset, tuple(tensor.shape), tensor.dtype)


@pytest.mark.parametrize("source", TYPES)
@pytest.mark.parametrize("target", TYPES)
def test_conversion_is_torchs_own(tmp_path, monkeypatch, source, target):
    tensor = torch.randn(3, 50_000).to(source)
    monkeypatch.setattr(module, "WINDOW", 70_001)  # several, and none at a page's start
    monkeypatch.setattr(module, "STEP", 999)
    for offset in (0, 8, 13):
        lazy = on_disk(tmp_path / f"t{offset}", tensor, offset=offset)
        assert torch.equal(lazy.read(target), tensor.to(target))


@settings(max_examples=60)
@given(
    shape=st.lists(st.integers(0, 5), min_size=0, max_size=4),
    step=st.integers(1, 7),
    data=st.data(),
)
def test_every_shape_and_layout(tmp_path_factory, shape, step, data):
    tensor = torch.randn(shape)
    lazy = on_disk(tmp_path_factory.mktemp("t") / "t", tensor, offset=data.draw(st.integers(0, 9)))
    order = data.draw(st.permutations(range(len(shape))))
    target = torch.empty([shape[i] for i in order], dtype=torch.float64)
    target = target.permute([order.index(i) for i in range(len(shape))])  # any layout in memory
    before, module.WINDOW = module.WINDOW, 4 * step
    try:
        lazy.read_into(target)
    finally:
        module.WINDOW = before
    assert torch.equal(target, tensor.double())


def test_channels_last_targets_keep_their_layout(tmp_path):
    tensor = torch.randn(64, 33, 3, 3)
    target = torch.empty(64, 33, 3, 3, dtype=torch.float16, memory_format=torch.channels_last)
    on_disk(tmp_path / "t", tensor).read_into(target)
    assert torch.equal(target, tensor.half())
    assert target.is_contiguous(memory_format=torch.channels_last)


def test_transposed_and_sliced_sources(tmp_path):
    base = torch.randn(6, 8)
    lazy = on_disk(tmp_path / "t", base)
    turned = LazyTensor(lazy.file, 0, (8, 6), torch.float32, stride=(1, 8))
    assert torch.equal(turned.read(), base.t())
    column = LazyTensor(lazy.file, 4 * 3, (6,), torch.float32, stride=(8,))
    assert torch.equal(column.read(torch.float64), base[:, 3].double())
    assert torch.equal(turned.reshaped((8, 6, 1, 1)).read(), base.t()[:, :, None, None])


def test_a_target_of_another_shape_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        on_disk(tmp_path / "t", torch.zeros(3, 2)).read_into(torch.zeros(2, 3))


def test_a_file_that_became_shorter(tmp_path):
    lazy = on_disk(tmp_path / "t", torch.zeros(1000))
    (tmp_path / "t").write_bytes(b"\0" * 100)
    for target in (torch.empty(1000), torch.empty(1000, dtype=torch.float16)):
        with pytest.raises(CheckpointError, match="ends before one of its tensors does"):
            lazy.read_into(target)
    with pytest.raises(CheckpointError, match="ends before"):
        lazy.sample()


def test_files_are_closed_at_the_end(tmp_path):
    lazy = on_disk(tmp_path / "t", torch.zeros(10))
    with keep_open():
        lazy.read()
        with keep_open():
            lazy.read()
        (handle,) = module._local.files.values()
        assert not handle.closed
    assert handle.closed
    (tmp_path / "t").unlink()  # Windows refuses this for an open file


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.conv = nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last)


@pytest.fixture
def small(tmp_path):
    """The module on the meta device, its true weights, and those on disk."""
    true = Small()
    nn.init.normal_(true.norm.running_mean)
    with torch.device("meta"):
        empty = Small()
    lazy = {name: on_disk(tmp_path / name, t) for name, t in true.state_dict().items()}
    return empty, true, lazy


def test_fill_gives_every_weight_its_values(small):
    empty, true, lazy = small
    assign_weights(empty, lazy, dtype=torch.bfloat16, device="cpu", what="module")
    for name, tensor in empty.state_dict().items():
        expected = true.state_dict()[name]
        kind = torch.bfloat16 if expected.is_floating_point() else expected.dtype
        assert torch.equal(tensor, expected.to(kind)), name
    assert empty.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert not any(p.requires_grad for p in empty.parameters())


def test_fill_lists_what_does_not_fit_and_changes_nothing(small):
    empty, _, lazy = small
    lazy["extra.weight"] = lazy.pop("conv.bias")
    lazy["norm.weight"] = lazy["norm.weight"].reshaped((2, 2))
    with pytest.raises(CheckpointError) as error:
        assign_weights(empty, lazy, dtype=torch.float32, device="cpu", what="module")
    assert "1 missing: conv.bias" in str(error.value)
    assert "1 unexpected: extra.weight" in str(error.value)
    assert "norm.weight is [2, 2], not [4]" in str(error.value)
    assert all(p.is_meta for p in empty.parameters())
