"""The gallery without a browser: order, pages, keep, delete, save, compare, and its weight."""

import inspect
import re
import runpy
import shutil

import numpy as np
import pytest
from helpers.any_request import requests
from helpers.fakes import make
from helpers.pictures import colour, encoded, png_with
from helpers.widget_hands import alert, called, press, read, status, thumbs
from hypothesis import given

import sdnb
from sdnb import images
from sdnb.request import Request, Settings
from sdnb.widgets.details import caption, python, settings
from sdnb.widgets.gallery.gallery import Gallery
from sdnb.widgets.gallery.thumbnails import PAGE

MODEL = Settings(64, 64, 1)


def made(seed=0, count=1, **fields):
    request = Request("a <cat>", seed=seed, count=count, **fields).resolved(MODEL)
    *_, last = make(request)
    return last.result


@pytest.fixture
def gallery(tmp_path):
    return Gallery(tmp_path / "out", opened=False)


def state_bytes(widget):
    """What all widgets below this one hold for the browser."""
    size = sum(len(str(value)) for value in widget.get_state().values())
    return size + sum(state_bytes(child) for child in getattr(widget, "children", ()))


def test_the_newest_is_first_and_results_are_in_order(gallery):
    first, second = made(1), made(10, count=2)
    gallery.add(first)
    gallery.add(second)
    assert [p.request.seed for p in gallery.pictures] == [11, 10, 1]
    assert gallery.results == [first, second]
    assert gallery.pictures[0].request.count == 1
    assert len(thumbs(gallery)) == 3
    assert "a <cat>, seed 11" in thumbs(gallery)[0].tooltip


@given(requests())
def test_any_request_is_told_and_its_template_with_it(request):
    told = settings(request)
    assert ("<th>Template</th>" in told) == bool(request.template)
    assert ("<th>Negative template</th>" in told) == bool(request.negative_template)


def test_choosing_shows_the_picture_and_its_settings(gallery):
    gallery.add(made(7, cfg=6.5))
    thumbs(gallery)[0].click()
    assert gallery.chosen is gallery.pictures[0]
    assert 'width="64"' in gallery._opened_picture.view.value
    assert "CFG 6.5" in read(gallery)
    assert "a &lt;cat&gt;" in gallery._opened_picture.about.value
    assert "<cat>" not in gallery._opened_picture.about.value
    gallery.choose(None)
    assert gallery._opened_picture.view.value == ""


@pytest.mark.slow
def test_hundreds_are_pages_and_the_state_stays_small(gallery):
    for seed in range(300):
        gallery.add(made(seed))
    assert "300 pictures · page 1 of 9" in read(gallery)
    for _ in range(20):
        press(gallery, "older")
    assert "page 9 of 9" in read(gallery)
    thumbs(gallery)[11].click()
    assert gallery.chosen.request.seed == 0
    assert state_bytes(gallery) < 250_000


def test_deleting_asks_and_spares_what_is_kept(gallery):
    for seed in range(3):
        gallery.add(made(seed))
    thumbs(gallery)[1].click()
    press(gallery, "Keep")
    gallery._bar.clear.click()
    assert len(gallery.pictures) == 3  # nothing before the answer
    press(gallery, "No")
    assert len(gallery.pictures) == 3
    gallery._bar.clear.click()
    press(gallery, "Delete 2")
    assert [p.request.seed for p in gallery.pictures] == [1]
    assert "Files that were saved stay" not in read(gallery)


@pytest.mark.parametrize("turn", ["another", "closed", "uploaded", "gone"])
def test_a_question_goes_with_the_picture_it_is_about(gallery, tmp_path, turn):
    for seed in (1, 2):
        gallery.add(made(seed))
    thumbs(gallery)[0].click()
    press(gallery, "Delete")
    assert "Files that were saved stay" in read(gallery)
    {
        "another": thumbs(gallery)[1].click,
        "closed": lambda: gallery.choose(None),
        "uploaded": lambda: gallery.take(encoded(colour(size=(8, 8)), "PNG"), "photo.png"),
        "gone": lambda: gallery.delete(gallery.chosen),
    }[turn]()
    assert "Files that were saved stay" not in read(gallery)


def test_whoever_looks_through_older_pictures_goes_on_with_them(gallery):
    for seed in range(60):
        gallery.add(made(seed))
    press(gallery, "older")
    first = thumbs(gallery)[0].tooltip
    for count in (1, PAGE + 4):  # a picture, and more than a page of them
        gallery.add(made(100, count=count))
        assert first in {slot.tooltip for slot in thumbs(gallery)}
    for _ in range(3):
        press(gallery, "newer")
    gallery.add(made(200))
    assert "page 1 of " in read(gallery)
    assert "seed 200" in thumbs(gallery)[0].tooltip


def test_galleries_of_several_kernels_are_told_apart_in_a_page():
    fresh = [
        runpy.run_path(inspect.getfile(Gallery))["Gallery"]() for _ in "ab"
    ]  # as in kernels new
    one, other = (set(each._thumbs.slots[0]._dom_classes) for each in fresh)
    assert len(one - other) == len(other - one) == 1


def test_what_was_chosen_and_deleted_is_closed(gallery):
    gallery.add(made(1))
    thumbs(gallery)[0].click()
    gallery.delete(gallery.pictures[0])
    assert gallery.chosen is None
    assert not called(gallery, "Keep")
    assert gallery.results == []


def test_saved_pictures_carry_their_request_and_are_saved_once(gallery):
    gallery.add(made(5, count=2))
    gallery._bar.save_all.click()
    gallery._bar.save_all.click()
    files = sorted(gallery.folder.glob("*.png"))
    assert len(files) == 2
    assert [sdnb.read(file).seed for file in files] == [5, 6]
    assert [p.saved for p in gallery.pictures] == files[::-1]


def test_what_was_saved_and_is_gone_is_saved_again(gallery):
    gallery.add(made(5))
    gallery._bar.save_all.click()
    shutil.rmtree(gallery.folder)
    gallery._bar.save_all.click()
    assert len(list(gallery.folder.glob("*.png"))) == 1
    assert status(gallery) == f"1 picture is in {gallery.folder} Download"


def test_a_save_that_fails_is_said_and_the_picture_stays(gallery):
    gallery.folder.write_text("in the way")
    gallery.add(made(5))
    gallery._bar.save_all.click()
    assert "still in memory" in alert(gallery)
    assert len(gallery.pictures) == 1
    assert gallery.pictures[0].saved is None


def test_two_are_compared_under_one_slider(gallery):
    gallery.add(made(1))
    gallery.add(made(2))
    thumbs(gallery)[0].click()
    gallery._opened_picture.compare.click()
    thumbs(gallery)[1].click()
    assert gallery._opened_picture.view.value.count("data:image/jpeg") == 2
    assert "Now choose" not in status(gallery)
    pair = re.search('<div class="sdnb-pair">(.*?)</div>', gallery._opened_picture.view.value)[1]
    assert re.findall("<[a-z]+", pair) == ["<img", "<img", "<input"]  # which lie on each other
    gallery._opened_picture.compare.click()
    assert gallery._opened_picture.view.value.count("data:image/jpeg") == 1


def test_a_chosen_picture_is_sent(gallery):
    sent = []
    gallery.send("img2img", sent.append)
    gallery.add(made(1))
    button = gallery._opened_picture.sends.children[-1]
    button.click()
    assert sent == []  # none is chosen
    thumbs(gallery)[0].click()
    button.click()
    assert sent == [gallery.pictures[0]]


def test_an_uploaded_picture_comes_with_what_it_carries(gallery, tmp_path):
    path = made(5, cfg=6.5).save(tmp_path)[0]
    gallery.take(path.read_bytes(), path.name)
    picture = gallery.chosen
    assert picture is gallery.pictures[0]
    assert (picture.request.seed, picture.request.cfg, picture.known) == (5, 6.5, True)
    assert np.array_equal(picture.image, made(5, cfg=6.5).image)
    assert "CFG 6.5" in read(gallery)
    gallery._bar.save_all.click()
    assert [f.read_bytes() for f in gallery.folder.iterdir()] == [path.read_bytes()]  # as it came


def test_the_home_folder(tmp_path, monkeypatch):
    """An upload is written by another way than a picture that was made."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    gallery = Gallery("~/out")
    gallery.take(encoded(colour(size=(8, 8)), "PNG"), "photo.png")
    gallery._bar.save_all.click()
    assert [f.name for f in (tmp_path / "home" / "out").iterdir()] == ["photo.png"]
    assert not (tmp_path / "~").exists()


def test_settings_of_automatic1111_come_back(gallery, tmp_path):
    words = (
        "a castle\nNegative prompt: fog\n"
        "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 9, Size: 64x64"
    )
    path = png_with({"parameters": words}, tmp_path)
    gallery.take(path.read_bytes(), path.name)
    r = gallery.chosen.request
    assert (r.prompt, r.negative, r.steps, r.sampler, r.seed) == (
        "a castle",
        "fog",
        20,
        "euler_a",
        9,
    )
    assert "seed gives another picture" in read(gallery)  # its noise was another


def test_a_photograph_and_a_text_are_told_apart(gallery):
    gallery.take(encoded(colour(size=(64, 64)), "JPEG"), "photo.jpg")
    assert not gallery.chosen.known
    assert "without settings" in read(gallery)
    with pytest.raises(ValueError, match="picture"):
        gallery.take(b"words", "notes.txt")
    assert len(gallery.pictures) == 1


def test_a_picture_made_from_another_brings_its_settings_when_it_is_uploaded(gallery, tmp_path):
    start = images.picture(colour(size=(64, 64)))
    *_, last = make(Request("a cat", seed=5, image=start, strength=0.4).resolved(Settings(64, 64)))
    (path,) = last.result.save(tmp_path)
    gallery.take(path.read_bytes(), path.name)
    told = gallery.chosen.request
    assert (told.prompt, told.seed, told.strength, told.image) == ("a cat", 5, 0.4, None)
    assert "is not stored in it" in read(gallery)


def test_the_python_of_a_request_makes_it_again():
    request = Request('a "cat"\nat 12\\:30', seed=3, cfg=2.5, sampler="heun", padding=8)
    space = {"sdnb": sdnb, "model": None}
    code = python(request).replace("sdnb.generate(model, request)", "")
    exec(code, space)
    assert space["request"] == request


def test_a_control_is_code_too_and_a_line_of_the_settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hole = colour((255, 255, 255), (8, 8))
    request = Request(controls=[
        sdnb.Control("canny", colour(size=(8, 8)), 0.5, end=0.75, prepare="canny", values=(50,)),
        sdnb.Control("fill", colour(size=(8, 8)), prepare="inpaint", mask=hole),
    ])  # fmt: skip
    for number, control in enumerate(request.controls, 1):
        (tmp_path / f"control-{number}.png").write_bytes(control.image)
    (tmp_path / "control-2-mask.png").write_bytes(control.mask)
    space = {"sdnb": sdnb, "model": None}
    exec(python(request).replace("sdnb.generate(model, request)", ""), space)
    assert space["request"] == request
    settled = request.resolved(Settings(64, 64))
    assert "<tr><th>Control</th><td>canny 0.5 (0 to 0.75), fill 1</td></tr>" in settings(settled)


def test_settings_and_caption_say_what_was_made():
    result = made(9, count=2)
    table = settings(result.request, result)
    assert "64 × 64" in table
    assert "a &lt;note&gt;" in table
    assert caption(result) == (
        "2 pictures of 64 × 64 · 1 step of ddim · CFG 7.5 · 0.5 s · peak 0.25 GB"
    )


def test_settings_name_what_a_picture_and_a_mask_were_used_with():
    settled = Request().resolved(Settings(64, 64))
    assert "Strength" not in settings(settled)
    assert "<td>fog 0.73</td>" in settings(settled.but(loras=sdnb.Lora("fog", 0.73)))
    pictured = settled.but(image=encoded(colour(size=(64, 64)), "PNG"))
    assert "<tr><th>Strength</th><td>0.75</td></tr>" in settings(pictured)
    assert "Feather" not in settings(pictured)
    masked = pictured.but(mask=pictured.image, strength=0.123456789)
    assert "<tr><th>Strength</th><td>0.123456789</td></tr>" in settings(masked)  # all its digits
    assert "<tr><th>Feather</th><td>0</td></tr>" in settings(masked)
