"""Hints at other sizes: lines keep their width, colours stay those that they were."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from sdnb.hints import hint_size


def lines():
    """Lines of one pixel: upright, level, falling, and a circle."""
    image = Image.new("L", (96, 96))
    draw = ImageDraw.Draw(image)
    for ends in ((20, 0, 20, 95), (0, 30, 95, 30), (0, 0, 95, 95), (40, 92, 92, 40)):
        draw.line(ends, fill=255)
    draw.ellipse((30, 30, 80, 84), outline=255)
    return np.repeat(np.asarray(image)[:, :, None], 3, axis=2)


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.5, 2, 3])
def test_lines_of_one_pixel_stay_so_and_whole(scale):
    side = int(96 * scale)
    found = hint_size.resized(lines(), (side, side))
    assert set(np.unique(found)) == {0, 255}
    white = found[..., 0] > 0
    thick = white[1:, 1:] & white[:-1, 1:] & white[1:, :-1] & white[:-1, :-1]
    assert thick.sum() <= 4  # where lines meet
    assert ndimage.label(white, np.ones((3, 3)))[1] == 1  # one figure, as before
    upright = white[int(4 * scale) : int(16 * scale), int(14 * scale) : int(28 * scale)]
    alone = upright[:, int(3 * scale) :]  # without the falling line
    assert (alone.sum(axis=1) == 1).all()


def test_broad_shapes_of_black_and_white_stay_so():
    shape = np.zeros((40, 40, 3), np.uint8)
    shape[8:24, 8:24] = 255
    for side in (20, 60, 80):
        found = hint_size.resized(shape, (side, side))
        part = slice(side * 8 // 40, side * 24 // 40)
        expected = np.zeros((side, side, 3), np.uint8)
        expected[part, part] = 255
        np.testing.assert_array_equal(found, expected)


def test_a_few_colours_are_not_mixed():
    random = np.random.default_rng(1)
    colours = random.integers(0, 256, (12, 3), np.uint8)
    map_ = colours[random.integers(0, 12, (30, 30))]
    for size in ((45, 60), (20, 13)):
        found = hint_size.resized(map_, size)
        assert found.shape == (size[1], size[0], 3)
        assert {*map(tuple, found.reshape(-1, 3))} <= {*map(tuple, colours)}
    twice = hint_size.resized(map_, (60, 60))
    np.testing.assert_array_equal(twice, map_.repeat(2, 0).repeat(2, 1))


def test_many_colours_are_means_of_areas_where_it_becomes_smaller():
    map_ = np.random.default_rng(2).integers(0, 256, (60, 60, 3), np.uint8)
    mean = map_.reshape(20, 3, 20, 3, 3).mean((1, 3))
    assert abs(hint_size.resized(map_, (20, 20)) - mean).max() <= 0.5
    ramp = np.repeat(np.linspace(20, 230, 211, dtype=np.uint8)[None, :, None], 3, axis=2)
    larger = hint_size.resized(np.repeat(ramp, 9, axis=0), (422, 18))[9, 8:-8, 0]
    straight = np.interp((np.arange(422) + 0.5) / 2 - 0.5, np.arange(211), ramp[0, :, 0])[8:-8]
    assert abs(larger - straight).max() <= 1  # a cubic of a ramp is the ramp


def test_the_same_size_is_the_same_hint():
    given = lines()
    assert hint_size.resized(given, (96, 96)) is given


@pytest.mark.parametrize("size", [(64, 128), (200, 80), (33, 57)])
def test_fits(size):
    random = np.random.default_rng(3)
    map_ = random.integers(0, 256, (50, 70, 3), np.uint8)
    map_[0] = map_[-1] = map_[:, 0] = map_[:, -1] = (7, 8, 9)
    for fit in hint_size.FITS:
        assert hint_size.fitted(map_, size, fit).shape == (size[1], size[0], 3)
        assert hint_size.fitted_mask(map_[..., 0], size, fit).shape == size[::-1]
    whole = hint_size.fitted(map_, (140, 300), "fill")
    np.testing.assert_array_equal(whole[100:200], hint_size.resized(map_, (140, 100)))
    assert (whole[:100] == (7, 8, 9)).all()
    assert (whole[200:] == (7, 8, 9)).all()
    middle = hint_size.fitted(map_, (60, 50), "crop")
    np.testing.assert_array_equal(middle, map_[:, 5:65])


def test_a_mask_is_black_and_white_and_its_borders_are_masked():
    mask = np.zeros((20, 20), np.uint8)
    mask[5:15, 5:15] = 200
    found = hint_size.fitted_mask(mask, (20, 40), "fill")
    assert set(np.unique(found)) == {0, 255}
    assert (found[:10] == 255).all()
    np.testing.assert_array_equal(found[10:30], (mask > 127) * 255)
    mask[4, 4:16] = mask[15, 4:16] = mask[4:16, 4] = mask[4:16, 15] = 200
    half = hint_size.fitted_mask(mask, (10, 10), "stretch")
    np.testing.assert_array_equal(half, (mask[::2, ::2] > 127) * 255)


def test_a_part_is_cut_out_in_shares_of_the_sides():
    picture = np.arange(40 * 80).reshape(40, 80)
    part = hint_size.part_of(picture, (0.25, 0.5, 0.75, 1))
    np.testing.assert_array_equal(part, picture[20:, 20:60])
    assert hint_size.part_of(picture, None) is picture
    assert hint_size.part_of(picture, (1, 1, 1, 1)).tolist() == [[40 * 80 - 1]]
    assert hint_size.part_of(picture, (-0.5, -1, 2, 2)).shape == (40, 80)


def test_a_picture_to_work_on_has_its_own_proportions():
    picture = np.zeros((40, 80, 3), np.uint8)
    shapes = {fit: hint_size.to_work_on(picture, (80, 80), fit).shape[:2] for fit in hint_size.FITS}
    assert shapes == {"stretch": (80, 160), "crop": (80, 160), "fill": (40, 80)}


def test_a_single_row_is_not_worked_on_as_a_square_of_its_length():
    """512x512 from 300x1 would be 153,600 pixels wide, were it to be covered."""
    row = np.arange(300, dtype=np.uint8)[None, :, None].repeat(3, 2)
    for fit, wide in (("stretch", 64), ("crop", 64), ("fill", 64)):
        worked_on = hint_size.to_work_on(row, (64, 64), fit)
        assert worked_on.shape[1] == wide
    middle = hint_size.fitted(row, (64, 64), "crop")
    assert (middle == row[:, 149:150]).all()
    mask = hint_size.fitted_mask((row[..., 0] > 100) * np.uint8(255), (64, 64), "crop")
    assert (mask == 255).all()
