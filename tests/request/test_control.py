"""Controls in a request: what they take, how they travel, and their hints."""

import json
import pickle
import re
from dataclasses import FrozenInstanceError, replace
from io import BytesIO

import numpy as np
import pytest
from helpers.any_request import controls, png
from hypothesis import given, settings
from PIL import Image, ImageDraw

import sdnb
from sdnb import images
from sdnb.hints import PREPARATIONS
from sdnb.images.result import Result
from sdnb.request import Request, control
from sdnb.request.control import Control
from sdnb.request.lora import answers

PICTURE, OTHER = png(8, 8), png(5, 7, (1, 2, 3))


def white_on(size, *box):
    image = Image.new("RGB", size)
    ImageDraw.Draw(image).rectangle(box, fill="white")
    return image


def test_a_control_keeps_any_picture_as_png_bytes(tmp_path):
    image = white_on((9, 8), 2, 2, 5, 5)
    image.save(tmp_path / "a.png")
    one = Control("canny", image)
    assert one == Control("canny", tmp_path / "a.png") == Control("canny", np.asarray(image))
    assert one.image == images.picture(image)
    assert hash(one) == hash(pickle.loads(pickle.dumps(one)))
    assert repr(one) == "Control(net='canny', image=<PNG 9x8>)"
    with pytest.raises(FrozenInstanceError):
        one.scale = 2
    with pytest.raises(FileNotFoundError):
        Control("canny", tmp_path / "none.png")
    palette = BytesIO()
    image.convert("P").save(palette, "PNG")
    assert Control("canny", palette.getvalue()).image == one.image


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"net": " "}, "net of a Control is empty"), ({"net": 3}, "net of a Control=3"),
        ({"image": b"abc"}, "image (3 bytes)"), ({"image": 7}, "image=7"),
        ({"scale": -1}, "scale=-1 is not a finite number from 0.0 to 10.0; the nearest is 0"),
        ({"scale": float("nan")}, "scale=nan"), ({"scale": "1"}, "scale='1'"),
        ({"start": 1.5}, "start=1.5"), ({"end": -0.1}, "end=-0.1"),
        ({"start": 0.6, "end": 0.4}, "start=0.6 is behind end=0.4"),
        ({"prepare": "cany"}, "prepare='cany' is unknown; did you mean 'canny'?"),
        ({"prepare": 3}, "prepare=3"), ({"mode": "guess"}, "mode='guess' is unknown"),
        ({"values": (1,)}, "prepare=None takes none"),
        ({"prepare": "canny", "values": (1, 2, 3)}, "takes 2 numbers (low threshold, high"),
        ({"prepare": "canny", "values": (-1, 2)}, "low threshold=-1 is not"),
        ({"prepare": "blur", "values": "9"}, "sigma='9'"),
        ({"fit": "fit"}, "fit='fit' is unknown"),
        ({"mask": PICTURE}, "mask is given with prepare=None"),
        ({"sha256": "abc"}, "sha256='abc' is no digest: 64 small"),
    ],
)  # fmt: skip
def test_a_wrong_control_is_refused_in_words(fields, words):
    with pytest.raises((ValueError, TypeError), match=re.escape(words)):
        Control(**{"net": "x", "image": PICTURE, **fields})


def test_a_request_takes_controls_and_their_fields():
    one, two = Control("a", PICTURE, 0.5), Control("b", OTHER, prepare="canny", values=(50,))
    request = Request(controls=[one, two])
    assert request.controls == (one, two)
    assert Request(controls=one).controls == (one,)
    assert Request(controls=({"net": "a", "image": PICTURE, "scale": 0.5},)).controls == (one,)
    assert request.but(controls=()) == Request() != request
    assert hash(request.but(steps=5)) != hash(request)
    assert "controls" not in Request("a").plain()
    assert request.plain()["controls"] == [
        {"net": "a", "image": images.sha256(PICTURE), "scale": 0.5},
        {"net": "b", "image": images.sha256(OTHER), "prepare": "canny", "values": (50.0,)},
    ]
    assert set(request.pictures) == {images.sha256(PICTURE), images.sha256(OTHER)}
    for wrong in (3, [3], {"image": PICTURE}, None, "canny"):
        with pytest.raises(TypeError, match="holds no control"):
            Request(controls=wrong)
    with pytest.raises(ValueError, match="a Control has no field 'weight'"):
        Request(controls={"net": "x", "image": PICTURE, "weight": 1})
    with pytest.raises(ValueError, match="11 controls; at most 10"):
        Request(controls=[one] * 11)
    assert control.in_words(request.controls) == "a 0.5, b 1"
    assert control.in_words([replace(one, end=0.5)]) == "a 0.5 (0 to 0.5)"


@settings(max_examples=20)
@given(controls())
def test_usual_numbers_are_not_written_down(given_):
    assert Control(**{**given_.plain(), "image": given_.image}) == given_
    canny = Control("x", PICTURE, prepare="canny", values=(100, 200))
    assert canny == Control("x", PICTURE, prepare="canny")
    assert Control("x", PICTURE, prepare="canny", values=(50, 200)).values == (50.0,)


def test_a_control_without_a_picture_follows_that_of_its_request():
    tile = Control("tile", prepare="tile")
    assert tile.plain() == {"net": "tile", "prepare": "tile"}
    assert repr(tile) == "Control(net='tile', prepare='tile')"
    assert tile.pictures == {}
    assert not answers((tile,), (Control("tile", PICTURE, prepare="tile"),))
    request = Request(image=png(64, 64), controls=tile)
    assert Request.from_json(request.to_json(), request.pictures) == request
    without = request.but(image=None)  # a template, or a form that is not filled in yet
    assert without == Request(controls=tile)
    assert request.resolved(sdnb.request.Settings(64, 64)).controls == (tile,)
    with pytest.raises(ValueError, match=r"give sdnb.Control\('tile', picture\), or image="):
        without.resolved(sdnb.request.Settings())
    for wrong in (lambda: tile.hint, lambda: tile.hint_at(8, 8), lambda: tile.notes_at(8, 8)):
        with pytest.raises(ValueError, match=r"no picture of its own.*sdnb.images.hints"):
            wrong()


def hostile(value):
    return json.dumps({"version": 2, "controls": value})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "not a list of at most 10"), ([3], "not a list of at most 10"),
        ([{}] * 11, "not a list of at most 10"), ({"net": 1}, "not a list of at most 10"),
        ([{"net": "x", "image": "a" * 64}], "image of a control is the picture with sha256"),
        ([{"net": "x", "image": ["a"]}], "is not the sha256 of a picture"),
        ([{"image": images.sha256(PICTURE)}], "holds no control"),
        ([{"net": "x", "image": images.sha256(PICTURE), "scale": 1e9}], "scale=1000000000.0"),
        ([{"net": "x", "image": images.sha256(PICTURE), "x" * 999: 1}], "a Control has no field"),
    ],
)  # fmt: skip
def test_hostile_json_is_refused_in_words(value, words):
    with pytest.raises((ValueError, TypeError), match=re.escape(words)) as caught:
        Request.from_json(hostile(value), {images.sha256(PICTURE): PICTURE})
    assert len(str(caught.value)) < 600


def test_a_saved_picture_brings_its_controls_back(tmp_path):
    mask = images.mask(white_on((8, 8), 0, 0, 3, 3))
    given_ = (
        Control("canny", PICTURE, 0.8, 0.1, 0.9, "canny", "prompt", (50,), sha256="ab" * 32),
        Control("fill", OTHER, prepare="inpaint", mask=mask),
    )
    request = Request("a", width=64, height=64, steps=2, controls=given_)
    request = request.resolved(sdnb.request.Settings())
    result = Result((Image.new("RGB", (64, 64)),), request, "tiny", "0" * 64, 1.0, 1.0)
    (path,) = images.save(result, tmp_path)
    assert images.read(path) == request
    assert len(list((tmp_path / "inputs").iterdir())) == 3
    (tmp_path / "inputs" / f"{images.sha256(mask)}.png").unlink()
    with pytest.raises(FileNotFoundError, match="made from another picture"):
        images.read(path)


def test_an_open_digest_is_answered_by_any_net():
    wanted, found = (Control("a", PICTURE),), (Control("a", PICTURE, sha256="ab" * 32),)
    assert answers(wanted, found)
    assert not answers(found, wanted)
    assert not answers(wanted, (Control("a", OTHER),))


def test_a_hint_is_the_picture_or_what_it_is_prepared_as():
    image = white_on((40, 32), 10, 8, 29, 23)
    plain = Control("x", image)
    assert plain.hint.tobytes() == image.tobytes()
    assert plain.notes_at(40, 32) == ()
    edges = Control("x", image, prepare="canny").hint
    assert (edges.mode, edges.size) == ("RGB", (40, 32))
    assert 40 < np.count_nonzero(np.asarray(edges)[..., 0]) < 80  # its outline
    assert "light lines" in Control("x", image, prepare="scribble").notes_at(8, 8)[0]
    hint = plain.hint
    hint.paste((9, 9, 9), (0, 0, 40, 32))
    assert plain.hint.tobytes() == image.tobytes()  # a copy of its own


def test_lines_are_found_at_the_size_that_is_wanted():
    image = white_on((80, 64), 20, 16, 59, 47)
    for side in (40, 160, 256):
        edges = Control("x", image, prepare="canny").hint_at(side, side * 4 // 5)
        assert edges.size == (side, side * 4 // 5)
        row = np.asarray(edges)[side * 2 // 5, :, 0]
        assert np.count_nonzero(row) == 2  # one pixel for each side
    left = Control("x", image).hint_at(40, 64, part=(0, 0, 0.5, 1))
    np.testing.assert_array_equal(np.asarray(left), np.asarray(image)[:, :40])
    for size, words in (((0, 8), "width=0 is not a whole"), ((8, 9000), "height=9000")):
        with pytest.raises(ValueError, match=words):
            Control("x", image).hint_at(*size)
    square = Control("x", image, fit="crop").hint_at(64, 64)
    np.testing.assert_array_equal(np.asarray(square), np.asarray(image)[:, 8:72])


def test_the_mask_of_an_inpainting_hint():
    image, mask = white_on((16, 16), 0, 0, 15, 15), white_on((16, 16), 4, 4, 11, 11)
    assert Control("x", image, prepare="inpaint").mask_at(8, 8) is None
    given_ = Control("x", image, prepare="inpaint", mask=mask)
    assert given_.hint.tobytes() == image.tobytes()
    assert given_.mask_at(4, 4, part=(0.25, 0.25, 0.5, 0.5)).getextrema() == (255, 255)
    found = given_.mask_at(32, 32)
    assert (found.mode, found.size) == ("L", (32, 32))
    np.testing.assert_array_equal(
        np.asarray(found) > 127, np.asarray(mask.convert("L").resize((32, 32), 0)) > 127
    )


KINDS = {
    "grey": Image.linear_gradient("L").resize((40, 24)),
    "16 bits": Image.fromarray(np.linspace(0, 65535, 960).astype(np.uint16).reshape(24, 40)),
    "transparent": Image.radial_gradient("L").resize((40, 24)).convert("RGBA"),
    "grey with alpha": Image.linear_gradient("L").resize((40, 24)).convert("LA"),
    "bits": Image.radial_gradient("L").resize((40, 24)).convert("1"),
    "a palette": Image.radial_gradient("L").resize((40, 24)).convert("P"),
    "CMYK": Image.radial_gradient("L").resize((40, 24)).convert("CMYK"),
    "a row": Image.linear_gradient("L").resize((300, 1)),
    "a column": Image.linear_gradient("L").resize((1, 300)),
    "a pixel": Image.new("RGB", (1, 1), "teal"),
}
KINDS["transparent"].putalpha(Image.linear_gradient("L").resize((40, 24)))


@pytest.mark.parametrize("prepare", [None, *PREPARATIONS])
def test_any_picture_has_a_hint_of_any_size(prepare):
    for name, image in KINDS.items():
        for fit in control.FITS:
            one = Control("x", image, prepare=prepare, fit=fit)
            hint = one.hint_at(64, 72)
            assert (hint.mode, hint.size) == ("RGB", (64, 72)), name
        if prepare not in ("tile", "shuffle"):
            assert one.hint.size == image.size


def test_grey_and_16_bits_are_the_same_picture_as_colours():
    grey = KINDS["grey"]
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    for image in (grey, wide, grey.convert("RGBA")):
        assert Control("x", image).hint.tobytes() == grey.convert("RGB").tobytes()
    hidden = grey.convert("RGBA")
    hidden.putalpha(0)
    assert Control("x", hidden).hint.getextrema() == ((255, 255),) * 3
