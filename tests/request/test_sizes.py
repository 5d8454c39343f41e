"""A picture's place in a size, worked out by hand; a size near the model's own, by trying all."""

from __future__ import annotations

from fractions import Fraction

import pytest
from helpers.any_request import png
from hypothesis import example, given
from hypothesis import strategies as st

from sdnb.request import FITS, Request, Settings, sizes

SIDES = st.integers(1, 5000)
EIGHTS = st.integers(8, 1024).map(lambda side: 8 * side)


@pytest.mark.parametrize(
    ("original", "size", "fit", "box", "at", "filled"),
    [
        # 4000x3000 into a square: a quarter of the columns is too much, 500 on each side.
        ((4000, 3000), (512, 512), "crop", (500, 0, 3500, 3000), (0, 0, 512, 512), False),
        ((3000, 4000), (512, 512), "crop", (0, 500, 3000, 3500), (0, 0, 512, 512), False),
        # 512/4000 of 3000 are 384; the 128 that are left are 64 above and 64 below.
        ((4000, 3000), (512, 512), "fill", (0, 0, 4000, 3000), (0, 64, 512, 448), True),
        ((3000, 4000), (512, 512), "fill", (0, 0, 3000, 4000), (64, 0, 448, 512), True),
        ((4000, 3000), (512, 512), "fit", (0, 0, 4000, 3000), (0, 0, 512, 384), False),
        ((4000, 3000), (512, 512), "stretch", (0, 0, 4000, 3000), (0, 0, 512, 512), False),
        # Its own size in multiples of 8 moves no pixel, whatever is asked.
        ((70, 66), (72, 72), "crop", (0, 0, 70, 66), (0, 0, 70, 66), False),
        ((70, 66), (72, 72), "fill", (0, 0, 70, 66), (0, 0, 70, 66), False),
    ],
)  # fmt: skip
def test_where_a_picture_lies(original, size, fit, box, at, filled):
    assert sizes.place(original, size, fit) == sizes.Place(box, at, filled)


@pytest.mark.parametrize(
    ("size", "fit", "covered"),
    [
        ((512, 512), "stretch", (0, 0, 4000, 3000)),
        ((512, 512), "crop", (500, 0, 3500, 3000)),
        ((512, 512), "fill", (0, -500, 4000, 3500)),  # 64 pixels of 4000/512 are 500
        ((512, 512), "fit", (0, 0, 4000, 4000)),
        ((4000, 3000), "fit", (0, 0, 4000, 3000)),
    ],
)
def test_what_a_size_covers_of_a_picture(size, fit, covered):
    assert sizes.place((4000, 3000), size, fit).covers(size) == pytest.approx(covered)


@given(st.tuples(SIDES, SIDES), st.tuples(EIGHTS, EIGHTS), st.sampled_from(FITS))
def test_a_place_is_inside_the_picture_and_the_size_and_keeps_proportions(original, size, fit):
    place = sizes.place(original, size, fit)
    left, upper, right, lower = place.box
    assert 0 <= left < right <= original[0]
    assert 0 <= upper < lower <= original[1]
    assert 0 <= place.at[0] < place.at[2] <= size[0]
    assert 0 <= place.at[1] < place.at[3] <= size[1]
    if fit in ("fill", "fit") and place.inner != original:  # as large as it can be
        w, h = place.inner
        lower, wider = (
            Fraction(w * original[1], original[0]),
            Fraction(h * original[0], original[1]),
        )
        half = Fraction(1, 2)
        assert (w == size[0] and (abs(h - lower) <= half or h == 1)) or (
            h == size[1] and (abs(w - wider) <= half or w == 1)
        )


def best(original, own):
    """By looking at every size there is near the proportions: the smallest sum of the errors."""
    wanted, pixels = Fraction(*original), own[0] * own[1]
    found = {}
    for w in range(64, 2049, 8):
        for h in range(64, 2049, 8):
            shape = Fraction(w, h) / wanted
            if Fraction(9, 10) < shape < Fraction(10, 9):
                found[w, h] = abs(float(shape) - 1), w * h / pixels
    return found


@pytest.mark.parametrize(
    ("original", "own", "wanted"),
    [
        ((4000, 3000), (512, 512), (576, 432)),  # 4:3 exactly, 0.95 of the pixels
        ((3000, 4000), (512, 512), (432, 576)),
        ((4000, 3000), (256, 256), (288, 216)),
        ((6000, 4000), (512, 512), (624, 416)),  # 3:2 exactly, 0.99
        ((1000, 1000), (512, 512), (512, 512)),
        ((100, 100), (512, 512), (512, 512)),
    ],
)
def test_a_size_near_the_models_own(original, own, wanted):
    assert sizes.near(original, own) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("original", [(4032, 3024), (1920, 1080), (1009, 997), (5000, 1100)])
def test_no_size_is_nearer_in_both(original):
    found = best(original, (512, 512))
    shape, pixels = found[sizes.near(original, (512, 512))]
    assert shape < 0.02
    assert 0.8 < pixels < 1.25
    assert not any(
        other < shape - 1e-9 and abs(many - 1) < abs(pixels - 1) for other, many in found.values()
    )


@given(st.tuples(SIDES, SIDES))
def test_a_size_near_the_models_own_is_accepted(original):
    width, height = sizes.near(original, (512, 512))
    assert Request(width=width, height=height).resolved(Settings()).width == width


# -- in a request ---------------------------------------------------------------------------------


def test_fit_inside_makes_one_side_smaller_and_no_other_fit_does():
    for fit, size in (("fit", (512, 176)), ("crop", (512, 512)), ("fill", (512, 512))):
        asked = Request(image=png(1000, 333), width=512, height=512, fit=fit)
        made = asked.resolved(Settings())
        assert (made.width, made.height) == size  # 512 * 333 / 1000 = 170.5
        assert made.fit == fit


@given(st.tuples(SIDES, SIDES), st.tuples(EIGHTS, EIGHTS))
@example((94, 1741), (144, 2528))
def test_fitting_inside_again_changes_nothing(original, size):
    once = sizes.inside(original, size)
    assert sizes.inside(original, once) == once
    assert once[0] <= size[0]
    assert once[1] <= size[1]


def test_fit_is_written_only_where_it_is_chosen():
    assert "fit" not in Request("a fox").plain()
    chosen = Request("a fox", image=png(), fit="crop")
    assert chosen.plain()["fit"] == "crop"
    assert Request.from_json(chosen.to_json(), chosen.pictures) == chosen


def test_an_unknown_fit_is_refused_and_the_ways_are_named():
    with pytest.raises(ValueError, match="fit='corp' is unknown; did you mean 'crop'"):
        Request(fit="corp")
    with pytest.raises(TypeError, match="no field 'resize_mode'; did you mean 'fit'"):
        Request().but(resize_mode="crop")


def test_what_is_upscaled_brings_no_fit_of_its_source():
    assert Request(image=png(), fit="crop").enlarged(png(8, 8), 64, 64).fit == "stretch"
