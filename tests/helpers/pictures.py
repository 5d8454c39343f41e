"""Small pictures, files made without a library, and a Result that no model made."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from sdnb import images
from sdnb.images.used_files import UsedFile
from sdnb.request import Request, Settings
from sdnb.request.lora import Lora

# Every orientation is told apart by four different corners.
CORNERS = np.array(
    [[[255, 0, 0], [0, 255, 0], [9, 9, 9]], [[0, 0, 255], [255, 255, 255], [0, 0, 0]]]
)
RGB = Image.fromarray(CORNERS.astype(np.uint8))


def pixels(png):
    return np.asarray(images.open(png)).astype(int)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def raw_png(width, height, depth, colour, rows, extra=b""):
    """A PNG from the specification, with no library between: rows are bytes of samples."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + extra
        + chunk(b"IDAT", body)
        + chunk(b"IEND", b"")
    )


SETTINGS = Settings(width=64, height=64)


@dataclass(frozen=True)
class Result:
    images: tuple[Image.Image, ...]
    request: Request
    model: str = "tiny"
    fingerprint: str = "0123456789abcdef"
    seconds: float = 1.25
    notes: tuple[str, ...] = ()
    loras: tuple[Lora, ...] = ()
    files: tuple[UsedFile, ...] = ()


def colour(seed=0, size=(8, 8)):
    generator = np.random.default_rng(seed)
    return Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8))


def result(prompt="a cat", count=1, **fields):
    request = Request(prompt, count=count, **{"seed": 7, **fields}).resolved(SETTINGS)
    return Result(tuple(colour(i) for i in range(count)), request)


def png_with(texts, folder, after=False):
    """A PNG with these texts, before the pixels or after them (PIL itself writes them before)."""
    buffer = io.BytesIO()
    colour().save(buffer, "PNG")
    png = buffer.getvalue()
    place = png.index(b"IEND" if after else b"IDAT") - 4
    chunks = b""
    for key, text in texts.items():
        body = b"tEXt" + f"{key}\0{text}".encode("latin-1")
        chunks += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    path = folder / "picture.png"
    path.write_bytes(png[:place] + chunks + png[place:])
    return path
