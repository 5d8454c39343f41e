"""PNGs that say two things, and PNGs whose pixels end early, made byte by byte."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from helpers.pictures import chunk, encoded, raw_png
from PIL import Image

from sdnb import images
from sdnb.request import Request, png_header


def ihdr(width, height, colour=2, interlaced=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, interlaced))


def png(head, rows):
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("second", [(8, 8), (20_000, 20_000)])
def test_a_second_header_is_refused_at_every_door(second):
    data = raw_png(8, 8, 8, 2, [bytes(24)] * 8, ihdr(*second))
    for door in (images.picture, images.mask, images.open, images.read, lambda d: Request(image=d)):
        with pytest.raises(ValueError, match="two headers"):
            door(data)


def test_too_many_chunks_are_refused(monkeypatch):
    monkeypatch.setattr(png_header, "_MOST_CHUNKS", 1000)
    data = raw_png(8, 8, 8, 2, [bytes(24)] * 8, chunk(b"abCd", b"") * 1001)
    for door in (images.picture, images.read):
        with pytest.raises(ValueError, match="more than 1000 chunks"):
            door(data)


@pytest.mark.parametrize("rows", [0, 1, 63])
@pytest.mark.parametrize(("colour", "samples"), [(0, 1), (2, 3), (6, 4)])
def test_pixels_that_end_early_are_damage(rows, colour, samples):
    white = b"\0" + b"\xff" * 64 * samples
    assert images.open(png(ihdr(64, 64, colour), white * 64)).getpixel((63, 63))
    for door in (images.picture, images.open):
        with pytest.raises(ValueError, match=r"damaged|truncated"):
            door(png(ihdr(64, 64, colour), white * rows))


# Columns and rows of the seven passes of a 5 x 5 picture, counted by hand on the specification's
# pattern: 1x1, 1x1, 2x1, 1x2, 3x1, 2x3, 5x2.
PASSES = [(1, 1), (1, 1), (2, 1), (1, 2), (3, 1), (2, 3), (5, 2)]


def test_pixels_of_an_interlaced_picture():
    parts = [(b"\0" + b"\xff" * columns) * rows for columns, rows in PASSES]
    assert sum(columns * rows for columns, rows in PASSES) == 25
    whole = images.open(png(ihdr(5, 5, 0, 1), b"".join(parts)))
    assert whole.getextrema() == (255, 255)
    with pytest.raises(ValueError, match="end early"):
        images.open(png(ihdr(5, 5, 0, 1), b"".join(parts[:-1])))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_black_picture_is_not_called_damaged(mode):
    for size in ((1, 1), (7, 3), (64, 64)):
        data = encoded(Image.new(mode, size))
        assert not np.asarray(images.open(data)).any()
