"""Outpainting with the built-in model: what is kept, what is asked, and what comes back."""

import numpy as np
import pytest
from helpers.fakes import Model
from PIL import Image

import sdnb
from sdnb import images
from sdnb.images import outpaint
from sdnb.images.outpaint import Sides
from sdnb.images.result import Result
from sdnb.request import Request

SIZE = 64


@pytest.fixture(scope="module")
def model():
    return sdnb.load()


def picture(size=(SIZE, SIZE)):
    small = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


@pytest.mark.picture
def test_what_is_beyond_the_overlap_is_the_picture_bit_for_bit_and_the_rest_is_painted(model):
    given, sides = picture(), Sides(right=32, top=16)
    made = sdnb.outpaint(
        model, given, right=32, top=16, overlap=8, width=64, height=64, prompt="a field", steps=2,
        seed=5, progress=False,
    )  # fmt: skip
    assert made.image.size == (96, 80)
    pixels = np.asarray(made.image)
    assert np.array_equal(pixels[24:, :56], np.asarray(given)[8:, :56])
    start = np.asarray(outpaint.extended(given, sides)).astype(int)
    changed = np.abs(pixels - start).max(-1)
    assert (changed[:, 72:] > 0).mean() > 0.9
    assert (changed[:8] > 0).mean() > 0.9
    assert "Only the part" in " ".join(made.notes)
    again = sdnb.generate(model, made.request, progress=False)
    assert again.image.tobytes() == made.image.tobytes()


@pytest.mark.picture
def test_a_result_brings_its_words_and_a_saved_one_makes_the_same_picture(model, tmp_path):
    first = sdnb.txt2img(
        model, "a field", seed=3, steps=1, width=64, height=64, count=2, progress=False
    )
    again = {"steps": 1, "seed": 8, "width": 64, "height": 64, "progress": False}
    made = sdnb.outpaint(model, first, index=1, left=32, **again)
    own = model.settings.width, model.settings.height
    asked = outpaint.request(first.request.but(count=1), first.images[1], Sides(32), own)
    assert made.request == asked.but(seed=8, width=64, height=64).resolved(model.settings)
    saved = images.read(images.save(made, tmp_path / "a.png")[0])
    assert saved == made.request
    same = sdnb.generate(model, saved, progress=False)
    assert same.image.tobytes() == made.image.tobytes()
    second = sdnb.outpaint(model, made, left=8, overlap=4, **again)  # one round more
    assert second.request.prompt == "a field"
    assert second.image.size == (104, 64)
    assert (
        second.image.crop((12, 0, 104, 64)).tobytes() == made.image.crop((4, 0, 96, 64)).tobytes()
    )


@pytest.fixture
def asked(monkeypatch):
    """The requests of runs that are not made."""
    heard = []

    def generate(_, request, progress):
        heard.append(request)
        return Result((picture(),), request, "m", "f" * 16, 0.1, 0.1)

    monkeypatch.setattr("sdnb.engine.verbs.generate", generate)
    return heard


def test_it_draws_a_seed_and_leaves_out_what_is_of_the_smaller_canvas(asked):
    net = sdnb.Control("sketch", picture())
    base = Request("a field", seed=7, strength=0.4, controls=(net,), steps=9)
    result = Result((picture(),), base, "m", "f" * 16, 0.1, 0.1)
    made = sdnb.outpaint(Model(), result, bottom=16, progress=False)
    (first,) = asked
    assert (first.prompt, first.steps, first.seed, first.controls) == ("a field", 9, None, ())
    assert first.strength == Request.strength
    assert "Control networks with pictures were left out" in made.notes[0]
    sdnb.outpaint(Model(), result, bottom=16, controls=net, strength=0.9, seed=2, progress=False)
    assert (asked[1].seed, asked[1].strength, len(asked[1].controls)) == (2, 0.9, 1)


def test_it_takes_a_size_and_all_of_the_canvas_where_that_is_asked_for(asked):
    sdnb.outpaint(Model(), picture(), size=(96, 80), anchor="top left", overlap=4, progress=False)
    (first,) = asked
    at = images.open(first.image).crop((0, 0, SIZE, SIZE))
    assert at.tobytes() == picture().tobytes()
    assert (
        images.open(first.mask).tobytes()
        == outpaint.mask((64, 64), Sides(0, 32, 0, 16), 4).tobytes()
    )
    sdnb.outpaint(Model(), picture(), right=32, padding=None, progress=False)
    assert (asked[1].width, asked[1].height, asked[1].padding) == (None, None, None)
    assert asked[1].resolved(Model().settings).width == 96


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "nothing is extended"),
        ({"left": -1}, "left=-1"),
        ({"right": 8, "size": (96, 96)}, "says how far"),
        ({"right": 8, "overlap": 64}, "leaves nothing of the picture"),
        ({"right": 8, "index": 1}, "index=1"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(asked, given, words):
    source = Result((picture(),), Request(seed=1), "m", "f" * 16, 0.1, 0.1)
    with pytest.raises(ValueError, match=words):
        sdnb.outpaint(Model(), source, progress=False, **given)
    assert asked == []
