"""Pictures in: every kind of file, upright, 8 bits, refused in words where it is none."""

from __future__ import annotations

import io
import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from sdnb import images

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


# What each EXIF orientation says of the stored rows and columns (EXIF 2.3, table of tag 0x0112),
# written with NumPy instead of PIL: the upright picture is made from the stored one by this.
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
        found = pixels(images.picture(path))
        assert np.array_equal(found, turn(stored))
        assert np.array_equal(pixels(images.picture(images.picture(path))), found)  # only once
        assert np.array_equal(pixels(images.picture(Image.open(path))), found)


def test_damaged_exif_leaves_the_picture_as_it_is():
    png = encoded(RGB, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    assert np.array_equal(pixels(images.picture(png)), CORNERS)


def test_metadata_is_not_passed_on(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "maker"
    RGB.save(tmp_path / "a.jpg", exif=exif, icc_profile=b"x" * 200, dpi=(72, 72), comment="secret")
    found = images.open(images.picture(tmp_path / "a.jpg"))
    assert found.info == {}
    assert not found.getexif()


@settings(deadline=None)
@given(
    arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([3, 4]))
    )
)
def test_pixels_survive_and_the_same_pixels_are_the_same_bytes(array):
    png = images.picture(array)
    rgba = array if array.shape[2] == 4 else np.dstack([array, np.full(array.shape[:2], 255)])
    found = np.asarray(images.open(png).convert("RGBA"))
    assert np.array_equal(found, rgba)
    again = [png, Image.fromarray(array), Image.open(io.BytesIO(png)), images.open(png)]
    assert {images.picture(source) for source in again} == {png}
    assert len(images.sha256(png)) == 64


def test_opaque_alpha_is_dropped_and_real_alpha_is_kept():
    opaque = RGB.convert("RGBA")
    assert images.open(images.picture(opaque)).mode == "RGB"
    opaque.putpixel((0, 0), (255, 0, 0, 254))
    found = images.open(images.picture(opaque))
    assert found.mode == "RGBA"
    assert found.getpixel((0, 0)) == (255, 0, 0, 254)


GREYS = [0, 1, 127, 128, 254, 255]


@pytest.mark.parametrize("byte_order", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped(byte_order):
    array = (np.array([GREYS]) * 257).astype(np.uint16)  # 0..65535 where 8 bits have 0..255
    found = pixels(images.picture(encoded(Image.fromarray(array), byte_order)))
    assert found[0].tolist() == [[grey] * 3 for grey in GREYS]
    assert pixels(images.picture(array))[0, :, 0].tolist() == GREYS


def test_sixteen_bits_of_colour():
    row = struct.pack(">6H", 65535, 0, 257 * 100, 0, 65535, 257 * 7)
    found = pixels(images.picture(raw_png(2, 1, 16, 2, [row])))
    assert found.tolist() == [[[255, 0, 100], [0, 255, 7]]]


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


def test_a_sixteen_bit_transparent_grey_does_not_break_the_picture():
    extra = chunk(b"tRNS", struct.pack(">H", 40000))
    png = raw_png(2, 1, 16, 0, [struct.pack(">2H", 40000, 65535)], extra)
    assert pixels(images.picture(png))[0, 1].tolist() == [255, 255, 255]


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
    found = images.open(images.picture(converted(mode)))
    assert found.mode == "RGB"
    assert found.size == RGB.size
    if mode in ("P", "PA", "RGBa", "RGBX", "CMYK"):
        assert np.array_equal(np.asarray(found), CORNERS)
    if mode in ("L", "LA", "La"):
        assert np.array_equal(np.asarray(found.convert("L")), np.asarray(RGB.convert("L")))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_thirty_two_bits_have_no_known_white(mode):
    with pytest.raises(ValueError, match=r"32-bit.*8 bits"):
        images.picture(RGB.convert(mode))


def test_a_cmyk_jpeg_has_the_colours_that_were_saved(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=95)
    found = pixels(images.picture(tmp_path / "red.jpg"))[8, 8]
    assert np.abs(found - [255, 0, 0]).max() <= 8


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation(kind, tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    path = tmp_path / "moving"
    options = {} if kind == "TIFF" else {"duration": 50, "loop": 0}
    if kind == "WEBP":
        options["lossless"] = True
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], **options)
    found = images.open(images.picture(path))
    assert found.size == (8, 8)
    assert found.convert("RGB").getpixel((4, 4)) == (255, 0, 0)
    assert getattr(found, "n_frames", 1) == 1


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


@pytest.mark.parametrize("source", [None, 3, [RGB], object(), {"image": RGB}])
def test_what_is_no_source_lists_what_is(source):
    for function, thing in ((images.picture, "image="), (images.mask, "mask=")):
        with pytest.raises(TypeError, match="accepted are a path, a PIL image") as caught:
            function(source)
        assert thing in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6),
    st.integers(0, 2000),
)
def test_a_damaged_file_is_a_picture_or_a_value_error(kind, changes, cut):
    data = bytearray(encoded(RGB.resize((24, 16)), kind))
    for position, value in changes:
        data[position % len(data)] = value
    data = bytes(data[: max(1, len(data) - cut % len(data))])
    for function, thing in ((images.picture, "image"), (images.mask, "mask")):
        message = refusal(function, data)
        assert message is None or message.startswith(thing), message


def refusal(function, data):
    """What the function says against the data, or None where it takes them."""
    try:
        images.open(function(data))
    except ValueError as error:
        return str(error)
    return None


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


# Masks


def test_a_mask_is_one_channel_and_masking_again_changes_nothing():
    png = images.mask(RGB)
    assert images.open(png).mode == "L"
    assert np.array_equal(pixels(png), np.asarray(RGB.convert("L")))
    assert images.mask(png) == png
    assert images.mask(images.open(png)) == png


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_a_grey_mask_is_kept_to_the_value(array):
    assert np.array_equal(pixels(images.mask(array)), array)
    assert np.array_equal(pixels(images.mask(array > 127)), (array > 127) * 255)


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (200, 30, 30)])
def test_of_a_drawing_on_transparency_the_alpha_is_the_mask(colour):
    alpha = np.tile(np.arange(256, dtype=np.uint8), (2, 1))
    drawing = np.dstack([np.full((2, 256), value, np.uint8) for value in colour] + [alpha])
    assert np.array_equal(pixels(images.mask(drawing)), alpha)
    # A canvas keeps colour times alpha in 8 bits, so faint pixels come back in another colour.
    back = drawing.astype(float)
    kept = np.rint(back[..., :3] * back[..., 3:] / 255)
    back[..., :3] = np.clip(np.rint(kept * 255 / np.maximum(back[..., 3:], 1)), 0, 255)
    assert np.array_equal(pixels(images.mask(back.astype(np.uint8))), alpha)


def test_of_a_picture_with_holes_the_luminance_is_the_mask_on_black():
    rgba = np.dstack([CORNERS, np.full((2, 3), 255)]).astype(np.uint8)
    rgba[1, 1, 3] = 0  # the white corner is cut out
    expected = np.asarray(RGB.convert("L")).copy()
    expected[1, 1] = 0
    assert np.array_equal(pixels(images.mask(rgba)), expected)


def test_of_an_opaque_rgba_the_luminance_is_the_mask():
    assert images.mask(RGB.convert("RGBA")) == images.mask(RGB)


def test_an_empty_drawing_changes_nothing():
    assert not pixels(images.mask(np.zeros((4, 4, 4), np.uint8))).any()


# Sheets


@pytest.mark.parametrize(
    ("count", "columns", "size"),
    [
        (1, None, (3, 2)), (2, None, (10, 2)), (3, None, (10, 8)), (4, None, (10, 8)),
        (24, None, (31, 26)), (4, 4, (24, 2)), (4, 1, (3, 20)), (2, 9, (10, 2)),
    ],
)  # fmt: skip
def test_a_sheet_holds_every_picture_pixel_for_pixel(count, columns, size):
    colours = [(i, 255 - i, 7) for i in range(count)]
    page = images.sheet([Image.new("RGB", (3, 2), colour) for colour in colours], columns)
    assert page.size == size
    found = [page.getpixel((x, y)) for y in range(0, size[1], 6) for x in range(0, size[0], 7)]
    assert found[:count] == colours
    assert set(found[count:]) <= {(255, 255, 255)}


def test_a_sheet_of_different_sizes_and_transparency():
    page = images.sheet([Image.new("L", (4, 4), 9), Image.new("RGBA", (2, 2), (0, 0, 0, 0))])
    assert page.size == (12, 4)
    assert page.getpixel((0, 0)) == (9, 9, 9)
    assert page.getpixel((9, 1)) == (255, 255, 255)


@pytest.mark.parametrize(("pictures", "columns"), [([], None), ([RGB], 0), ([RGB], 1.5)])
def test_a_sheet_that_cannot_be(pictures, columns):
    with pytest.raises((TypeError, ValueError), match=r"sheet|columns"):
        images.sheet(pictures, columns)
