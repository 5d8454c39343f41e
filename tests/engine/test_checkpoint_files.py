"""File formats: tensors are read exactly, and the error for another file names its kind."""

from __future__ import annotations

import argparse
import json
import struct
import tarfile
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from sdnb.engine.checkpoint import CheckpointError, read
from sdnb.engine.checkpoint.tensors import lazy, read_weights
from sdnb.headers.pickles import Unknown
from sdnb.headers.safefiles import read_safetensors
from sdnb.headers.sniff import container
from sdnb.headers.torchfiles import read_torch

BASE = torch.randn(40, 30)
STATE = {
    "float": torch.randn(3, 5),
    "half": torch.randn(300, 7).half(),
    "bfloat16": torch.randn(9).bfloat16(),
    "double": torch.randn(2, 2, 2, 2).double(),
    "long": torch.arange(77)[None],
    "scalar": torch.tensor(3.5),
    "empty": torch.zeros(0, 4),
    "parameter": torch.nn.Parameter(torch.randn(4)),
    "transposed": BASE.t(),
    "rows": BASE[3:9],
    "columns": BASE[:, 5:8],
    "expanded": torch.randn(1, 4).expand(6, 4),
}
FORMATS = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "stream"])


@FORMATS
def test_every_tensor_that_torch_saves(tmp_path, legacy):
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": STATE, "epoch": 3}, path, _use_new_zipfile_serialization=not legacy)
    content = read_torch(path)
    assert content["epoch"] == 3
    for name, tensor in STATE.items():
        found = lazy(content["state_dict"][name])
        assert (found.shape, found.dtype) == (tuple(tensor.shape), tensor.dtype), name
        assert torch.equal(found.read(), tensor), name


@FORMATS
def test_what_lightning_pickles_beside_the_weights(tmp_path, legacy):
    class Callback(argparse.Namespace):
        pass

    Callback.__qualname__ = "Namespace"  # pickled by the name of a class that exists
    Callback.__module__ = "argparse"
    path = tmp_path / "a.ckpt"
    content = {
        "state_dict": {"a.weight": torch.ones(2)},
        "callbacks": {torch.nn.Linear: {"best": torch.tensor(1.0)}, "x": argparse.Namespace(a=1)},
        "optimizer_states": [{"state": {0: {"step": 1, "exp_avg": torch.ones(2)}}}],
        "pytorch-lightning_version": "1.4.2",
        "notes_of_mine": "hello",
    }
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    notes: list[str] = []
    weights = read_weights(path, notes)
    assert list(weights) == ["a.weight"]
    assert notes == ["left out, beside the weights: notes_of_mine"]
    assert isinstance(read_torch(path)["callbacks"]["x"], Unknown)


def test_tensor_subclasses_and_parameters_with_state(tmp_path):
    parameter = torch.nn.Parameter(torch.randn(3))
    parameter.mark = "something"  # makes torch pickle it through another function
    torch.save({"a.b": parameter}, tmp_path / "a.pt")
    assert torch.equal(lazy(read_torch(tmp_path / "a.pt")["a.b"]).read(), parameter.detach())


def test_a_whole_module_is_refused_by_its_class(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=r"torch\.nn\.modules\.linear\.Linear.*state_dict"):
        read(tmp_path / "a.ckpt")


def test_numpy_weights_are_refused_by_the_function_they_need(tmp_path):
    state = {"model.diffusion_model.out.2.bias": torch.ones(4).numpy()}
    torch.save({"state_dict": state}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=r"numpy\.\S+_reconstruct"):
        read(tmp_path / "a.ckpt")


def test_safetensors_are_what_the_library_wrote(tmp_path):
    state = {name: t.detach().contiguous() for name, t in STATE.items()}
    state["fp8"] = torch.randn(5).to(torch.float8_e4m3fn)
    save_file(state, tmp_path / "a.safetensors", metadata={"format": "pt"})
    content, metadata = read_safetensors(tmp_path / "a.safetensors")
    assert metadata == {"format": "pt"}
    assert content.keys() == state.keys()
    for name, tensor in state.items():
        assert torch.equal(lazy(content[name]).read().float(), tensor.float()), name


def test_the_content_decides_not_the_ending(tmp_path):
    save_file({"a.b": torch.ones(1)}, tmp_path / "a.ckpt")
    torch.save({"a.b": torch.ones(1)}, tmp_path / "b.safetensors")
    for name, kind in (("a.ckpt", "safetensors"), ("b.safetensors", "torch")):
        notes: list[str] = []
        assert list(read_weights(tmp_path / name, notes)) == ["a.b"]
        assert notes == [f"{name} is a {kind} file in spite of its name"]


class TestTruncated:
    @pytest.fixture
    def files(self, tmp_path):
        state = {f"model.diffusion_model.{n}": torch.randn(100, 100) for n in range(5)}
        torch.save(state, tmp_path / "zip.ckpt")
        torch.save(state, tmp_path / "stream.ckpt", _use_new_zipfile_serialization=False)
        save_file(state, tmp_path / "a.safetensors")
        return tmp_path

    @pytest.mark.parametrize("name", ["zip.ckpt", "stream.ckpt", "a.safetensors"])
    @pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
    def test_the_bytes_there_and_announced_are_told(self, files, name, share):
        path = files / name
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(CheckpointError, match="truncated") as error:
            read(path)
        assert f"{int(len(data) * share):,} bytes" in str(error.value)
        announced = {"a.safetensors": len(data), "zip.ckpt": 200_000}.get(name)
        if announced:
            assert f"{announced:,}" in str(error.value)

    @pytest.mark.parametrize("name", ["zip.ckpt", "stream.ckpt", "a.safetensors"])
    def test_every_length_is_our_error(self, files, name):
        path = files / name
        data = path.read_bytes()
        lengths = [*range(1, 2000, 37), *range(2000, len(data), 20_011), len(data) - 1]
        for length in lengths:
            path.write_bytes(data[:length])
            with pytest.raises(CheckpointError):
                read(path)

    def test_a_header_that_is_cut(self, files):
        path = files / "a.safetensors"
        path.write_bytes(path.read_bytes()[:40])
        with pytest.raises(CheckpointError, match="its header alone announces"):
            read(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One small file of each container."""
    folder = tmp_path_factory.mktemp("whole")
    state = {f"model.diffusion_model.{n}.weight": torch.randn(4, 4) for n in range(4)}
    torch.save({"state_dict": state, "epoch": 1}, folder / "zip.ckpt")
    torch.save(state, folder / "stream.ckpt", _use_new_zipfile_serialization=False)
    save_file(state, folder / "a.safetensors")
    return folder


CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=20)


@pytest.mark.parametrize("name", ["zip.ckpt", "stream.ckpt", "a.safetensors"])
@settings(max_examples=200)
@given(changes=CHANGES, reach=st.sampled_from([0.1, 0.3, 1.0]))
@pytest.mark.slow
def test_damage_anywhere_is_our_error(whole, name, changes, reach):
    data = bytearray((whole / name).read_bytes())
    for place, byte in changes:
        data[int(place * reach * (len(data) - 1))] = byte
    damaged = whole / f"damaged-{name}"
    damaged.write_bytes(data)
    with pytest.raises(CheckpointError):  # at the latest because it is a UNet alone
        read(damaged)


def header(path, entries, data=b""):
    text = json.dumps(entries).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


class TestDamagedSafetensors:
    def test_unknown_type(self, tmp_path):
        path = header(
            tmp_path / "a.safetensors", {"a": {"dtype": "Q4", "shape": [1], "data_offsets": [0, 1]}}
        )
        with pytest.raises(CheckpointError, match="tensor a is of type Q4"):
            read(path)

    @pytest.mark.parametrize(
        "entry",
        [
            {"dtype": "F32", "shape": [3], "data_offsets": [0, 4]},
            {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]},
            {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]},
            {"dtype": "F32", "shape": "x", "data_offsets": [0, 4]},
            {"dtype": "F32", "data_offsets": [0, 4]},
            [],
        ],
    )
    def test_wrong_entries(self, tmp_path, entry):
        with pytest.raises(CheckpointError, match=r"tensor a|header is damaged"):
            read_safetensors(header(tmp_path / "a.safetensors", {"a": entry}, b"\0" * 4))

    @pytest.mark.parametrize("text", [b"{]", b"[]", b"\xff\xfe", b"[" * 100_000])
    def test_headers_that_are_no_json_object(self, tmp_path, text):
        path = tmp_path / "a.safetensors"
        path.write_bytes(struct.pack("<Q", len(text)) + text)
        with pytest.raises(CheckpointError, match="JSON"):
            read_safetensors(path)

    def test_a_huge_header(self, tmp_path):
        (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}" + b"\x01" * 9)
        with pytest.raises(CheckpointError, match="does not begin with a header"):
            read_safetensors(tmp_path / "a.safetensors")


class TestDamagedZips:
    def test_a_zip_of_something_else(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "a.ckpt", "w") as archive:
            archive.writestr("sd.ckpt", b"x")
        with pytest.raises(CheckpointError, match=r"no data\.pkl.*unpack"):
            read(tmp_path / "a.ckpt")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"byteorder": b"big"}, "big-endian"),
            ({"data/0": None}, "storage 0 is missing"),
            ({"data/0": b"\0" * 8}, "storage 0 has 8 bytes, 40,000 are announced"),
            ({"constants.pkl": b""}, "TorchScript"),
        ],
    )
    def test_entries(self, tmp_path, change, message):
        torch.save({"model.diffusion_model.a": torch.ones(100, 100)}, tmp_path / "a.ckpt")
        self.rewrite(tmp_path / "a.ckpt", change)
        with pytest.raises(CheckpointError, match=message):
            read(tmp_path / "a.ckpt")

    def test_compressed_weights(self, tmp_path):
        torch.save({"model.diffusion_model.a": torch.ones(100, 100)}, tmp_path / "a.ckpt")
        self.rewrite(tmp_path / "a.ckpt", {}, zipfile.ZIP_DEFLATED)
        with pytest.raises(CheckpointError, match=r"compression.*torch\.save"):
            read(tmp_path / "a.ckpt")

    @staticmethod
    def rewrite(path, change, compression=zipfile.ZIP_STORED):
        with zipfile.ZipFile(path) as archive:
            entries = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, data in {**entries, **change}.items():
                if data is not None:
                    archive.writestr(f"archive/{name}", data)


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 4265380512\n"


class TestOtherFiles:
    @pytest.mark.parametrize("ending", ["ckpt", "safetensors"])
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty"),
            (LFS.encode(), r"git-lfs pointer of a file of 4,265,380,512 bytes.*git lfs pull"),
            (b"<!DOCTYPE html>\n<html>Sign in</html>", "a web page"),
            (b"  <html><head>", "a web page"),
            (b'{"error": "Entry not found"}', "a JSON text.*Entry not found"),
            (b"Entry not found", "a text file of 15 bytes.*Entry not found"),
            ("schöne Grüße".encode(), "a text file"),
            (b"GGUF\x03\0\0\0", "a GGUF file"),
            (b"\x1f\x8b\x08\0\0\0", "a gzip archive.*Unpack"),
            (b"\0" * 5000, "begins with zeros"),
        ],
    )
    def test_renamed_to_a_checkpoint(self, tmp_path, ending, content, message):
        path = tmp_path / f"model.{ending}"
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=message) as error:
            read(path)
        assert path.name in str(error.value)

    def test_a_picture(self, tmp_path):
        Image.new("RGB", (8, 8)).save(tmp_path / "model.ckpt", "PNG")
        with pytest.raises(CheckpointError, match="a PNG picture"):
            container(tmp_path / "model.ckpt")

    def test_an_old_tar(self, tmp_path):
        with tarfile.open(tmp_path / "model.ckpt", "w") as archive:
            archive.add(__file__, "weights")
        with pytest.raises(CheckpointError, match="a tar archive"):
            container(tmp_path / "model.ckpt")

    def test_some_other_binary(self, tmp_path):
        (tmp_path / "model.ckpt").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(range(256)))
        with pytest.raises(CheckpointError, match=r"neither a \.ckpt.*begins with"):
            container(tmp_path / "model.ckpt")

    def test_a_pickle_that_torch_did_not_write(self, tmp_path):
        (tmp_path / "model.ckpt").write_bytes(b"\x80\x02}q\x00.")
        with pytest.raises(CheckpointError, match=r"none that torch\.save wrote"):
            read(tmp_path / "model.ckpt")
