"""Controls without a picture follow the one that a request starts from, as it lies there."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import sdnb
from sdnb import images
from sdnb.images import canvas
from sdnb.request import Request, Settings
from sdnb.request.control import Control

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
PICTURE = Image.fromarray(PIXELS).resize((96, 72), Image.Resampling.BICUBIC)
TILE, FILL = Control("tile"), Control("inpaint", prepare="inpaint")


def resolved(*controls, **fields):
    given = {"image": images.picture(PICTURE), "controls": controls, **fields}
    return Request(**given).resolved(Settings())


def array(image):
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("fit", ["stretch", "crop", "fill"])
@pytest.mark.parametrize("prepare", [None, "canny", "tile"])
def test_it_is_as_if_the_picture_were_given(fit, prepare):
    size = {"width": 128, "height": 64}
    (found,) = images.hints(resolved(Control("x", prepare=prepare), fit=fit, **size))
    by_hand = Control("x", PICTURE, prepare=prepare, fit=fit).hint_at(128, 64)
    np.testing.assert_array_equal(array(found), array(by_hand))


@pytest.mark.parametrize("fit", ["stretch", "crop", "fill", "fit"])
@pytest.mark.parametrize("side", [(96, 72), (91, 67), (200, 72)])
def test_the_hint_lies_where_the_picture_lies(fit, side):
    """Also where that is padded to multiples of 8, or fitted inside; filters ring differently."""
    image = PICTURE.resize(side, Image.Resampling.BICUBIC)
    size = {} if side[0] < 100 else {"width": 104, "height": 104}
    request = resolved(TILE, image=images.picture(image), fit=fit, **size)
    (found,) = images.hints(request)
    there = canvas.fit(request)[0].picture
    assert found.size == there.size == (request.width, request.height)
    apart = abs(array(found) - array(there)).max(axis=2)
    if fit == "fill" and size:  # borders repeat its rim there; in a hint they are of one colour
        apart = apart[40:64]
    assert np.quantile(apart, 0.98) <= (24 if size else 0)


def test_where_a_part_is_made_that_part_is_read():
    mask = Image.new("L", PICTURE.size)
    mask.paste(255, (8, 16, 40, 48))
    asked = {"mask": images.mask(mask), "padding": 8, "width": 64, "height": 64}
    request = resolved(TILE, Control("own", PICTURE), **asked)
    followed, given = images.hints(request)
    assert followed.tobytes() == given.tobytes() != PICTURE.resize((64, 64)).tobytes()


def test_a_hole_is_that_of_the_requests_mask_or_its_own():
    mask = Image.new("L", PICTURE.size, 255)
    mask.paste(0, (0, 0, 48, 72))
    given = {"mask": images.mask(mask), "invert": True, "width": 192, "height": 144}

    def holes(*controls, **fields):
        request = resolved(*controls, **{**given, **fields})
        return [
            each.mask_at(request.width, request.height)
            for each in images.followed.with_pictures(request, canvas.fit(request)[0])
        ]

    whole, none, own, alike, other = holes(
        FILL, TILE, replace(FILL, mask=images.mask(mask)),
        replace(FILL, image=PICTURE.rotate(180)), replace(FILL, image=PICTURE.resize((95, 72))),
    )  # fmt: skip
    assert none is other is None
    assert alike.tobytes() == whole.tobytes()
    left = np.zeros((144, 192), bool)
    left[:, :96] = True
    np.testing.assert_array_equal(array(whole) > 127, left)
    np.testing.assert_array_equal(array(own) > 127, ~left)
    (padded,) = holes(FILL, image=images.picture(PICTURE.resize((91, 67))), width=96, height=72)
    assert padded.size == (96, 72)
    assert padded.getbbox() == (0, 0, 46, 72)  # half of 91, and the rim below


def test_a_request_without_a_picture_has_the_hints_of_its_own():
    given = Control("x", PICTURE, prepare="invert")
    request = sdnb.Request(controls=given, width=64, height=64)
    (found,) = images.hints(request)
    assert found.tobytes() == given.hint_at(64, 64).tobytes()
    with pytest.raises(ValueError, match="width=0"):
        images.hints(request.but(width=None))
