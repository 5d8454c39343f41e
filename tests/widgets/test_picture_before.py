"""A picture that another one has replaced comes back, with its mask and size."""

import pytest
from helpers.fakes import Model, make
from helpers.mask_hand import Hand, picture
from helpers.widget_hands import called, find, press

from sdnb import images
from sdnb.jobs.executor import Inline
from sdnb.request import Request
from sdnb.widgets.panel import Panel

BACK = "Back to the picture before"
PHOTO = images.picture(picture((96, 64)))
OTHER = images.picture(picture((64, 64), seed=5))


def panel(kind, **more):
    one = Panel(Model(), kind, executor=Inline(make))
    one.request = Request("a cat", seed=7, image=PHOTO, width=64, height=64, **more)
    return one


WAYS = {
    "use": lambda one: press(one, "Use as picture"),
    "upload": lambda one: one.form.controls["image"].take(OTHER, "other.png"),
    "out": lambda one: press(one, "Picture: take it out"),
    "sent": lambda one: one.start_from(OTHER),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["img2img", "inpaint"])
def test_the_picture_before_is_one_click_away(kind, way):
    mask = images.mask(picture((96, 64), seed=2).convert("L"))
    one = panel(kind, padding=8, feather=3, mask=mask)
    before = one.request
    assert not called(one, BACK)
    press(one, "Generate")
    WAYS[way](one)
    after = one.request
    assert after.image != PHOTO
    one.form.change(prompt="a dog")  # what is no part of the picture stays
    press(one, BACK)
    assert one.request == before.but(prompt="a dog")
    if after.image is not None:
        press(one, "Forth")
        assert one.request == after.but(prompt="a dog")
    assert not called(one, "Forth")


def test_all_pictures_of_several_rounds_are_there():
    one = panel("inpaint")
    pictures = [PHOTO, *(images.picture(picture((64, 64), seed=n)) for n in range(6, 9))]
    for each in pictures[1:]:
        one.start_from(each)
    for each in reversed(pictures[:-1]):
        press(one, BACK)
        assert one.request.image == each
    assert not called(one, BACK)
    for each in pictures[1:3]:
        press(one, "Forth")
        assert one.request.image == each
    one.start_from(OTHER)  # behind all of them
    press(one, BACK)
    assert one.request.image == pictures[-1]


def test_strokes_and_a_larger_canvas_make_no_other_picture():
    one = panel("img2img")
    find(one, "Paint").value = True
    hand = Hand(one.form.controls["image"].canvas)
    hand.drag((20, 20), (60, 20))
    painted = one.request
    assert painted.image != PHOTO
    assert not called(one, BACK)
    one.start_from(OTHER)
    press(one, BACK)
    assert one.request.image == painted.image
    two = panel("inpaint")
    two.form.controls["mask"].editor.extend(right=32)
    larger = two.request.image
    two.form.controls["mask"].editor.undo()
    assert two.request.image == PHOTO
    assert not called(two, BACK)
    two.form.controls["mask"].editor.redo()
    two.start_from(OTHER)
    press(two, BACK)
    assert two.request.image == larger
