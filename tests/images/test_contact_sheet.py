"""Several pictures on one page."""

from __future__ import annotations

import pytest
from helpers.pictures import RGB
from PIL import Image

from sdnb import images


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
    corners = [page.getpixel((x, y)) for y in range(0, size[1], 6) for x in range(0, size[0], 7)]
    assert corners[:count] == colours
    assert set(corners[count:]) <= {(255, 255, 255)}


def test_a_sheet_of_different_sizes_and_transparency():
    page = images.sheet([Image.new("L", (4, 4), 9), Image.new("RGBA", (2, 2), (0, 0, 0, 0))])
    assert page.size == (12, 4)
    assert page.getpixel((0, 0)) == (9, 9, 9)
    assert page.getpixel((9, 1)) == (255, 255, 255)


@pytest.mark.parametrize(("pictures", "columns"), [([], None), ([RGB], 0), ([RGB], 1.5)])
def test_a_sheet_that_cannot_be(pictures, columns):
    with pytest.raises((TypeError, ValueError), match=r"sheet|columns"):
        images.sheet(pictures, columns)
