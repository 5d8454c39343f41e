"""An embedding inside a PNG, as AUTOMATIC1111 writes it: base64 of JSON in a text chunk."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from sdnb.headers.errors import CheckpointError, in_words
from sdnb.request import documents, png_header

_KEY = b"sd-ti-embedding\0"
_MOST_BYTES = 32 << 20  # of the text; one of 75 vectors has 2 MB


def read_picture(path: Path) -> dict[str, list[list[float]]] | None:
    """The vectors of a picture by name; None where it holds no embedding.

    Raises CheckpointError for one that is damaged.
    """
    with in_words(path):
        text = _text(path)
        if text is None:
            return None
        content = documents.from_json(base64.b64decode(text, validate=True))
        found = content.get("string_to_param") if isinstance(content, dict) else None
        if not isinstance(found, dict):
            raise CheckpointError(f"{path}: the embedding in this picture has no string_to_param")
        return {str(name): _vectors(path, value) for name, value in found.items()}


def _text(path: Path) -> bytes | None:
    """The chunk's text; only the heads of the other chunks are read."""
    with path.open("rb") as file:
        if not png_header.begins(file.read(8)):
            return None
        for name, length in png_header.chunks(file):
            if name == b"tEXt" and file.read(len(_KEY)) == _KEY:
                if length > _MOST_BYTES:
                    raise CheckpointError(f"{path}: the embedding in it has {length:,} bytes")
                return file.read(length - len(_KEY))
    return None


def _vectors(path: Path, value: Any) -> list[list[float]]:
    """`{"TORCHTENSOR": [[...]]}` as rows of one length."""
    rows = value.get("TORCHTENSOR") if isinstance(value, dict) else None
    if isinstance(rows, list) and rows and not isinstance(rows[0], list):
        rows = [rows]
    if not isinstance(rows, list) or not all(isinstance(row, list) and row for row in rows):
        rows = []
    if len({len(row) for row in rows}) != 1:
        raise CheckpointError(f"{path}: the embedding in this picture has no rows of one length")
    if not all(type(number) in (int, float) for row in rows for number in row):
        raise CheckpointError(f"{path}: the embedding in this picture holds what is no number")
    return rows
