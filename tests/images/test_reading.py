"""Reading what others did to a saved file: stripped, moved, changed, damaged."""

from __future__ import annotations

import json
import tempfile

import pytest
from helpers.pictures import colour, png_with, result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sdnb import images
from sdnb.request import Request

# Reading what others did to the file


def test_a_stripped_picture_says_so(tmp_path):
    (path,) = images.save(result(), tmp_path)
    Image.open(path).save(tmp_path / "stripped.png")
    with pytest.raises(ValueError, match="neither of the texts 'sdnb' and 'parameters'") as caught:
        images.read(tmp_path / "stripped.png")
    assert "stripped.png" in str(caught.value)


def test_a_jpeg_without_a_request_says_so(tmp_path):
    colour().save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="neither of the texts 'sdnb' and 'parameters'"):
        images.read(tmp_path / "a.jpg")


def test_texts_after_the_pixels_are_found(tmp_path):
    (path,) = images.save(result(), tmp_path)
    texts = {key: text for key, text in Image.open(path).text.items() if key == "sdnb"}
    moved = png_with(texts, tmp_path, after=True)
    assert "sdnb" not in Image.open(moved).info
    assert images.read(moved) == result().request


def test_the_parameters_of_another_program_are_read_where_ours_are_missing(tmp_path):
    line = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x768"
    text = f"a cat\nNegative prompt: dog\n{line}"
    path = png_with({"parameters": text}, tmp_path)
    assert images.read(path) == Request(
        "a cat", "dog", width=512, height=768, steps=20, cfg=7.0, sampler="euler_a",
        schedule="uniform", seed=5, syntax="a1111",
    )  # fmt: skip
    assert images.inspect(path).seconds is None
    unknown = png_with({"parameters": text.replace("Euler a", "DPM adaptive")}, tmp_path)
    known = images.read(path)
    with pytest.warns(UserWarning, match="'DPM adaptive'") as heard:
        assert images.read(unknown) == known.but(sampler=None, schedule=None)
    assert [w.filename for w in heard] == [__file__]
    path = png_with({"parameters": "a cat"}, tmp_path)
    with pytest.raises(ValueError, match=r"picture\.png.*'a cat'.*no line of values"):
        images.read(path)


HEAD = '"version": 1, "model": {"name": "", "fingerprint": ""}, "notes": []'


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "3", "{}", '{"request": {}}', "[" * 100_000,
        f'{{{HEAD}, "seconds": "x", "request": {{}}}}', f'{{{HEAD}, "seconds": 1, "request": []}}',
    ],
)  # fmt: skip
def test_a_damaged_text_is_an_error_even_where_parameters_are_there(text, tmp_path):
    path = png_with({"sdnb": text, "parameters": "a\nSteps: 20, Sampler: DDIM"}, tmp_path)
    with pytest.raises(ValueError, match="damaged text 'sdnb'"):
        images.read(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 5000}, ["steps=5000", "1 to 1000"]),
        ({"colour": 1}, ["'colour'", "saved by sdnb"]),
        ({"image": "../../secret"}, ["no sha256"]),
        ({"image": 3}, ["no sha256"]),
        ({"image": "0" * 64, "steps": 1}, []),
    ],
)
def test_a_changed_text_is_an_error_that_names_the_file(change, words, tmp_path):
    (saved,) = images.save(result(), tmp_path)
    about = json.loads(Image.open(saved).text["sdnb"])
    about["request"].update(change)
    path = png_with({"sdnb": json.dumps(about)}, tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=r"picture\.png") as caught:
        images.read(path)
    assert all(word in str(caught.value) for word in words), caught.value


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=4), st.integers(0, 5000)
)
def test_a_damaged_file_is_read_or_refused(changes, cut):
    data = bytearray(SAVED)
    for position, value in changes:
        data[position % len(data)] = value
    data = bytes(data[: len(data) - cut % len(data)])
    try:
        assert isinstance(images.read(data), Request)
    except (ValueError, TypeError) as error:
        assert str(error).startswith("picture (")  # noqa: PT017 - either outcome is right


with tempfile.TemporaryDirectory() as _folder:
    SAVED = images.save(result("une forêt 猫"), _folder)[0].read_bytes()


@pytest.mark.parametrize("source", [None, 3, colour()])
def test_read_wants_a_path_or_bytes(source):
    with pytest.raises(TypeError, match="path"):
        images.read(source)
