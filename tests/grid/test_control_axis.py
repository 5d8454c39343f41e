"""Axes of a control: scale, range, net and picture, each with its labels."""

import pytest
from helpers.pictures import colour

import sdnb
from sdnb import images
from sdnb.grid import layout
from sdnb.grid.cells import plain_value
from sdnb.request import Request

ONE = sdnb.Control("nets/canny.pth", colour(size=(8, 8)), 0.7, prepare="canny", sha256="ab" * 32)
TWO = sdnb.Control("tile", colour((9, 9, 9), (8, 16)))
BASE, BOTH = (Request("a cat", seed=1, controls=given) for given in (ONE, (ONE, TWO)))


def test_what_varies_of_the_only_control():
    grid = sdnb.sweep(BASE, control_scale=[0, 0.5], control_net=["nets/canny.pth", "soft"])
    assert [(c.scale, c.net, c.sha256) for (c,) in (each.controls for each in grid)] == [
        (0, "nets/canny.pth", None), (0, "soft", None),
        (0.5, "nets/canny.pth", None), (0.5, "soft", None),
    ]  # fmt: skip
    assert {each.controls[0].prepare for each in grid} == {"canny"}
    assert layout.texts(grid.axes[0]) == ["control scale 0", "control scale 0.5"]
    assert grid.at(control_scale="0.5", control_net="soft") == grid[1, 1]


def test_start_and_end_are_set_together():
    grid = sdnb.sweep(
        BASE.but(controls=sdnb.Control("x", ONE.image, start=0.4, end=0.5)),
        control_start=[0, 0.6], control_end=[0.7, 1],
    )  # fmt: skip
    ranges = [(each.controls[0].start, each.controls[0].end) for each in grid]
    assert ranges == [(0, 0.7), (0, 1), (0.6, 0.7), (0.6, 1)]
    with pytest.raises(ValueError, match=r"1 of 2 cells .*\n .*start=0.6 is behind end=0.5"):
        sdnb.sweep(BASE, control_start=[0.6], control_end=[0.5, 1])


def test_one_of_several_is_named():
    grid = sdnb.sweep(BOTH, control_scale=("canny.pth", [0, 1]))
    assert [[c.scale for c in each.controls] for each in grid] == [[0, 1], [1, 1]]
    assert layout.texts(grid.axes[0]) == ["scale of canny 0", "scale of canny 1"]


def test_hints_and_whole_controls_side_by_side():
    other = colour((1, 2, 3), (8, 24))
    grid = sdnb.sweep(BOTH, control_hint=("tile", [TWO.image, other]))
    assert [each.controls[1].image for each in grid] == [TWO.image, images.picture(other)]
    assert grid.axes[0].labels == ("16x8", "24x8")
    side = sdnb.sweep(Request(seed=1), controls=[(), ONE, (ONE, TWO)])
    assert [len(each.controls) for each in side] == [0, 1, 2]
    assert layout.texts(side.axes[0]) == [
        "no control", "nets/canny.pth 0.7", "nets/canny.pth 0.7, tile 1"
    ]  # fmt: skip
    assert side.at(controls=ONE).controls == (ONE,)
    assert plain_value((ONE,))[0]["image"] == images.sha256(ONE.image)


def test_a_control_may_follow_the_picture_of_the_base():
    base = Request(seed=1, image=images.picture(colour(size=(64, 64))), strength=0.5)
    tile = sdnb.Control("tile", prepare="tile")
    side = sdnb.sweep(base, controls=[(), tile])
    assert [each.controls for each in side] == [(), (tile,)]
    grid = sdnb.sweep(base.but(controls=tile), control_hint=[None, TWO.image])
    assert [each.controls[0].image for each in grid] == [None, TWO.image]
    assert grid.axes[0].labels == ("the picture", "16x8")
    with pytest.raises(ValueError, match="the request starts from none"):
        sdnb.sweep(Request(seed=1), controls=[(), tile])


@pytest.mark.parametrize(
    ("base", "varied", "words"),
    [
        (Request(seed=1), {"control_scale": [1]}, "the request has none: give controls="),
        (BOTH, {"control_scale": [1]}, r"means one control, and the request has 2 \('nets/canny"),
        (BOTH, {"control_scale": ("x", [1])}, "means the net 'x', and the request has 2"),
        (BASE, {"control_scale": [11]}, "control_scale=11 is not a finite number from 0.0 to 10"),
        (BASE, {"control_start": [-1]}, "control_start=-1"),
        (BASE, {"control_net": [" "]}, "net of a Control is empty"),
    ],
)
def test_impossible_ones_are_refused(base, varied, words):
    with pytest.raises(ValueError, match=words):
        sdnb.sweep(base, **varied)
