"""Reads embeddings (textual inversions): some vectors that stand for a word in a prompt.

Files of AUTOMATIC1111 (`.pt`, and pictures), of diffusers (`.bin`, `.safetensors`), of kohya's
trainer (`emb_params`) and of SDXL (`clip_l`). A LoRA may bring some along (`bundle_emb.*`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sdnb.engine.checkpoint.tensors import lazy
from sdnb.headers import statedict
from sdnb.headers.errors import CheckpointError, in_words, listed
from sdnb.headers.picture_embedding import SUFFIXES, read_picture
from sdnb.headers.safefiles import read_safetensors
from sdnb.headers.sniff import container
from sdnb.headers.stored import Stored
from sdnb.headers.torchfiles import read_torch
from sdnb.library import Library, hashes, known

MOST_VECTORS = 75  # a prompt's chunk has no more places
MOST_BUNDLED = 100  # in one LoRA: they are in memory while it is in use
_MOST_WIDTH, _MOST_LETTERS = 8192, 200
#: How the names of tensors begin that are an embedding in a LoRA.
BUNDLE = "bundle_emb."


@dataclass(frozen=True, eq=False)
class Embedding:
    """What a word stands for: `vectors` `[n, d]` in float32 on the CPU, in place of its tokens.

    `d` is the width of the text encoder that it is for: 768 of SD 1.x, 1024 of 2.x. `sha256` is
    that of the file; of one in a LoRA, that of its vectors, and `inside` is that LoRA's file name.
    """

    name: str
    vectors: Tensor
    sha256: str
    inside: str = ""


class LibraryEmbeddings(Mapping[str, Embedding]):
    """The embeddings of a library by name, each read when it is first asked for.

    Names are those that mean it in a prompt (`LibraryFile.words_for_it`). A file that has changed
    is read again. A name of two files is an error (NamingError), which lists both; a damaged file
    is one as in `read_embedding`.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._read: dict[tuple[Path, known.Stamp], Embedding] = {}

    def __getitem__(self, name: str) -> Embedding:
        file = self._library.find("embedding", name)
        key = file.path, known.stamp(file.path)
        if key not in self._read:
            self._read[key] = read_embedding(file.path, file.name)
        return self._read[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def _names(self) -> dict[str, None]:
        files = self._library.files("embedding")
        return dict.fromkeys(name for file in files for name in file.words_for_it)


class WithBundled(Mapping[str, Embedding]):
    """The library's embeddings, and those that LoRAs bring along under other names. Of several
    LoRAs with one name the first's counts.

    So does AUTOMATIC1111 (`load_networks` in `extensions-builtin/Lora/networks.py`, 1.8 to 1.10).
    ComfyUI and diffusers leave those in a LoRA alone. `passed_over` are those that do not count and
    differ from the one that does.
    """

    def __init__(self, bundled: Iterable[Embedding], library: Mapping[str, Embedding]) -> None:
        self._bundled: dict[str, Embedding] = {}
        self._others = library
        self.passed_over: list[Embedding] = []
        taken = {name.casefold(): "" for name in library}  # the text encoder reads small letters
        for each in bundled:
            if each.name.casefold() not in taken:
                self._bundled[each.name] = each
                taken[each.name.casefold()] = each.sha256
            elif taken[each.name.casefold()] != each.sha256:
                self.passed_over.append(each)

    def __getitem__(self, name: str) -> Embedding:
        return self._bundled[name] if name in self._bundled else self._others[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*self._bundled, *self._others))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self._bundled or name in self._others


def read_embedding(path: str | Path, name: str | None = None) -> Embedding:
    """The embedding in a file, called `name`, or as the file is.

    Raises FileNotFoundError, and CheckpointError for a file without an embedding, a damaged one, or
    one of more than 75 vectors. Nothing in a file is run. The width is not compared with any model.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no embedding {path}")
    with in_words(path):
        found = _rows_of_picture(path) if path.suffix.lower() in SUFFIXES else _vectors(path)
        return Embedding(name or path.stem, _checked(path, found), hashes.sha256(path))


def read_bundled(path: str | Path) -> tuple[Embedding, ...]:
    """The embeddings that a LoRA brings along, by the names in it; empty where it brings none.

    Raises as `read_embedding`, and for more than 100, or names that no prompt can hold.
    """
    path = Path(path)
    with in_words(path):
        bundles: dict[str, dict[str, Stored]] = {}
        for key, stored in _stored(path).items():
            if key.startswith(BUNDLE):
                name, _, rest = key.removeprefix(BUNDLE).partition(".")
                bundles.setdefault(name, {})[rest] = stored
        _check_bundles(path, list(bundles))
        return tuple(_bundled(path, name, stored) for name, stored in bundles.items())


def _check_bundles(path: Path, names: list[str]) -> None:
    if len(names) > MOST_BUNDLED:
        raise CheckpointError(
            f"{path} brings {len(names):,} embeddings along; up to {MOST_BUNDLED} are read"
        )
    for name in names:
        if not name.strip() or len(name) > _MOST_LETTERS:
            what = f"with a name of {len(name):,} letters" if name.strip() else "without a name"
            raise CheckpointError(
                f"{path} brings an embedding {what}; a prompt can hold 1 to {_MOST_LETTERS}"
            )


def _bundled(path: Path, name: str, stored: Mapping[str, Stored]) -> Embedding:
    vectors = _checked(path, _read(path, _chosen(path, stored)))
    digest = hashlib.sha256(vectors.numpy().tobytes()).hexdigest()
    return Embedding(name, vectors, digest, path.name)


def _stored(path: Path) -> Mapping[str, Stored]:
    if container(path) == "torch":
        return statedict.tensors(path, read_torch(path))
    return read_safetensors(path)[0]


def _vectors(path: Path) -> list[Tensor]:
    return _read(path, _chosen(path, _stored(path)))


def _chosen(path: Path, stored: Mapping[str, Stored]) -> list[Stored]:
    """The tensors that are the embedding, in their order: SD 1.x's where there are SDXL's too, all
    of one width where a file has several.
    """
    for key in ("emb_params", "clip_l"):
        if key in stored:
            return [stored[key]]
    rows = [tensor for tensor in stored.values() if 1 <= len(tensor.shape) <= 2]
    if not stored or len(rows) < len(stored):
        raise CheckpointError(
            f"{path} has no embedding in it; its tensors are named "
            f"{listed(sorted(stored), 4) or '(it has none)'}"
        )
    widths = {tensor.shape[-1] for tensor in rows}
    if len(widths) > 1:
        raise CheckpointError(
            f"{path}: its vectors have several widths, {listed([str(w) for w in sorted(widths)])}; "
            "one embedding has one"
        )
    return rows


def _read(path: Path, tensors: list[Stored]) -> list[Tensor]:
    """The vectors as `[n, d]`, read only when their sizes are what an embedding's may be."""
    shapes = [(1, *t.shape) if len(t.shape) == 1 else t.shape for t in tensors]
    if any(len(shape) != 2 for shape in shapes):
        raise CheckpointError(f"{path}: an embedding of shape {list(shapes[0])}; expected [n, d]")
    _check_size(path, sum(shape[0] for shape in shapes), shapes[0][1])
    return [
        lazy(tensor).read(torch.float32).view(shape)
        for tensor, shape in zip(tensors, shapes, strict=True)
    ]


def _rows_of_picture(path: Path) -> list[Tensor]:
    found = read_picture(path)
    if found is None:
        raise CheckpointError(f"{path} is a picture without an embedding in it")
    rows = [row for vectors in found.vectors.values() for row in vectors]
    if len({len(row) for row in rows}) > 1:
        raise CheckpointError(f"{path}: its vectors have several widths; one embedding has one")
    _check_size(path, len(rows), len(rows[0]) if rows else 0)
    return [torch.tensor(rows, dtype=torch.float32)]


def _check_size(path: Path, count: int, width: int) -> None:
    if not (1 <= count <= MOST_VECTORS and 1 <= width <= _MOST_WIDTH):
        raise CheckpointError(
            f"{path}: an embedding of {count:,} vectors, each {width:,} wide; a prompt takes 1 to "
            f"{MOST_VECTORS} of them, and text encoders are 768 or 1024 wide"
        )


def _checked(path: Path, parts: list[Tensor]) -> Tensor:
    vectors = torch.cat(parts)
    if not torch.isfinite(vectors).all():
        raise CheckpointError(f"{path}: its vectors hold nan or infinity; its training failed")
    return vectors
