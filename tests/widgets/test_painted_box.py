"""Painting on the picture of img2img: the request has what one sees, and a mask of it if asked."""

import io

import numpy as np
import pytest
from helpers.fakes import Model, make
from helpers.mask_hand import Hand, picture
from helpers.widget_hands import alert, called, find, in_sight, press, read
from PIL import Image, ImageDraw

from sdnb import images
from sdnb.jobs.executor import Inline
from sdnb.request import Request
from sdnb.widgets.masks.strokes import Brush
from sdnb.widgets.panel import Panel

RED = (255, 0, 0)


@pytest.fixture
def panel():
    one = Panel(Model(), "img2img", executor=Inline(make))
    one.request = Request("a cat", image=images.picture(picture((96, 64))), seed=7)
    find(one, "Paint").value = True
    one.form.controls["image"].canvas.colour = "red"
    one.form.controls["image"].canvas.brush = 12
    return one


@pytest.fixture
def canvas(panel):
    return panel.form.controls["image"].canvas


@pytest.fixture
def hand(canvas):
    return Hand(canvas)


def start(request):
    return images.open(request.image)


def test_the_request_starts_from_what_one_sees(panel, canvas, hand):
    before = panel.request
    hand.drag((20, 20), (60, 20))
    expected = picture((96, 64))
    line = ImageDraw.Draw(expected)  # inside the round brush
    line.rectangle((20, 16, 59, 23), fill=RED)
    found = np.asarray(start(panel.request))
    assert (found[17:23, 20:60] == RED).all()
    away = np.asarray(canvas.painted) == 0
    assert (found[away] == np.asarray(expected)[away]).all()
    assert panel.request == before.but(image=panel.request.image)  # no mask unless one asks
    panel.generate()
    assert panel.result.request.image == panel.request.image
    hand.key("z", ctrl=True)
    assert panel.request == before  # the picture's own bytes


def test_a_mask_of_what_was_painted_is_a_choice(panel, canvas, hand):
    find(panel, "Only where I painted").value = True
    assert panel.request.mask is None  # nothing is painted
    hand.drag((20, 20), (60, 20))
    mask = np.asarray(images.open(panel.request.mask))
    assert (mask == np.asarray(canvas.painted)).all()
    changed = (np.asarray(start(panel.request)) != np.asarray(picture((96, 64)))).any(-1)
    assert set(np.unique(mask)) == {0, 255}
    assert (mask[changed] == 255).all()
    assert (panel.request.content, panel.request.invert) == ("original", False)
    hand.drag((20, 50), (60, 50))
    assert np.asarray(images.open(panel.request.mask))[50, 40] == 255  # it follows
    assert not called(panel, "Masked content")  # the canvas is the only editor in sight
    find(panel, "Only where I painted").value = False
    assert panel.request.mask is None


def test_where_only_what_is_painted_is_to_change_and_nothing_is_nothing_runs(panel, canvas, hand):
    """All of it would change, without a word."""
    find(panel, "Only where I painted").value = True
    press(panel, "Generate")
    assert panel.result is None
    assert "Nothing is painted yet" in alert(panel)
    with pytest.raises(ValueError, match="Nothing is painted yet"):
        panel.asked()  # a grid asks so
    hand.drag((20, 20), (60, 20))
    press(panel, "Generate")
    press(panel, "Use as picture")  # what was painted is gone, and the tick is not
    assert canvas.is_empty
    assert panel.asked().mask is not None  # it stays, and that is said
    press(panel, "Clear the mask")
    before = panel.result
    press(panel, "Generate")
    assert panel.result is before
    assert "“Only where I painted”" in alert(panel)
    find(panel, "Only where I painted").value = False
    assert alert(panel) == ""
    press(panel, "Generate")
    assert panel.result is not before


def test_a_png_and_its_text_bring_it_back(panel, hand, tmp_path):
    find(panel, "Only where I painted").value = True
    hand.drag((20, 20), (60, 20))
    asked = panel.request
    assert Request.from_json(asked.to_json(), asked.pictures) == asked
    panel.generate()
    panel.result.save(tmp_path / "a.png")
    found = images.read(tmp_path / "a.png")
    assert (found.image, found.mask) == (asked.image, asked.mask)
    other = Panel(Model(), "img2img", executor=Inline(make))
    other.request = found
    assert other.request == found


def test_another_picture_has_nothing_painted_and_the_same_one_keeps_it(panel, canvas, hand):
    hand.drag((20, 20), (60, 20))
    painted = panel.request
    panel.request = painted
    panel.form.change(seed=9)
    assert canvas.strokes
    panel.start_from(images.picture(Image.new("RGB", (64, 64), "blue")))
    assert canvas.is_empty
    assert (start(panel.request).size, canvas.size) == ((64, 64), (64, 64))
    press(panel, "Picture: take it out")
    assert panel.request.image is None
    assert not called(panel, "Paint")
    assert not called(panel, "Brush")


@pytest.mark.parametrize("painted", [False, True])
def test_a_picture_taken_out_while_one_paints_leaves_nothing_and_the_next_is_seen(
    panel, hand, painted
):
    panel.form.change(width=64, height=64, fit="crop")  # whose parts are shown too
    if painted:
        hand.drag((20, 20), (60, 20))
    press(panel, "Picture: take it out")
    box = panel.form.controls["image"]
    assert box.value is panel.request.image is None
    assert "96 × 64" not in read(panel)  # in no place that follows the picture
    assert not called(panel, "Picture: take it out")
    assert not in_images(panel.form.controls["image"])
    assert "is used" not in read(panel)
    blue = images.picture(Image.new("RGB", (64, 96), "blue"))
    box.take(blue)
    assert start(panel.request).size == (64, 96)
    assert "64 × 96" in read(panel)
    seen, _ = in_images(box)  # and what of it is used
    r, g, b = Image.open(io.BytesIO(seen.value)).getpixel((20, 20))  # a JPEG
    assert max(r, g) < 30
    assert b > 220
    find(panel, "Paint").value = True
    assert box.canvas.is_empty
    assert box.canvas.size == (64, 96)
    assert seen not in in_images(box)


def in_images(box):
    return [part for part in in_sight(box.widget) if part._view_name == "ImageView"]


def test_what_is_painted_stays_when_the_canvas_is_put_away(panel, canvas, hand):
    hand.drag((20, 20), (60, 20))
    painted = panel.request
    find(panel, "Paint").value = False
    assert panel.request == painted
    find(panel, "Paint").value = True
    assert isinstance(canvas.strokes[0], Brush)


def test_a_large_picture_is_written_beside_and_waited_for(panel, canvas, monkeypatch):
    panel.start_from(images.picture(Image.new("RGB", (1024, 768), "blue")))
    waiting = []
    monkeypatch.setattr(
        "sdnb.widgets.form.painted_box.beside", lambda read, then: waiting.append((read, then))
    )
    canvas.draw(Brush(((100, 100), (300, 100)), 40))
    with pytest.raises(ValueError, match="being written: wait a moment"):
        panel.request  # noqa: B018 - reading it raises
    canvas.draw(Brush(((100, 300), (300, 300)), 40))
    assert panel.generate() is None
    assert "being written: the run begins then" in panel.progress.problem
    (read, then), (read_newer, then_newer) = waiting
    then(read())  # of the first stroke alone: too late
    with pytest.raises(ValueError, match="being written"):
        panel.request  # noqa: B018
    then_newer(read_newer())
    assert start(panel.request).getpixel((200, 300)) == RED
    (result,) = panel.results  # of Generate, which was pressed meanwhile
    assert result.request.image == panel.request.image
    assert not panel.progress.problem


def test_other_panels_paint_nothing():
    one = Panel(Model(), "txt2img", executor=Inline(make))
    assert not called(one, "Paint")
