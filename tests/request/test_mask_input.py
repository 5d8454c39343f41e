"""Masks in: one channel, white where the picture is made anew."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.pictures import CORNERS, RGB, pixels
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from sdnb import images


def test_a_mask_is_one_channel_and_masking_again_changes_nothing():
    png = images.mask(RGB)
    assert images.open(png).mode == "L"
    assert np.array_equal(pixels(png), np.asarray(RGB.convert("L")))
    assert images.mask(png) == png
    assert images.mask(images.open(png)) == png


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
@pytest.mark.slow
def test_a_grey_mask_is_kept_to_the_value(array):
    assert np.array_equal(pixels(images.mask(array)), array)
    assert np.array_equal(pixels(images.mask(array > 127)), (array > 127) * 255)


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (200, 30, 30)])
def test_of_a_drawing_on_transparency_the_alpha_is_the_mask(colour):
    alpha = np.tile(np.arange(256, dtype=np.uint8), (2, 1))
    drawing = np.dstack([np.full((2, 256), value, np.uint8) for value in colour] + [alpha])
    assert np.array_equal(pixels(images.mask(drawing)), alpha)
    # A canvas stores colour times alpha in 8 bits, which changes the colour of faint pixels.
    back = drawing.astype(float)
    kept = np.rint(back[..., :3] * back[..., 3:] / 255)
    back[..., :3] = np.clip(np.rint(kept * 255 / np.maximum(back[..., 3:], 1)), 0, 255)
    assert np.array_equal(pixels(images.mask(back.astype(np.uint8))), alpha)


def photograph(mode="RGB"):
    small = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    smooth = Image.fromarray(small).resize((96, 64), Image.Resampling.BICUBIC)
    return smooth.convert(mode).convert("RGB")


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("hole", [(32, 16, 64, 48), (8, 4, 88, 60)])
@pytest.mark.parametrize("black", [False, True])
def test_of_a_picture_with_an_erased_part_that_part_is_the_mask(mode, hole, black):
    erased, alpha = photograph(mode), np.full((64, 96), 255, np.uint8)
    alpha[hole[1] : hole[3], hole[0] : hole[2]] = 0
    alpha[hole[1], hole[0] : hole[2]] = 100  # the soft rim of an eraser
    if black:  # some programs keep the colours of erased pixels, some do not
        erased.paste("black", mask=Image.fromarray(255 - alpha))
    erased.putalpha(Image.fromarray(alpha))
    assert np.array_equal(pixels(images.mask(erased)), 255 - alpha)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_of_a_photograph_at_night_the_erased_part_is_the_mask(mode):
    """Nearly black throughout, but no mask in black and white: nothing in it is white."""
    erased, alpha = photograph(mode).point(lambda value: value // 8), np.full((64, 96), 255, "u1")
    alpha[16:48, 32:64] = 0
    erased.putalpha(Image.fromarray(alpha))
    assert np.array_equal(pixels(images.mask(erased)), 255 - alpha)


def test_what_was_taken_of_transparency_is_said():
    drawing, erased = Image.new("RGBA", (96, 64)), photograph().convert("RGBA")
    drawing.paste("red", (8, 8, 90, 60))
    erased.paste((0, 0, 0, 0), (8, 8, 40, 40))
    white = Image.new("RGBA", (96, 64), "black")
    white.paste("white", (8, 8, 40, 40))
    white.putpixel((0, 0), (0, 0, 0, 0))
    for source, words in (
        (drawing, "drawing on transparency"), (erased, "erased part"), (white, "black and white"),
        (photograph(), ""), (white.convert("L"), ""),
    ):  # fmt: skip
        png, note = images.mask_and_note(source)
        assert png == images.mask(source)
        assert words in note
        assert bool(note) == bool(words)


def test_of_a_flat_drawing_with_an_erased_part_that_part_is_the_mask():
    rgba = np.dstack([CORNERS, np.full((2, 3), 255)]).astype(np.uint8)
    rgba[1, 1, 3] = 0
    assert np.array_equal(pixels(images.mask(rgba)), 255 - rgba[..., 3])


def test_of_strokes_in_some_colours_the_alpha_is_the_mask():
    strokes = Image.new("RGBA", (64, 64))
    for i, colour in enumerate(("red", "blue", "white")):
        strokes.paste(colour, (8, 8 + 12 * i, 50, 14 + 12 * i))
    alpha = np.asarray(strokes)[..., 3]
    assert np.array_equal(pixels(images.mask(strokes)), alpha)


def test_of_a_mask_in_black_and_white_with_transparency_the_luminance_is_the_mask():
    rgba = np.zeros((8, 12, 4), np.uint8)
    rgba[:, :8, 3] = 255
    rgba[:, :4, :3] = 255
    expected = np.zeros((8, 12))
    expected[:, :4] = 255
    assert np.array_equal(pixels(images.mask(rgba)), expected)


def test_of_an_opaque_rgba_the_luminance_is_the_mask():
    assert images.mask(RGB.convert("RGBA")) == images.mask(RGB)


def test_an_empty_drawing_changes_nothing():
    assert not pixels(images.mask(np.zeros((4, 4, 4), np.uint8))).any()
