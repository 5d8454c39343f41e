"""Masks in: one channel, white where the picture is made anew."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.pictures import CORNERS, RGB, pixels
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sdnb import images


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
    # A canvas stores colour times alpha in 8 bits, which changes the colour of faint pixels.
    back = drawing.astype(float)
    kept = np.rint(back[..., :3] * back[..., 3:] / 255)
    back[..., :3] = np.clip(np.rint(kept * 255 / np.maximum(back[..., 3:], 1)), 0, 255)
    assert np.array_equal(pixels(images.mask(back.astype(np.uint8))), alpha)


def test_of_a_picture_with_holes_the_luminance_is_the_mask_on_black():
    rgba = np.dstack([CORNERS, np.full((2, 3), 255)]).astype(np.uint8)
    rgba[1, 1, 3] = 0  # the white corner becomes transparent
    expected = np.asarray(RGB.convert("L")).copy()
    expected[1, 1] = 0
    assert np.array_equal(pixels(images.mask(rgba)), expected)


def test_of_an_opaque_rgba_the_luminance_is_the_mask():
    assert images.mask(RGB.convert("RGBA")) == images.mask(RGB)


def test_an_empty_drawing_changes_nothing():
    assert not pixels(images.mask(np.zeros((4, 4, 4), np.uint8))).any()
