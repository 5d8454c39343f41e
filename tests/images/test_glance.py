"""What a header tells: the same as reading all of the file, and nothing else is opened."""

import json

import pytest
from helpers.any_request import requests
from helpers.pictures import SETTINGS, Result, colour, encoded, png_with
from hypothesis import given
from hypothesis import settings as how
from PIL.PngImagePlugin import PngInfo

from sdnb import images
from sdnb.images import glance
from sdnb.request import Request

GRAPH = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "Dream.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a Fox", "clip": ["1", 1]}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurred", "clip": ["1", 1]}},
    "4": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 77, "steps": 9, "cfg": 5, "sampler_name": "heun", "scheduler": "karras",
            "denoise": 1, "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0],
        },
    },
}  # fmt: skip
INFOTEXT = (
    "a castle in fog\nNegative prompt: blurred\nSteps: 20, Sampler: DPM++ 2M, Schedule type: "
    "Karras, CFG scale: 7, Seed: 1234, Size: 512x640, Model hash: abc, Model: deliberate_v2"
)


@how(max_examples=100)
@given(requests())
def test_it_tells_what_the_whole_file_tells(tmp_path_factory, request_):
    about = {
        "request": json.loads(request_.to_json()), "version": "9.9", "seconds": 1, "notes": [],
        "model": {"name": "Some Model", "fingerprint": "ab"},
    }  # fmt: skip
    texts = PngInfo()
    texts.add_itxt("sdnb", json.dumps(about))
    path = tmp_path_factory.mktemp("any") / "picture.png"
    path.write_bytes(encoded(colour(), pnginfo=texts))
    seen = glance.of_file(path)
    assert (seen.model, seen.seed, seen.problem) == ("Some Model", request_.seed, "")
    lines = seen.text.split("\n")
    for words in (request_.prompt, request_.negative, *(lora.name for lora in request_.loras)):
        assert words.casefold() in seen.text
    for word in filter(None, (request_.sampler, request_.schedule)):
        assert word in lines
    # In memory it is found by the same words.
    assert glance.of_request(request_, "Some Model", "sdnb 9.9").text == seen.text


@pytest.mark.parametrize(
    ("texts", "words", "model", "seed"),
    [
        ({"parameters": INFOTEXT}, ("a castle in fog", "dpmpp_2m", "512x640"), "deliberate", 1234),
        ({"prompt": json.dumps(GRAPH)}, ("a fox", "heun", "blurred"), "Dream", 77),
    ],
)  # fmt: skip
def test_of_other_tools(tmp_path, texts, words, model, seed):
    path = png_with(texts, tmp_path)
    seen = glance.of_file(path)
    told = images.inspect(path)
    assert (seen.model, seen.seed) == (told.model, told.request.seed)
    assert seen.model.startswith(model)
    assert seen.seed == seed
    assert all(word in seen.text for word in words)
    later = glance.of_file(png_with(texts, tmp_path, after=True))
    assert later == seen


def test_a_start_picture_that_is_gone_takes_nothing_from_it(tmp_path):
    png = images.picture(colour(size=(64, 64)))
    request = Request("from a photo", seed=3, image=png).resolved(SETTINGS)
    (path,) = images.save(Result((colour(),), request), tmp_path)
    for kept in (tmp_path / "inputs").iterdir():
        kept.unlink()
    with pytest.raises(FileNotFoundError):
        images.inspect(path)
    assert glance.of_file(path).prompt == "from a photo"


def test_a_photograph_is_no_problem(tmp_path):
    for kind in ("PNG", "JPEG", "WEBP"):
        path = tmp_path / f"photo.{kind.lower()}"
        path.write_bytes(encoded(colour(size=(16, 16)), kind))
        assert glance.of_file(path) == glance.Glance()


def test_what_is_cut_short_says_so_and_is_found(tmp_path):
    (path,) = images.save(Result((colour(size=(64, 64)),), request_of()), tmp_path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        assert glance.of_file(path).problem, length
    path.write_bytes(whole[:-20])
    assert (glance.of_file(path).prompt, glance.of_file(path).problem) == ("hi", "it is cut short")
    path.write_bytes(whole + b"more")  # as some tools leave it
    assert not glance.of_file(path).problem
    path.unlink()
    assert glance.of_file(path).problem == "it is gone"


def request_of():
    return Request("hi", seed=1).resolved(SETTINGS)


def test_damaged_bytes_raise_nothing(tmp_path):
    (path,) = images.save(Result((colour(),), request_of()), tmp_path)
    whole = path.read_bytes()
    for at in range(8, len(whole), 11):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        glance.of_file(path)
