"""A file or value that is no picture is refused with a reason."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from helpers.pictures import RGB, chunk, encoded, raw_png
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sdnb import images


def test_a_path_may_be_text_or_a_path(tmp_path, monkeypatch):
    path = tmp_path / "a picture.png"
    RGB.save(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    sources = (path, str(path), path.name, "~/a picture.png")
    assert len({images.picture(source) for source in sources}) == 1


@pytest.mark.parametrize("function", [images.picture, images.mask, images.read])
@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("nothere.png", FileNotFoundError, ["nothere.png", "does not exist", "looked in"]),
        ("Phto.jpg", FileNotFoundError, ["did you mean 'photo.jpg'"]),
        ("no/where/photo.jpg", FileNotFoundError, ["neither does that folder"]),
        ("folder", ValueError, ["is a folder", "inside.png"]),
        ("empty", ValueError, ["is a folder", "name a file"]),
        ("https://example.org/cat.png", ValueError, ["address", "download"]),
        ("C://Users/me/photo.jpg", FileNotFoundError, ["does not exist"]),
        ("", ValueError, ["empty"]),
        ("a\0b.png", (ValueError, FileNotFoundError), []),
        ("x" * 5000, ValueError, ["too long"]),
        ("note.txt", ValueError, ["note.txt", "PNG"]),
        ("nothing.png", ValueError, ["nothing.png"]),
        ("short.png", ValueError, ["short.png", "damaged or cut short"]),
    ],
)
def test_a_path_that_is_no_picture(function, name, kind, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").mkdir()
    RGB.save(tmp_path / "folder" / "inside.png")
    RGB.save(tmp_path / "photo.jpg")
    (tmp_path / "note.txt").write_text("not a picture")
    (tmp_path / "nothing.png").write_bytes(b"")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    (tmp_path / "short.png").write_bytes(encoded(Image.fromarray(noise))[:3000])
    with pytest.raises(kind) as caught:
        function(name)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert len(message) < 400 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"%PDF-1.7", "PDF"),
        (b"", "empty"),
        (b"GIF89a", "begins|damaged|not a picture"),
    ],
)
def test_bytes_that_are_no_picture_say_what_they_are(head, words):
    with pytest.raises(ValueError, match=words):
        images.picture(head)


@pytest.mark.parametrize("function", [images.picture, images.mask, images.open, images.read])
@pytest.mark.parametrize(
    "damage",
    [
        lambda png: png[:8], lambda png: png[:30], lambda png: png[:-30],
        lambda png: png[:12] + b"XHDR" + png[16:], lambda png: png[:28] + b"zzz" + png[31:],
        lambda png: png[:50] + bytes(9) + png[59:],
    ],
)  # fmt: skip
def test_a_damaged_png_is_called_damaged_and_not_something_else(function, damage):
    noise = np.random.default_rng(0).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"damaged or cut short.*; get the file again$") as caught:
        function(damage(encoded(Image.fromarray(noise))))
    assert not any(word in str(caught.value) for word in ("not a P", "object at", "are read"))


@pytest.mark.parametrize("source", [None, 3, [RGB], object(), {"image": RGB}])
def test_what_is_no_source_lists_what_is(source):
    for function, thing in ((images.picture, "image="), (images.mask, "mask=")):
        with pytest.raises(TypeError, match="accepted are a path, a PIL image") as caught:
            function(source)
        assert thing in str(caught.value)


@settings(max_examples=300)
@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6),
    st.integers(0, 2000),
)
@pytest.mark.slow
def test_a_damaged_file_is_a_picture_or_a_value_error(kind, changes, cut):
    data = bytearray(encoded(RGB.resize((24, 16)), kind))
    for position, value in changes:
        data[position % len(data)] = value
    data = bytes(data[: max(1, len(data) - cut % len(data))])
    for function, thing in ((images.picture, "image"), (images.mask, "mask")):
        message = refusal(function, data)
        assert message is None or message.startswith(thing), message


def refusal(function, data):
    """The function's error for the data, or None if it accepts them."""
    try:
        images.open(function(data))
    except ValueError as error:
        return str(error)
    return None


def waves(progressive):
    """A JPEG of 600x400, and its pixels."""
    y, x = np.mgrid[:400, :600]
    array = np.stack([127 + 120 * np.sin(x / 31), 127 + 120 * np.cos(y / 23), x * y % 251], -1)
    file = io.BytesIO()
    Image.fromarray(array.astype(np.uint8)).save(file, "JPEG", progressive=progressive)
    return file.getvalue(), np.asarray(Image.open(file))


@pytest.mark.slow
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_last_bytes_is_read(progressive, tmp_path):
    data, whole = waves(progressive)
    for lacking in (1, 2, 3, 12):
        (tmp_path / "a.jpg").write_bytes(data[:-lacking])
        for source in (data[:-lacking], tmp_path / "a.jpg"):
            seen = np.asarray(images.open(images.picture(source)))
            wrong = np.abs(seen.astype(int) - whole).max(axis=-1) > 16
            assert wrong.mean() <= 0.01
    with pytest.raises(ValueError, match="damaged or cut short"):
        images.picture(data[: len(data) // 2])


@pytest.mark.parametrize("side", [8200, 20000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_in_words(side, tmp_path):
    bomb = raw_png(side, side, 8, 2, [b"\0" * 30])
    (tmp_path / "bomb.png").write_bytes(bomb)
    for function in (images.picture, images.mask, images.open, images.read):
        sources = [bomb] if function is images.open else [bomb, tmp_path / "bomb.png"]
        for source in sources:
            with pytest.raises(ValueError, match="8192x8192"):
                function(source)


def test_a_text_bomb_is_refused():
    bomb = chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"0" * 20_000_000))
    png = raw_png(1, 1, 8, 2, [b"\0\0\0"], bomb)
    for function in (images.picture, images.read):
        with pytest.raises(ValueError, match="damaged"):
            function(png)


def test_open_wants_bytes():
    with pytest.raises(TypeError, match="bytes"):
        images.open("photo.png")
