"""Opens a file of a LoRA or of its family: its tensors stay on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from sdnb.engine.checkpoint import CheckpointError, LazyTensor
from sdnb.engine.checkpoint.tensors import read_tensors
from sdnb.headers.errors import in_words
from sdnb.library import hashes
from sdnb.request.plain_words import plain


@dataclass(frozen=True)
class AdapterFile:
    """An opened file."""

    path: Path
    sha256: str
    tensors: Mapping[str, LazyTensor] = field(compare=False, repr=False)
    metadata: Mapping[str, str] = field(compare=False, repr=False)
    notes: tuple[str, ...] = field(default=(), compare=False)  # on what was left out of it

    @property
    def name(self) -> str:
        return self.path.name


def open_file(path: Path) -> AdapterFile:
    """The file, a `.safetensors` or what `torch.save` wrote. One that did not change is not read
    again. Raises CheckpointError for anything else, for a damaged file, and where there is none.
    """
    with in_words(path):
        found = path.stat()
    if not path.is_file():
        raise CheckpointError(f"{path} is no file, so it is no LoRA either. Give the file itself.")
    return _opened(path.absolute(), found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=64)
def _opened(path: Path, size: int, _changed: int) -> AdapterFile:
    with in_words(path):
        notes: list[str] = []
        tensors, metadata = read_tensors(path, notes)
        announced = sum(tensor.nbytes for tensor in tensors.values())
        if announced > size:  # a view may repeat one number a million times
            raise CheckpointError(
                f"{path}: its tensors take {announced:,} bytes and it has {size:,}, so that they "
                "repeat each other's. Save them again one by one (tensor.clone())."
            )
        said = tuple(plain(f"{path.name}: {note}") for note in notes)
        return AdapterFile(path, hashes.sha256(path), tensors, metadata, said)
