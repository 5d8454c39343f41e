"""What a panel's result is compared with: the picture that it began from, or the one before."""

import re
from base64 import b64decode
from io import BytesIO

import ipywidgets as widgets
import numpy as np
import pytest
from helpers.fakes import Model, make
from helpers.pictures import encoded
from helpers.widget_hands import called, find, press, read
from PIL import Image

from sdnb import images
from sdnb.images.result import Result
from sdnb.jobs.executor import Inline
from sdnb.request import Request
from sdnb.widgets import details
from sdnb.widgets.compare import apart, input_of
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.panel import Panel
from sdnb.widgets.result_view import ResultView

RED, BLUE = (255, 0, 0), (0, 0, 255)


def halves(size, across=True):
    """Red, then blue: left and right, or above and below."""
    image = Image.new("RGB", size, RED)
    width, height = size
    image.paste(BLUE, (width // 2, 0, *size) if across else (0, height // 2, *size))
    return image


def sides(html):
    """Both pictures of a comparison, as arrays of whole numbers."""
    found = re.findall(r'src="data:image/jpeg;base64,([^"]*)"', html)
    return [np.asarray(Image.open(BytesIO(b64decode(data)))).astype(int) for data in found]


def below(view):
    """What a comparison calls its sides."""
    return re.findall(r"<span [^>]*>([^<]*)</span>", view._picture.value)


def inpainted(**fields):
    picture = images.picture(encoded(halves((64, 64))))
    mask = images.mask(encoded(Image.new("L", (64, 64), 255)))
    return Request("a cat", image=picture, mask=mask, seed=7, **fields)


def test_it_is_compared_with_the_picture_it_began_from_or_the_one_before():
    panel = Panel(Model(), "inpaint", executor=Inline(make))
    panel.request = inpainted()
    panel.generate()
    press(panel.view, "Compare")
    left, right = sides(panel.view._picture.value)
    assert np.abs(left - np.asarray(halves((64, 64)))).mean() < 4  # but for JPEG
    assert np.abs(right - np.asarray(panel.result.image)).mean() < 8
    assert below(panel.view) == ["left: the start picture", "right: a cat, seed 7"]
    assert not called(panel.view, "with")  # there is nothing to choose from
    press(panel.view, "Stop comparing")
    panel.request = inpainted().but(seed=8)
    first = panel.result
    panel.generate()
    assert not called(panel.view, "with")
    press(panel.view, "Compare")
    assert find(panel.view, "with").value == "the start picture"
    left, _ = sides(panel.view._picture.value)
    assert np.abs(left - np.asarray(halves((64, 64)))).mean() < 4
    find(panel.view, "with").value = "the one before"
    left, _ = sides(panel.view._picture.value)
    assert np.abs(left - np.asarray(first.image)).mean() < 8
    assert below(panel.view) == ["left: seed 7", "right: seed 8"]  # of one prompt
    press(panel.view, "Stop comparing")
    assert not called(panel.view, "with")
    panel.generate()
    press(panel.view, "Compare")
    assert find(panel.view, "with").value == "the one before"  # as it was chosen


def test_a_picture_from_words_is_compared_with_the_one_before_whatever_was_chosen():
    view = ResultView(widgets.Image(), lambda _: "", lambda _: ("", ""))
    view.show(of("white"))
    view.show(of("red"))
    press(view, "Compare")
    assert not called(view, "with")
    left, _ = sides(view._picture.value)
    assert left.min() > 250


def test_from_words_alone_there_is_nothing_to_compare_with():
    panel = Panel(Model(), "txt2img", executor=Inline(make))
    panel.generate()
    assert find(panel.view, "Compare").disabled


def began(image, fit):
    request = Request("a", image=images.picture(encoded(image)), width=64, height=64, fit=fit)
    *_, last = make(request.but(seed=1).resolved(Model().settings))
    return np.asarray(input_of(GalleryPicture(last.result))[0])


def test_it_is_compared_as_it_was_fitted():
    """A picture twice as wide as high: of red, blue and red, the middle half alone is blue."""
    image = Image.new("RGB", (128, 64), RED)
    image.paste(BLUE, (32, 0, 96, 64))
    assert np.abs(began(image, "crop") - np.array(BLUE)).max() < 8  # but for the filter's rim
    stretched = began(image, "stretch")
    assert (stretched[:, 20:44] == BLUE).all()
    assert (stretched[:, :12] == RED).all()
    filled = began(halves((128, 64), across=False), "fill")  # 64x32 in the middle, its rim around
    assert (filled[:28] == RED).all()
    assert (filled[36:] == BLUE).all()


def solid(colour):
    return Image.new("RGB", (16, 16), colour)


def of(*colours):
    """The pictures of a result that has one of each colour."""
    images_ = tuple(map(solid, colours))
    request = Request("a cat", seed=7, count=len(colours)).resolved(Model().settings)
    result = Result(images_, request, "", "", 0.0, 0.0)
    return [GalleryPicture(result, i) for i in range(len(colours))]


def test_one_of_several_is_compared_with_the_one_before_it():
    view = ResultView(widgets.Image(), lambda _: "", lambda _: ("", ""))
    view.show(of("white"))
    view.show(of("red", "lime", "blue"), 2)
    press(view, "Compare")
    left, right = sides(view._picture.value)
    assert left[8, 8].argmax() == 1  # lime
    assert right[8, 8].argmax() == 2  # blue
    press(view, "Stop comparing")
    press(view, "The picture before")
    press(view, "The picture before")
    press(view, "Compare")
    left, _ = sides(view._picture.value)
    assert left.min() > 250  # of those that were shown before


@pytest.mark.parametrize(
    ("names", "seen"),
    [
        (("a cat, seed 7", "a cat, seed 8"), ("seed 7", "seed 8")),
        (("a cat, seed 7", "a dog, seed 7"), ("a cat, seed 7", "a dog, seed 7")),
        (
            ("a landscape, oil on canvas, at dawn, seed 7",
             "a landscape, oil on canvas, at dusk, seed 8"),
            ("… dawn, seed 7", "… dusk, seed 8"),
        ),
        (("a.png", "b.png"), ("a.png", "b.png")),
        (("the start picture", "a cat, seed 7"), ("the start picture", "a cat, seed 7")),
    ],
)  # fmt: skip
def test_what_is_the_same_of_two_names_does_not_fill_the_line(names, seen):
    assert apart(*names) == seen


def test_two_of_one_prompt_and_seed_are_named_by_what_differs():
    request = Request("a cat", seed=7, cfg=2).resolved(Model().settings)
    one, other = (
        GalleryPicture(Result((solid("red"),), each, "", "", 0.0, 0.0))
        for each in (request, request.but(cfg=8, clip_skip=2))
    )
    assert details.sides(one, other) == ("CFG 2, Clip skip as usual", "CFG 8, Clip skip 2")
    assert details.sides(one, one) == ("a cat, seed 7", "a cat, seed 7")
    last = GalleryPicture(Result((solid("red"),), request.but(seed=8), "", "", 0.0, 0.0))
    assert details.sides(one, last) == ("a cat, seed 7", "a cat, seed 8")


def rows(view):
    """The rows below the picture that take up room on the page."""
    return [row.layout.display != "none" for row in (view._turn, view._actions, view._sends)]


def test_while_a_preview_is_shown_nothing_is_offered_for_the_picture_of_another_run():
    preview = widgets.Image()
    view = ResultView(preview, lambda _: "", lambda _: ("", ""))
    view.show(of("red", "lime"))
    assert called(view, "Save")
    before = rows(view)
    view.begin()
    preview.value = b"a preview"
    assert not any(called(view, words) for words in ("Save", "Compare", "The next picture"))
    assert rows(view) == before  # nothing on the page moves
    view.show(of("blue"))
    assert called(view, "Save")


def test_what_a_run_has_finished_can_be_used_while_it_goes_on():
    """And the page does not move when a preview comes, and when the next picture does."""
    saved, preview = [], widgets.Image()
    view = ResultView(preview, lambda picture: saved.append(picture) or "", lambda _: ("", ""))
    view.begin()
    first, second = (GalleryPicture(each.result, each.index, of=3) for each in of("red", "lime"))
    view.show([first])
    before = rows(view)
    assert before == [True] * 3
    preview.value = b"a preview"
    assert rows(view) == before
    assert "finished: picture 1 of 3" in read(view)
    press(view, "Save")
    assert saved == [first]
    view.show([first, second], 1)
    preview.value = b"another"
    assert not view.is_held
    press(view, "The picture before")
    assert view.is_held  # what one looks at stays until the next is finished
    assert "finished" not in read(view)
    view.show([first, second], 1)
    assert not view.is_held
