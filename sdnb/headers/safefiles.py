"""Reads `.safetensors` files, whose JSON header says where each tensor lies.

Format: 8 bytes little-endian length n, n bytes of JSON `{name: {dtype, shape, data_offsets}}`, then
the data (https://huggingface.co/docs/safetensors). The header is read here, not by the library,
because the library maps the file, and mapped pages count as resident memory.
"""

from __future__ import annotations

import json
from itertools import chain, pairwise
from math import prod
from pathlib import Path
from typing import Any

from sdnb.headers.errors import CheckpointError, in_words, listed
from sdnb.headers.stored import Dtype, Stored, whole_numbers
from sdnb.headers.uncollected import uncollected
from sdnb.request.plain_words import plain, reason

# Bytes; a whole model has 0.2 MB. The format allows 100 MB, which JSON makes 2 GB of objects.
HEADER_LIMIT = 16 << 20

DTYPES = {
    "F64": Dtype("float64", 8), "F32": Dtype("float32", 4), "F16": Dtype("float16", 2),
    "BF16": Dtype("bfloat16", 2), "F8_E4M3": Dtype("float8_e4m3fn", 1),
    "F8_E5M2": Dtype("float8_e5m2", 1), "I64": Dtype("int64", 8), "I32": Dtype("int32", 4),
    "I16": Dtype("int16", 2), "I8": Dtype("int8", 1), "U8": Dtype("uint8", 1),
    "BOOL": Dtype("bool", 1),
}  # fmt: skip


def read_safetensors(path: Path) -> tuple[dict[str, Stored], dict[str, str]]:
    """The tensors by name, and the file's metadata. Raises CheckpointError for a damaged file."""
    with in_words(path):
        size = path.stat().st_size
        header, start = _header(path, size)
        metadata = header.pop("__metadata__", None) or {}
        if not isinstance(metadata, dict):
            raise CheckpointError(f"{path}: the safetensors header is damaged (its metadata)")
        tensors = {name: _tensor(path, start, name, entry) for name, entry in header.items()}
    _apart(path, tensors)
    _whole(path, size, max((t.offset + t.nbytes for t in tensors.values()), default=start))
    return tensors, {key: value for key, value in metadata.items() if isinstance(value, str)}


@uncollected()
def read_shapes(path: Path) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """The shapes by name, and the metadata: a tenth of the work of `read_safetensors`, for who
    reads thousands of headers. Raises CheckpointError for a damaged or truncated file.
    """
    with in_words(path):
        size = path.stat().st_size
        header, start = _header(path, size)
        metadata = header.pop("__metadata__", None)
        shapes = {name: tuple(entry["shape"]) for name, entry in header.items()}
        ends = [entry["data_offsets"][1] for entry in header.values()]
        if not set(map(type, chain(ends, *shapes.values()))) <= {int}:  # of all at once: quick
            raise CheckpointError(f"{path}: the safetensors header is damaged (its shapes)")
        _whole(path, size, start + max(ends, default=0))
    texts = metadata if isinstance(metadata, dict) else {}
    return shapes, {key: value for key, value in texts.items() if isinstance(value, str)}


def _whole(path: Path, size: int, announced: int) -> None:
    if announced > size:
        raise CheckpointError(
            f"{path} is truncated: it has {size:,} bytes and its header announces {announced:,}. "
            "Download it again."
        )


def _apart(path: Path, tensors: dict[str, Stored]) -> None:
    """Raises CheckpointError where two tensors share bytes: the format forbids it, and a small file
    could stand for a model of any size.
    """
    spans = sorted((t.offset, t.offset + t.nbytes, name) for name, t in tensors.items() if t.nbytes)
    for (_, end, one), (begin, _, other) in pairwise(spans):
        if begin < end:
            raise CheckpointError(
                f"{path}: the safetensors header is damaged: tensors {listed((one, other))} lie in "
                "the same bytes. Download it again."
            )


def _header(path: Path, size: int) -> tuple[dict[str, Any], int]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > HEADER_LIMIT:
            raise CheckpointError(
                f"{path} is not a safetensors file: it does not begin with a header"
            )
        text = file.read(length)
    if len(text) < length:
        raise CheckpointError(
            f"{path} is truncated: it has {size:,} bytes and its header alone announces "
            f"{length + 8:,}. Download it again."
        )
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: the safetensors header is not JSON ({error})") from None
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: the safetensors header is not a JSON object")
    return header, 8 + length


def _tensor(path: Path, start: int, name: str, entry: Any) -> Stored:
    name = plain(name, 160)
    try:
        kind, shape = str(entry["dtype"]), whole_numbers(entry["shape"])
        begin, end = whole_numbers(entry["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: the safetensors header is damaged at tensor {name} ({reason(error)})"
        ) from None
    if kind not in DTYPES:
        raise CheckpointError(
            f"{path}: tensor {name} is of type {plain(kind, 40)}; known are {', '.join(DTYPES)}. "
            "Quantised files (GGUF, nf4, fp4) are not read: use the original weights."
        )
    dtype = DTYPES[kind]
    if end - begin != prod(shape) * dtype.itemsize:
        raise CheckpointError(
            f"{path}: tensor {name} of shape {list(shape)} and type {kind} is given the bytes "
            f"{begin} to {end}"
        )
    return Stored(path, start + begin, shape, dtype)
