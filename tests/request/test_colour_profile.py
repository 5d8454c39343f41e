"""Colours by their profile: those that are seen, whatever numbers stand in the file."""

from __future__ import annotations

import io
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.pictures import CORNERS, RGB, encoded, pixels
from PIL import Image, ImageCms

from sdnb import Request, images


def profile(space, primaries, gamma):
    """A small ICC v2 profile: tags of `primaries` (adapted to D50), or of grey, with a gamma."""

    def fixed(*values):
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    white = (0.9642, 1.0, 0.8249)
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": text, b"cprt": b"text\0\0\0\0none\0"}
    tags |= {
        name: b"XYZ \0\0\0\0" + fixed(*xyz) for name, xyz in {b"wtpt": white, **primaries}.items()
    }
    names = (b"rTRC", b"gTRC", b"bTRC") if primaries else (b"kTRC",)
    tags |= dict.fromkeys(names, curve)
    table, body, at = b"", b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">2I", at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"lcms", 0x02400000, b"mntr", space, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + fixed(*white)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


# Display P3's primaries, adapted to D50 (the columns of its matrix to XYZ).
P3 = {
    b"rXYZ": (0.51512, 0.24120, -0.00105),
    b"gXYZ": (0.29198, 0.69225, 0.04189),
    b"bXYZ": (0.15710, 0.06657, 0.78407),
}
# From XYZ at D50 to linear sRGB (the inverse of sRGB's matrix adapted by Bradford, Lindbloom).
TO_SRGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)


def as_srgb(linear):
    """sRGB's curve (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(curve * 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "array of alpha"])
def test_colours_of_a_profile_become_those_of_srgb(kind):
    patches = np.uint8([[[200, 60, 60], [60, 180, 60], [230, 150, 40], [128, 128, 128]]])
    matrix = np.array(list(P3.values())).T
    truth = as_srgb((patches[0] / 255) ** 2.2 @ matrix.T @ TO_SRGB.T)
    photo = Image.fromarray(patches)
    if kind == "array of alpha":
        photo.putalpha(Image.fromarray(np.uint8([[255, 128, 0, 255]])))
    file = io.BytesIO()
    photo.save(file, "TIFF" if kind == "TIFF" else "PNG", icc_profile=profile(b"RGB ", P3, 2.2))
    png = images.picture(file.getvalue())
    assert np.abs(pixels(png)[0, :, :3] - truth).max() <= 2
    if kind == "array of alpha":
        assert pixels(png)[0, :, 3].tolist() == [255, 128, 0, 255]
    assert images.picture(png) == png  # once
    if kind == "PNG":
        assert Request(image=file.getvalue()).image == png
    # The values of a mask are no colours.
    assert images.mask(file.getvalue()) == images.mask(photo)


def test_a_grey_profile_moves_greys_along_its_curve():
    greys = np.uint8([[0, 30, 128, 255]])
    file = io.BytesIO()
    Image.fromarray(greys).save(file, "PNG", icc_profile=profile(b"GRAY", {}, 1.0))
    decoded = pixels(images.picture(file.getvalue()))[0]
    assert np.abs(decoded - as_srgb(greys[0] / 255)[:, None]).max() <= 2


def test_a_profile_of_srgb_or_a_damaged_one_changes_no_pixel():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey_only = profile(b"GRAY", {}, 1.8)
    for data in (srgb, b"no profile", srgb[:200], grey_only):
        assert np.array_equal(pixels(images.picture(encoded(RGB, icc_profile=data))), CORNERS)


def test_cmyk_is_converted_by_its_profile(monkeypatch):
    """LittleCMS does the conversion; ours is that it is asked, with the picture as it is."""
    asked = []

    def transform(source, target, given, wanted):
        asked.append((given, wanted))
        raise ImageCms.PyCMSError("enough")

    class Profile:
        def __init__(self, _):
            self.profile = SimpleNamespace(xcolor_space="CMYK")

    monkeypatch.setattr(ImageCms, "ImageCmsProfile", Profile)
    monkeypatch.setattr(ImageCms, "buildTransform", transform)
    file = io.BytesIO()
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(file, "TIFF", icc_profile=b"a press")
    assert pixels(images.picture(file.getvalue()))[0, 0].tolist() == [255, 0, 0]
    assert asked == [("CMYK", "RGB")]


def test_a_cmyk_jpeg_has_the_colours_that_were_saved(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=95)
    decoded = pixels(images.picture(tmp_path / "red.jpg"))[8, 8]
    assert np.abs(decoded - [255, 0, 0]).max() <= 8
