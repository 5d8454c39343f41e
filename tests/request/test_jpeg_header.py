"""What is looked at in a JPEG before a decoder is asked: markers, scans, bytes before pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from sdnb.request import jpeg_header


def jpeg(**options):
    """A picture of noise, so that all bytes stand among its packed pixels, and restart markers."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"quality": 100, "restart_marker_blocks": 2}, {"comment": b"a"}],
)
@pytest.mark.parametrize("more", [b"", bytes(100_000), b"\xff\xda\0\2" * 100])
def test_ordinary_ones_pass_whatever_lies_behind_their_end(options, more):
    file = io.BytesIO(jpeg(**options) + more)
    jpeg_header.check(file)
    assert file.tell() == 0


@pytest.mark.parametrize("cut", [3, 100, 700, -1])
def test_so_do_those_that_are_cut_short(cut):
    jpeg_header.check(io.BytesIO(jpeg()[:cut]))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (b"\xff" * 20_000, b"", "10,000 markers"),
        (b"\xff\xd9" * 20_000, b"", "10,000 markers"),
        (b"\xff\xe1\xff\xff" + bytes(65_533), b"", None),
        ((b"\xff\xe1\xff\xff" + bytes(65_533)) * 257, b"", "16,777,216 bytes before"),
        (b"", b"\xff\xda\0\2ab\xff\0c" * 31, None),
        (b"", b"\xff\xda\0\2ab\xff\0c" * 32, "32 scans"),
    ],
)
def test_bombs_are_refused(before, after, words):
    whole = jpeg()
    file = io.BytesIO(whole[:2] + before + whole[2:-2] + after + whole[-2:])
    if words is None:
        jpeg_header.check(file)
        return
    with pytest.raises(ValueError, match=f"has more than {words}"):
        jpeg_header.check(file)
