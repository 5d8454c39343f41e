"""Filling a hole: closed forms, and what no filling may do."""

import numpy as np
import pytest
from PIL import Image

from sdnb.images.inpaint_fill import filled

SIZE = (83, 57)  # odd, so that no level halves evenly


def hole(box, size=SIZE):
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


@pytest.mark.parametrize("box", [(20, 10, 60, 40), (0, 0, 50, 57), (1, 1, 83, 57)])
def test_one_colour_fills_with_that_colour(box):
    plain = Image.new("RGB", SIZE, (200, 30, 90))
    given = plain.copy()
    given.paste((0, 255, 0), box)
    assert np.array_equal(filled(given, hole(box)), plain)


def test_what_stood_in_the_hole_has_no_influence():
    box = (20, 10, 60, 40)
    rng = np.random.default_rng(0)
    one = Image.fromarray(rng.integers(0, 256, (57, 83, 3), dtype=np.uint8))
    other = one.copy()
    other.paste((0, 0, 0), box)
    assert np.array_equal(filled(one, hole(box)), filled(other, hole(box)))


def test_what_is_known_is_kept_bit_for_bit():
    rng = np.random.default_rng(1)
    picture = Image.fromarray(rng.integers(0, 256, (57, 83, 3), dtype=np.uint8))
    mask = hole((20, 10, 60, 40))
    kept = np.asarray(mask) == 0
    assert np.array_equal(np.asarray(filled(picture, mask))[kept], np.asarray(picture)[kept])


def test_between_two_colours_the_filling_goes_from_one_to_the_other():
    ramp = np.zeros((64, 128, 3), dtype=np.uint8)
    ramp[:, 64:] = 240
    row = np.asarray(filled(Image.fromarray(ramp), hole((32, 0, 96, 64), (128, 64))))[32, :, 0]
    assert row.min() == 0
    assert row.max() == 240
    assert (np.diff(row.astype(int)) >= 0).all()
    assert abs(int(row[48]) + int(row[79]) - 240) <= 2  # symmetric about the middle
    assert 0 < row[56] < row[71] < 240


def test_nothing_known_gives_grey():
    picture = Image.new("RGB", SIZE, (1, 2, 3))
    assert filled(picture, Image.new("L", SIZE, 255)).getextrema() == ((127, 127),) * 3
