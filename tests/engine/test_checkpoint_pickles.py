"""A pickle never runs: malicious ones leave no trace, honest ones give their tensors."""

from __future__ import annotations

import builtins
import contextlib
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sdnb.engine.checkpoint import CheckpointError, read
from sdnb.headers.pickles import Global, PickleReader, Unknown
from sdnb.headers.torchfiles import read_torch


def value_of(data: bytes) -> object:
    return PickleReader({}, lambda identity: identity).read(data)[0]


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def attacks(canary: Path) -> dict[str, object]:
    """Objects whose unpickling would create the canary, by the usual ways."""
    write = f"open({str(canary)!r}, 'w').close()"
    return {
        "os.system": Calls(os.system, f"touch {canary}"),
        "eval": Calls(eval, write),
        "exec": Calls(exec, write),
        "open": Calls(open, str(canary), "w"),
        "getattr": Calls(getattr, Calls(__import__, "os"), "system"),
        "nested": Calls(Calls, Calls(os.system, f"touch {canary}")),
        "import": Calls(__import__, "antigravity"),
        "torch.load": Calls(torch.load, str(canary)),
        "load_from_bytes": Calls(
            torch.storage._load_from_bytes, pickle.dumps(Calls(exec, write), protocol=2)
        ),
        "pickle.loads": Calls(pickle.loads, pickle.dumps(Calls(exec, write))),
        "apply": Calls(map, eval, [write]),
    }


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", attacks(Path("canary")))
def test_nothing_runs(tmp_path, name, protocol):
    canary = tmp_path / "canary"
    data = pickle.dumps({"a": attacks(canary)[name], "b": [1, 2]}, protocol=protocol)
    value = value_of(data)
    assert isinstance(value["a"], Unknown)
    assert value["b"] == [1, 2]
    assert not canary.exists()


@pytest.mark.parametrize("name", attacks(Path("canary")))
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "stream"])
def test_a_malicious_checkpoint_is_refused_by_the_name_it_wanted(tmp_path, name, legacy):
    canary = tmp_path / "canary"
    path = tmp_path / "evil.ckpt"
    attack = attacks(canary)[name]
    state = {"model.diffusion_model.out.2.bias": attack, "other": torch.zeros(2)}
    torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match=r"out\.2\.bias would come out of a call to \S+\."):
        read(path)
    torch.save(attack, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match="holds a whole object"):
        read(path)
    assert not canary.exists()


def test_the_same_attack_does_run_in_the_ordinary_unpickler(tmp_path):
    canary = tmp_path / "canary"
    pickle.loads(pickle.dumps(attacks(canary)["exec"]))
    assert canary.exists()


OPCODES = {
    "GLOBAL and REDUCE": b"cposix\nsystem\n(S'touch {}'\ntR.",
    "INST": b"(S'touch {}'\niposix\nsystem\n.",
    "OBJ": b"(cposix\nsystem\nS'touch {}'\no.",
    "NEWOBJ": b"\x80\x02cposix\nsystem\n(S'touch {}'\nt\x81.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x05posix\x8c\x06system\x93(S'touch {}'\ntR.",
    "BUILD with __setstate__": (
        b"c__builtin__\nobject\n)R}S'__setstate__'\ncposix\nsystem\nsbS'touch {}'\nb."
    ),
    "dotted name": b"\x80\x04\x8c\x02os\x8c\x0bpath.os.sys\x93(S'touch {}'\ntR.",
    "REDUCE of a result": b"cbuiltins\ngetattr\n(cposix\nsystem\nS'__call__'\ntR(S'touch {}'\ntR.",
}


@pytest.mark.parametrize("name", OPCODES)
def test_written_by_hand(tmp_path, name):
    canary = tmp_path / "canary"
    value = value_of(OPCODES[name].replace(b"{}", str(canary).encode()))
    assert isinstance(value, Unknown)
    assert not canary.exists()


def test_attributes_are_not_set():
    """BUILD on a name must not touch what the name stands for."""
    value_of(b"ccollections\nOrderedDict\n(N}S'fromkeys'\nI1\nstb.")
    assert OrderedDict.fromkeys([1]) == OrderedDict([(1, None)])
    value_of(b"cbuiltins\nlen\n(N}S'sdnb_was_here'\nI1\nstb.")
    assert not hasattr(builtins.len, "sdnb_was_here")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"R.",
        b"(.",
        b"t.",
        b"h\x05.",
        b"]K\x01R.",
        b"K\x01(ttR.",
        b"}]K\x01s.",
        b"\x80\x05\x97.",
        b"\xff\xff\xff",
        b"X\xff\xff\xff\x7fabc.",
        b"\x8e" + struct.pack("<Q", 2**60) + b"abc.",
        b"c\n",
    ],
)
def test_damaged_pickles(data):
    with pytest.raises((CheckpointError, AssertionError)):
        assert isinstance(value_of(data), (dict, Unknown))


@given(st.binary(max_size=300))
def test_any_bytes_give_a_value_or_our_error(data):
    with contextlib.suppress(CheckpointError):
        value_of(data)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.sets(st.integers() | st.text())
    ),
    max_leaves=30,
)


@given(VALUES, st.integers(0, 5))
@pytest.mark.slow
def test_plain_values_are_what_pickle_makes_of_them(value, protocol):
    data = pickle.dumps(value, protocol)
    assert value_of(data) == (value if protocol > 2 else _as_read(value))


def _as_read(value: object) -> object:
    """Bytes have no opcode before protocol 3: they are a call, which is not made."""
    return Any() if _has_bytes(value) else value


class Any:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


def _has_bytes(value: object) -> bool:
    if isinstance(value, dict):
        return any(_has_bytes(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(_has_bytes(item) for item in value)
    return isinstance(value, bytes)


class TestBombs:
    def test_a_huge_memo_index_costs_nothing(self):
        with pytest.raises(CheckpointError, match="beyond its end"):
            value_of(b"Nr" + struct.pack("<I", 2**32 - 1) + b".")

    def test_doubling_lists_are_shared_not_copied(self):
        data = b"]" + b"q\x00h\x00\x86q\x00" * 100 + b"."  # t = (t, t), a hundred times
        assert isinstance(value_of(data), tuple)

    def test_a_doubling_tuple_is_no_key(self):
        data = b"}N" + b"q\x00h\x00\x86" * 40 + b"Ns."
        with pytest.raises(CheckpointError, match="key"):
            value_of(data)

    @pytest.mark.slow
    def test_a_deep_tuple_is_no_key(self):
        with pytest.raises(CheckpointError, match="key"):
            value_of(b"}N" + b"\x85" * 200_000 + b"Ns.")

    def test_copies_are_paid_for(self):
        copies = b"h\x01h\x00\x85R0" * 5000
        data = b"(" + b"N" * 5000 + b"lq\x000cbuiltins\nlist\nq\x010" + copies + b"h\x00."
        with pytest.raises(CheckpointError, match="copies its containers"):
            value_of(data)

    def test_builtins_that_allocate_are_not_called(self):
        assert value_of(b"cbuiltins\nbytearray\n(J\xff\xff\xff\x7ftR.") == _unknown(
            "builtins.bytearray"
        )
        assert value_of(b"cbuiltins\nlist\n(cbuiltins\nrange\n(J\xff\xff\xff\x7ftRtR.") == _unknown(
            "builtins.list"
        )


class _unknown:  # noqa: N801  (reads as a value)
    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unknown) and other.name == self.name

    __hash__ = None


def test_names_stay_names():
    value = value_of(pickle.dumps({torch.nn.Linear: 1, "f": os.system}))
    assert value[Global("torch.nn.modules.linear.Linear")] == 1
    assert value["f"] == Global(f"{os.system.__module__}.system")


def test_a_pickle_cannot_rebuild_a_tensor_outside_its_storage(tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save({"w": torch.zeros(4)}, path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    damaged = tmp_path / "b.ckpt"
    with zipfile.ZipFile(damaged, "w") as archive:
        for name, data in entries.items():
            if name.endswith("data.pkl"):
                assert data.count(b"K\x04\x85") == 1  # the shape (4,)
                data = data.replace(b"K\x04\x85", b"K\x09\x85")
            archive.writestr(name, data)
    with pytest.raises(CheckpointError, match="leaves its storage"):
        read_torch(damaged)
