"""Pictures in: every kind of file and array, upright, 8 bits, pixel for pixel."""

from __future__ import annotations

import io
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.pictures import CORNERS, RGB, chunk, encoded, pixels, raw_png
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from sdnb import images
from sdnb.request import Request

# How each EXIF orientation turns the stored picture upright (EXIF 2.3, table of tag 0x0112),
# written with NumPy, independently of PIL.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", range(10))
def test_exif_orientation_is_applied(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = UPRIGHT.get(orientation, UPRIGHT[1])  # 0 and 9 mean nothing
    large = RGB.resize((48, 32), Image.Resampling.NEAREST)
    for kind in ("PNG", "JPEG", "WEBP"):
        options = {} if kind == "PNG" else {"quality": 100}
        path = tmp_path / f"photo.{kind.lower()}"
        large.save(path, kind, exif=exif, **options)
        stored = np.asarray(Image.open(path).convert("RGB")).astype(int)
        decoded = pixels(images.picture(path))
        assert np.array_equal(decoded, turn(stored))
        assert np.array_equal(pixels(images.picture(images.picture(path))), decoded)  # only once
        assert np.array_equal(pixels(images.picture(Image.open(path))), decoded)


def test_damaged_exif_leaves_the_picture_as_it_is():
    png = encoded(RGB, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    assert np.array_equal(pixels(images.picture(png)), CORNERS)


def test_metadata_is_not_passed_on(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "maker"
    RGB.save(tmp_path / "a.jpg", exif=exif, icc_profile=b"x" * 200, dpi=(72, 72), comment="secret")
    decoded = images.open(images.picture(tmp_path / "a.jpg"))
    assert decoded.info == {}
    assert not decoded.getexif()


@given(
    arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([3, 4]))
    )
)
def test_pixels_survive_and_the_same_pixels_are_the_same_bytes(array):
    png = images.picture(array)
    rgba = array if array.shape[2] == 4 else np.dstack([array, np.full(array.shape[:2], 255)])
    decoded = np.asarray(images.open(png).convert("RGBA"))
    assert np.array_equal(decoded, rgba)
    again = [png, Image.fromarray(array), Image.open(io.BytesIO(png)), images.open(png)]
    assert {images.picture(source) for source in again} == {png}
    assert len(images.sha256(png)) == 64


def test_opaque_alpha_is_dropped_and_real_alpha_is_kept():
    opaque = RGB.convert("RGBA")
    assert images.open(images.picture(opaque)).mode == "RGB"
    opaque.putpixel((0, 0), (255, 0, 0, 254))
    decoded = images.open(images.picture(opaque))
    assert decoded.mode == "RGBA"
    assert decoded.getpixel((0, 0)) == (255, 0, 0, 254)


GREYS = [0, 1, 127, 128, 254, 255]


@pytest.mark.parametrize("byte_order", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped(byte_order):
    array = (np.array([GREYS]) * 257).astype(np.uint16)  # 0..65535 where 8 bits have 0..255
    decoded = pixels(images.picture(encoded(Image.fromarray(array), byte_order)))
    assert decoded[0].tolist() == [[grey] * 3 for grey in GREYS]
    assert pixels(images.picture(array))[0, :, 0].tolist() == GREYS


def test_sixteen_bits_of_colour():
    row = struct.pack(">6H", 65535, 0, 257 * 100, 0, 65535, 257 * 7)
    decoded = pixels(images.picture(raw_png(2, 1, 16, 2, [row])))
    assert decoded.tolist() == [[[255, 0, 100], [0, 255, 7]]]


@pytest.mark.parametrize(
    ("depth", "colour", "row", "extra", "expected"),
    [
        (1, 0, b"\x80", b"", [[255] * 3, [0] * 3]),
        (2, 0, b"\x60", b"", [[85] * 3, [170] * 3]),
        (4, 0, b"\x1f", b"", [[17] * 3, [255] * 3]),
        (8, 0, b"\x07\x80", b"", [[7] * 3, [128] * 3]),
        (8, 4, b"\x07\xff\x80\x10", b"", [[7, 7, 7, 255], [128, 128, 128, 16]]),
        (8, 2, b"\1\2\3\4\5\6", b"", [[1, 2, 3], [4, 5, 6]]),
        (8, 6, b"\1\2\3\0\4\5\6\xff", b"", [[1, 2, 3, 0], [4, 5, 6, 255]]),
        (8, 3, b"\0\1", chunk(b"PLTE", b"\1\2\3\4\5\6"), [[1, 2, 3], [4, 5, 6]]),
        (
            8, 3, b"\0\1", chunk(b"PLTE", b"\1\2\3\4\5\6") + chunk(b"tRNS", b"\x80\xff"),
            [[1, 2, 3, 128], [4, 5, 6, 255]],
        ),
        (
            8, 2, b"\1\2\3\4\5\6", chunk(b"tRNS", struct.pack(">3H", 4, 5, 6)),
            [[1, 2, 3, 255], [4, 5, 6, 0]],
        ),
        (
            8, 0, b"\x07\x80", chunk(b"tRNS", struct.pack(">H", 7)),
            [[7, 7, 7, 0], [128, 128, 128, 255]],
        ),
        (
            16, 6, struct.pack(">8H", 0, 257, 514, 65535, 771, 0, 0, 0), b"",
            [[0, 1, 2, 255], [3, 0, 0, 0]],
        ),
    ],
)  # fmt: skip
def test_every_kind_of_png(depth, colour, row, extra, expected):
    png = raw_png(2, 1, depth, colour, [row], extra)
    assert pixels(images.picture(png)).tolist() == [expected]


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_transparent_colour_of_a_grey_png_of_any_depth(depth):
    """White is 2**depth - 1; the grey that `tRNS` names is transparent, its neighbour is not."""
    most = 2**depth - 1
    hidden = most // 2
    values = [hidden, hidden + 1]
    row = struct.pack(">2H", *values) if depth == 16 else None
    if depth < 8:
        row = bytes([(values[0] << (8 - depth)) | (values[1] << (8 - 2 * depth))])
    elif depth == 8:
        row = bytes(values)
    png = raw_png(2, 1, depth, 0, [row], chunk(b"tRNS", struct.pack(">H", hidden)))
    decoded = pixels(images.picture(png))[0]
    assert decoded[:, 3].tolist() == [0, 255]
    assert decoded[1, :3].tolist() == [round(values[1] * 255 / most)] * 3


def converted(mode):
    if mode in ("RGBa", "La"):
        return RGB.convert(mode[:-1] + "A").convert(mode)
    if mode in ("P", "PA"):
        return RGB.convert("P", palette=Image.Palette.ADAPTIVE).convert(mode)
    return RGB.convert(mode)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "CMYK", "YCbCr", "HSV", "RGBX", "RGBa", "La"]
)
def test_modes_of_pil(mode):
    decoded = images.open(images.picture(converted(mode)))
    assert decoded.mode == "RGB"
    assert decoded.size == RGB.size
    if mode in ("P", "PA", "RGBa", "RGBX", "CMYK"):
        assert np.array_equal(np.asarray(decoded), CORNERS)
    if mode in ("L", "LA", "La"):
        assert np.array_equal(np.asarray(decoded.convert("L")), np.asarray(RGB.convert("L")))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_thirty_two_bits_have_no_known_white(mode):
    with pytest.raises(ValueError, match=r"32-bit.*8 bits"):
        images.picture(RGB.convert(mode))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation(kind, tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    path = tmp_path / "moving"
    options = {} if kind == "TIFF" else {"duration": 50, "loop": 0}
    if kind == "WEBP":
        options["lossless"] = True
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], **options)
    decoded = images.open(images.picture(path))
    assert decoded.size == (8, 8)
    assert decoded.convert("RGB").getpixel((4, 4)) == (255, 0, 0)
    assert getattr(decoded, "n_frames", 1) == 1


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[0, 255]], np.uint8), [0, 255]),
        (np.array([[False, True]]), [0, 255]),
        (np.array([[0.0, 0.5, 1.0]]), [0, 128, 255]),
        (np.array([[0.0, 1.0005]], np.float32), [0, 255]),  # what a resize leaves
        (np.array([[[0.25]]], np.float16), [64]),
        (np.array([[0, 200]], np.int64), [0, 200]),
        (np.array([[0, 65535]], np.uint16), [0, 255]),
        (np.array([[1, 2, 3]], np.uint8)[:, ::-1], [3, 2, 1]),
        (np.asfortranarray(np.array([[1, 2], [3, 4]], np.uint8))[:1], [1, 2]),
    ],
)
def test_arrays(array, expected):
    assert pixels(images.picture(array))[0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    ("array", "kind", "words"),
    [
        (np.array([[0.0, 255.0]]), ValueError, ["255.0", "from 0 to 1", "uint8"]),
        (np.array([[np.nan]]), ValueError, ["nan"]),
        (np.array([[np.inf]]), ValueError, ["inf"]),
        (np.array([[-1]]), ValueError, ["-1", "0 to 255"]),
        (np.array([[256]]), ValueError, ["256"]),
        (np.zeros((3, 8, 9)), ValueError, ["[3, 8, 9]", "transpose(1, 2, 0)"]),
        (np.zeros((1, 8, 9, 3)), ValueError, ["[1, 8, 9, 3]", "[h, w, 3]"]),
        (np.zeros((0, 8)), ValueError, ["[0, 8]"]),
        (np.zeros(()), ValueError, ["[]"]),
        (np.zeros((2, 2), complex), TypeError, ["complex128"]),
        (np.array([["a"]]), TypeError, ["<U1"]),
    ],
)
def test_arrays_that_are_no_picture(array, kind, words):
    with pytest.raises(kind) as caught:
        images.picture(array)
    assert all(word in str(caught.value) for word in ["image", *words]), caught.value


def test_a_result_gives_its_first_picture():
    result = SimpleNamespace(images=(RGB, Image.new("RGB", (1, 1))))
    assert np.array_equal(pixels(images.picture(result)), CORNERS)
    with pytest.raises(ValueError, match="holds no pictures"):
        images.picture(SimpleNamespace(images=()))


# -- raw bytes in a Request --------------------------------------------------------------------

EXIF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6
XMP = b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>'
ROWS = [row.astype(np.uint8).tobytes() for row in CORNERS]
WIDE = [(row * 257).astype(">u2").tobytes() for row in CORNERS]
TURNED = np.rot90(CORNERS, -1)
CLEAR = np.dstack([CORNERS, np.where((CORNERS == 9).all(axis=2), 0, 255)])
PALETTE = chunk(b"PLTE", bytes([9, 8, 7, 1, 2, 3])) + chunk(b"tRNS", b"\0")


@pytest.mark.parametrize(
    ("png", "truth"),
    [
        (raw_png(3, 2, 16, 2, WIDE), CORNERS),
        (raw_png(3, 1, 1, 0, [b"\xa0"]), np.array([[[255] * 3, [0] * 3, [255] * 3]])),
        (raw_png(2, 1, 8, 3, [b"\0\1"], PALETTE), np.array([[[9, 8, 7, 0], [1, 2, 3, 255]]])),
        (raw_png(3, 2, 8, 2, ROWS, chunk(b"tRNS", b"\0\x09" * 3)), CLEAR),
        (raw_png(3, 2, 8, 2, ROWS, chunk(b"eXIf", EXIF)), TURNED),
        (raw_png(3, 2, 8, 2, ROWS, chunk(b"iTXt", XMP)), TURNED),
        (raw_png(3, 2, 8, 2, ROWS)[:-12] + chunk(b"eXIf", EXIF) + chunk(b"IEND", b""), TURNED),
    ],
)  # fmt: skip
def test_the_raw_bytes_of_any_png_are_read_as_they_are_seen(png, truth):
    asked = Request(image=png)
    assert np.array_equal(pixels(asked.image), truth)
    assert f"<PNG {truth.shape[1]}x{truth.shape[0]}>" in repr(asked)  # upright, for the size asked
    assert Request(image=asked.image).image is asked.image
    assert Request.from_json(asked.to_json(), asked.pictures) == asked


def test_a_mask_of_raw_bytes_may_be_drawn_in_its_alpha():
    drawn = raw_png(2, 1, 8, 6, [bytes([0, 0, 0, 255, 0, 0, 0, 0])])
    assert pixels(Request(image=images.picture(RGB), mask=drawn).mask).tolist() == [[255, 0]]


@pytest.mark.parametrize("colour", [0, 2, 6])
def test_a_plain_png_stays_as_it_is_to_the_last_byte(colour):
    rows = [bytes(range({0: 2, 2: 6, 6: 8}[colour]))]
    png = raw_png(2, 1, 8, colour, rows, chunk(b"tEXt", b"parameters\0a cat"))
    assert Request(image=png).image is png


def test_a_damaged_png_that_is_not_plain_is_refused_by_name():
    with pytest.raises(ValueError, match=r"image \(\d+ bytes\) .*damaged or cut short"):
        Request(image=raw_png(3, 2, 16, 2, WIDE)[:40])
