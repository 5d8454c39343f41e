"""What `torch.save` wrote: the zip of today and the stream of before torch 1.6.

Both hold one pickle that describes the tensors and, apart from it, the raw bytes of their storages. The
pickle is read by `pickles.PickleReader`, which runs nothing; a tensor becomes a place in the file. The
storages of the zip are stored uncompressed, so they are read where they lie.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sdnb.checkpoint.errors import CheckpointError
from sdnb.checkpoint.pickles import PICKLE_LIMIT, Global, PickleReader, Unknown
from sdnb.checkpoint.tensors import LazyTensor

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # torch.serialization.MAGIC_NUMBER
LEGACY_PROTOCOL = 1001

STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
DTYPES = {
    f"torch.{name}": getattr(torch, name)
    for name in (
        "float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2",
        "int64", "int32", "int16", "int8", "uint8", "bool",
    )
}  # fmt: skip


@dataclass
class Storage:
    """One storage of the file: where it begins is known at once (zip) or after the pickle (stream)."""

    key: str
    dtype: torch.dtype
    count: int
    offset: int = 0

    @property
    def nbytes(self) -> int:
        return self.count * self.dtype.itemsize


@dataclass(frozen=True)
class View:
    """A tensor as the pickle describes it."""

    storage: Storage
    first: int  # in elements of `dtype`
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    def lazy(self, path: Path) -> LazyTensor:
        """The tensor at its place in the file. Raises ValueError when it leaves its storage."""
        dense, step = [], 1
        for n in reversed(self.shape):
            dense.append(step)
            step *= n
        contiguous = step == 0 or all(
            n == 1 or have == want
            for n, have, want in zip(self.shape, self.stride, reversed(dense), strict=True)
        )
        offset = self.storage.offset + self.first * self.dtype.itemsize
        tensor = LazyTensor(
            path, offset, self.shape, self.dtype, None if contiguous else self.stride
        )
        end = self.first * self.dtype.itemsize + tensor.extent
        if min(self.first, *self.shape, *self.stride, 0) < 0 or end > self.storage.nbytes:
            raise ValueError(
                f"a tensor of shape {list(self.shape)} leaves its storage {self.storage.key}"
            )
        return tensor


def read_torch(path: Path) -> Any:
    """What the file holds, tensors as `LazyTensor`, whatever was not admitted as `Unknown`.

    Raises CheckpointError for a damaged, truncated or unreadable file.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        return _resolved(_read_zip(path), path)
    return _resolved(_read_legacy(path), path)


def _reader(storages: dict[str, Storage]) -> PickleReader:
    """A pickle reader that knows torch's few names; the storages it meets are put into `storages`."""

    def persistent(identity: Any) -> Storage | Unknown:
        if not (isinstance(identity, tuple) and len(identity) >= 5 and identity[0] == "storage"):
            return Unknown(f"persistent id {str(identity)[:60]}")
        kind, key, count = identity[1], str(identity[2]), int(identity[4])
        if not isinstance(kind, Global) or kind.name.split(".")[-1] not in STORAGES:
            return Unknown(getattr(kind, "name", "an unnamed storage"))
        if len(identity) > 5 and identity[5] is not None:
            return Unknown("a view of a storage (torch < 0.4)")
        if key not in storages:
            storages[key] = Storage(key, STORAGES[kind.name.split(".")[-1]], count)
        return storages[key]

    def tensor(storage: Storage, first: int, shape: Any, stride: Any, *_: Any) -> View:
        shape, stride = tuple(int(n) for n in shape), tuple(int(n) for n in stride)
        if len(shape) != len(stride) or not isinstance(storage, Storage):
            raise ValueError("a tensor whose shape and stride differ in length")
        return View(storage, int(first), shape, stride, storage.dtype)

    def tensor_v3(
        storage: Storage,
        first: int,
        shape: Any,
        stride: Any,
        _grad: Any,
        _hooks: Any,
        dtype: Any,
        *_: Any,
    ) -> View | Unknown:
        if not isinstance(dtype, Global) or dtype.name not in DTYPES:
            return Unknown(f"a tensor of type {getattr(dtype, 'name', dtype)}")
        view = tensor(storage, first, shape, stride)
        return View(storage, view.first, view.shape, view.stride, DTYPES[dtype.name])

    def parameter(data: Any, *_: Any) -> Any:
        return data

    rebuild = {
        "torch._utils._rebuild_tensor": tensor,
        "torch._utils._rebuild_tensor_v2": tensor,
        "torch._utils._rebuild_tensor_v3": tensor_v3,
        "torch._utils._rebuild_parameter": parameter,
        "torch._utils._rebuild_parameter_with_state": parameter,
    }
    return PickleReader(rebuild, persistent)


def _resolved(value: Any, path: Path) -> Any:
    """`value` with every tensor at its place: dictionaries two deep, which is where weights are."""

    def place(item: Any, depth: int) -> Any:
        if isinstance(item, View):
            try:
                return item.lazy(path)
            except ValueError as error:
                raise CheckpointError(f"{path} is damaged: {error}") from None
        if isinstance(item, dict) and depth:
            return {key: place(inner, depth - 1) for key, inner in item.items()}
        return item

    return place(value, 2)


# -- the zip -------------------------------------------------------------------------------------------
def _read_zip(path: Path) -> Any:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise CheckpointError(_truncated_zip(path, str(error))) from None
    with archive:
        entries = {info.filename: info for info in archive.infolist()}
        pickle_name = next((name for name in entries if name.endswith("data.pkl")), None)
        if pickle_name is None:
            raise CheckpointError(
                f"{path} is a zip archive but no torch checkpoint (it has no data.pkl). "
                "If a checkpoint was packed into it, unpack it first."
            )
        root = pickle_name[: -len("data.pkl")]
        if f"{root}constants.pkl" in entries:
            raise CheckpointError(f"{path} is a TorchScript program, not a checkpoint of weights.")
        order = entries.get(f"{root}byteorder")
        if order is not None and archive.read(order) != b"little":
            raise CheckpointError(
                f"{path} was saved on a big-endian machine: save it again on another."
            )
        if entries[pickle_name].file_size > PICKLE_LIMIT:
            raise CheckpointError(
                f"{path}: its pickle is larger than {PICKLE_LIMIT:,} bytes; refused."
            )
        storages: dict[str, Storage] = {}
        try:
            value, _ = _reader(storages).read(archive.read(pickle_name))
        except (zipfile.BadZipFile, EOFError) as error:
            raise CheckpointError(f"{path} is damaged: {error}. Download it again.") from None
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None
    with path.open("rb") as file:
        for storage in storages.values():
            _place(storage, entries.get(f"{root}data/{storage.key}"), file, path)
    return value


def _place(storage: Storage, info: zipfile.ZipInfo | None, file: Any, path: Path) -> None:
    """Find where the storage's bytes begin: after the entry's own header, whose length it states."""
    if info is None:
        raise CheckpointError(
            f"{path} is damaged: storage {storage.key} is missing. Download it again."
        )
    if info.compress_type != zipfile.ZIP_STORED:
        raise CheckpointError(
            f"{path} was packed again with compression, so its weights cannot be read in place. "
            "Unpack it and pack it without compression (zip -0), or save it again with torch.save."
        )
    if info.file_size < storage.nbytes:
        raise CheckpointError(
            f"{path} is damaged: storage {storage.key} has {info.file_size:,} bytes, "
            f"{storage.nbytes:,} are announced. Download it again."
        )
    file.seek(info.header_offset)
    header = file.read(30)
    if header[:4] != b"PK\x03\x04":
        raise CheckpointError(
            f"{path} is damaged at byte {info.header_offset:,}. Download it again."
        )
    name, extra = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
    storage.offset = info.header_offset + 30 + name + extra


def _truncated_zip(path: Path, reason: str) -> str:
    """A zip ends with its list of contents; when that is missing, the first entry still tells the sizes."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(30)
        skip = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        file.seek(30 + skip)
        data = file.read(PICKLE_LIMIT)
    storages: dict[str, Storage] = {}
    try:
        _reader(storages).read(data)
    except CheckpointError:
        return (
            f"{path} is truncated or damaged: it has {size:,} bytes ({reason}). Download it again."
        )
    announced = sum(storage.nbytes for storage in storages.values())
    return (
        f"{path} is truncated: it has {size:,} bytes and announces at least {announced:,} of weights. "
        "Download it again."
    )


# -- the stream ----------------------------------------------------------------------------------------
def _read_legacy(path: Path) -> Any:
    """Five pickles (magic, protocol, system, the value, the storages' keys), then the storages.

    Each storage is preceded by its count of elements (8 bytes).
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        data = io.BytesIO(file.read(PICKLE_LIMIT))
    storages: dict[str, Storage] = {}
    at, values = 0, []
    try:
        for _ in range(5):
            value, at = _reader(storages).read(data)
            values.append(value)
            if values[0] != LEGACY_MAGIC:
                break
    except CheckpointError as error:
        if values[:1] == [LEGACY_MAGIC]:
            raise CheckpointError(
                f"{path} is truncated or damaged ({error}). Download it again."
            ) from None
        raise CheckpointError(f"{path} is no checkpoint that torch.save wrote ({error}).") from None
    if values[:2] != [LEGACY_MAGIC, LEGACY_PROTOCOL]:
        raise CheckpointError(
            f"{path} is a pickle, but none that torch.save wrote. A checkpoint is saved by "
            "torch.save(state_dict, path) or safetensors.torch.save_file."
        )
    if not (isinstance(values[2], dict) and values[2].get("little_endian", True)):
        raise CheckpointError(
            f"{path} was saved on a big-endian machine: save it again on another."
        )
    with path.open("rb") as file:
        for key in map(str, values[4]):
            file.seek(at)
            count = int.from_bytes(file.read(8), "little")
            if key not in storages:
                raise CheckpointError(f"{path} is damaged: a storage {key} that no tensor names.")
            storage = storages[key]
            if count != storage.count and at < size:
                raise CheckpointError(f"{path} is damaged: storage {key} has {count:,} elements.")
            storage.offset = at + 8
            at += 8 + storage.nbytes
    if at > size:
        raise CheckpointError(
            f"{path} is truncated: it has {size:,} bytes and announces {at:,}. Download it again."
        )
    return values[3]
