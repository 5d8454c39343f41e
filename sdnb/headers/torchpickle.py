"""Reads the tensors that a pickle of `torch.save` describes.

It describes a storage by a persistent id, and a tensor by a call to one of the rebuilding functions
in `torch._utils`. Their arguments say everything, so that nothing of torch is called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from sdnb.headers.errors import CheckpointError
from sdnb.headers.pickles import Global, Parameters, PickleReader, Unknown
from sdnb.headers.safefiles import DTYPES
from sdnb.headers.stored import Dtype, Stored, whole_numbers
from sdnb.request.plain_words import plain

_STORAGES = {
    storage: DTYPES[name]
    for storage, name in (
        ("DoubleStorage", "F64"), ("FloatStorage", "F32"), ("HalfStorage", "F16"),
        ("BFloat16Storage", "BF16"),
        ("LongStorage", "I64"), ("IntStorage", "I32"), ("ShortStorage", "I16"),
        ("CharStorage", "I8"), ("ByteStorage", "U8"), ("BoolStorage", "BOOL"),
        ("UntypedStorage", "U8"),
    )
}  # fmt: skip
_DTYPES = {f"torch.{dtype.name}": dtype for dtype in DTYPES.values()}


@dataclass(eq=False)
class Storage:
    """One storage of a file. `offset` is set after the pickle has been read."""

    key: str
    dtype: Dtype
    count: int  # elements
    offset: int = 0  # bytes from the file's start

    @property
    def nbytes(self) -> int:
        return self.count * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class StorageView:
    """A tensor as the pickle describes it: a view of a storage."""

    storage: Storage
    first: int  # in elements of `dtype`
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: Dtype

    def stored(self, path: Path) -> Stored:
        """The tensor at its place in the file; CheckpointError when it leaves its storage."""
        start = self.first * self.dtype.itemsize
        stride = None if self._contiguous() else self.stride
        tensor = Stored(path, self.storage.offset + start, self.shape, self.dtype, stride)
        if start + tensor.extent > self.storage.nbytes:
            raise CheckpointError(
                f"{path} is damaged: a tensor of shape {list(self.shape)} leaves its storage "
                f"{plain(self.storage.key, 80)}"
            )
        return tensor

    def _contiguous(self) -> bool:
        expected = 1
        for size, stride in zip(reversed(self.shape), reversed(self.stride), strict=True):
            if size not in (0, 1) and stride != expected:
                return False
            expected *= size
        return True


def storage_key(key: Any) -> str:
    """A storage's name, which files of 2017 give as a number. Raises ValueError for anything else
    and for huge numbers, whose text would be longer than they are.
    """
    return key if isinstance(key, str) else str(*whole_numbers((key,)))


class TorchPickle:
    """Reads the pickles of a torch file, and collects the storages that they name."""

    def __init__(self) -> None:
        self.storages: dict[str, Storage] = {}
        rebuild: dict[str, Callable[..., Any]] = {
            "torch._utils._rebuild_tensor": self._tensor,
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_tensor_v3": self._tensor_v3,
            "torch.nn.modules.container.ParameterDict": lambda *_: Parameters(),
            "torch._utils._rebuild_parameter": self._parameter,
            "torch._utils._rebuild_parameter_with_state": self._parameter,
        }
        self._reader = PickleReader(rebuild, self._persistent)

    def read(self, data: bytes | IO[bytes]) -> tuple[Any, int]:
        """As `PickleReader.read`, with a `StorageView` for each tensor."""
        return self._reader.read(data)

    def _persistent(self, identity: Any) -> Storage | Unknown:
        """`("storage", type, key, location, count)`, and before torch 0.4 a sixth, a view of it."""
        if not (isinstance(identity, tuple) and len(identity) >= 5 and identity[0] == "storage"):
            shown = identity[:60] if isinstance(identity, str) else type(identity).__name__
            return Unknown(f"the persistent id {shown}")
        kind, key, _, count = identity[1:5]
        (count,) = whole_numbers((count,))
        key = storage_key(key)
        name = kind.name.removeprefix("torch.") if isinstance(kind, Global) else ""
        dtype = _STORAGES.get(name.removeprefix("storage."))
        if dtype is None:
            return Unknown(name or "a storage without a type")
        if len(identity) > 5 and identity[5] is not None:
            return Unknown("a view of a storage")
        return self.storages.setdefault(key, Storage(key, dtype, count))

    @staticmethod
    def _tensor(storage: Any, first: int, shape: Any, stride: Any, *_: Any) -> StorageView:
        if not isinstance(storage, Storage):
            raise TypeError("a tensor without a storage")
        sizes, strides = whole_numbers(shape), whole_numbers(stride)
        (first,) = whole_numbers((first,))
        if len(sizes) != len(strides):
            raise ValueError("a tensor whose shape and stride differ in length")
        return StorageView(storage, first, sizes, strides, storage.dtype)

    def _tensor_v3(self, storage: Any, first: int, *more: Any) -> StorageView | Unknown:
        """`(storage, first, shape, stride, requires_grad, hooks, dtype, ...)`, storage untyped."""
        shape, stride, _, _, kind = more[:5]
        dtype = _DTYPES.get(kind.name) if isinstance(kind, Global) else None
        if dtype is None:
            name = kind.name if isinstance(kind, Global) else type(kind).__name__
            return Unknown(f"a tensor of type {name}")
        return replace(self._tensor(storage, first, shape, stride), dtype=dtype)

    @staticmethod
    def _parameter(data: Any, *_: Any) -> Any:
        return data


def placed(value: Any, path: Path, depth: int = 4) -> Any:
    """`value` with its tensors at their places in `path`, at most four dictionaries or lists deep.

    One that stands in several places is copied once a depth: a pickle may hold one a hundred
    thousand times, and that again.
    """
    return _placed(value, path, depth, {})


def _placed(value: Any, path: Path, depth: int, done: dict[tuple[int, int], Any]) -> Any:
    if isinstance(value, StorageView):
        return value.stored(path)
    if not (isinstance(value, (dict, list)) and depth):
        return value
    if (id(value), depth) not in done:
        done[id(value), depth] = (
            [_placed(inner, path, depth - 1, done) for inner in value]
            if isinstance(value, list)
            else {key: _placed(inner, path, depth - 1, done) for key, inner in value.items()}
        )
    return done[id(value), depth]
