"""An embedding inside a picture, as AUTOMATIC1111 writes it.

A PNG has it as base64 of JSON in a text chunk. Any picture may have it in its pixels: a block of
columns left of the picture and one right of it, each behind a black column. The four low bits of
the left block's colours are the low halves of a packed JSON's bytes, those of the right block the
high halves, both mixed with a fixed sequence of numbers. Source: the web UI's
`modules/textual_inversion/image_embedding.py` (1.10), whose own check of the sequence is a test.
"""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sdnb.headers.errors import CheckpointError, in_words
from sdnb.request import documents, png_header

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIXES = (".png", ".webp")
_KEY = b"sd-ti-embedding\0"
_MOST_BYTES = 32 << 20  # of the text; one of 75 vectors has 2 MB
_MOST_PIXELS = 1 << 24


class PictureEmbedding(NamedTuple):
    """What a picture holds: rows of numbers by a name inside, and the embedding's own name, which
    is its word in AUTOMATIC1111's prompts, however the file is called; "": it has none.
    """

    name: str
    vectors: dict[str, list[list[float]]]


def read_picture(path: Path, pixels: bool = True) -> PictureEmbedding | None:
    """The embedding in a picture; None where it holds none. Without `pixels` only its text is
    looked at, which costs no decoding.

    Raises CheckpointError for one that is damaged.
    """
    with in_words(path):
        text = _text(path)
        if text is not None:
            return _checked(path, base64.b64decode(text, validate=True))
        text = _in_pixels(path) if pixels else None
        return None if text is None else _checked(path, text)


def _checked(path: Path, text: bytes) -> PictureEmbedding:
    content = documents.from_json(text)
    found = content.get("string_to_param") if isinstance(content, dict) else None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: the embedding in this picture has no string_to_param")
    name = content.get("name")
    vectors = {str(key): _vectors(path, value) for key, value in found.items()}
    return PictureEmbedding(name if isinstance(name, str) else "", vectors)


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


def _in_pixels(path: Path) -> bytes | None:
    """The JSON in the pixels, unpacked; None where there is none."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        if image.width * image.height > _MOST_PIXELS:
            return None
        colours: NDArray[np.uint8] = np.asarray(image.convert("RGB"), np.uint8)
    lit = np.all(colours > 0, axis=2)  # a black border, which some tools add, is no part of it
    rows, columns = np.flatnonzero(np.any(lit, 1)), np.flatnonzero(np.any(lit, 0))
    if not len(rows):
        return None
    inner = colours[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] & np.uint8(15)
    black = np.flatnonzero(inner.max((0, 2)) == 0)
    if len(black) < 2:
        return None
    left, right = inner[:, : black[0]], inner[:, black[-1] + 1 :]
    if left.shape != right.shape or not left.size:
        return None
    unpacker = zlib.decompressobj()
    try:
        four = _numbers(left.size).reshape(left.shape) & np.uint8(15)
        packed = (right ^ four) << np.uint8(4) | left ^ four
        return unpacker.decompress(packed.tobytes(), _MOST_BYTES)
    except zlib.error:  # a picture with two black columns
        return None


def _numbers(length: int) -> NDArray[np.uint8]:
    """The sequence of numbers whose four low bits both halves are mixed with: a linear congruential
    generator's, from 0.
    """
    import numpy as np

    numbers, number = np.empty(length, np.uint8), 0
    for at in range(length):
        number = (1664525 * number + 1013904223) % 2**32
        numbers[at] = number % 255
    return numbers
