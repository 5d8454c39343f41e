"""Files that sdnb 0.1 wrote (`tests/data/saved-0.1`) are read, and mean what they meant."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import sdnb
from sdnb.request import Request, Settings

SAVED = Path(__file__).parents[1] / "data" / "saved-0.1"
PICTURES = {path.stem: path.read_bytes() for path in (SAVED / "inputs").glob("*.png")}


def read(name: str) -> Request:
    return Request.from_json((SAVED / f"{name}.json").read_text("utf-8"), PICTURES)


def test_the_pictures_are_those_that_were_saved():
    assert len(PICTURES) == 2
    for digest, data in PICTURES.items():
        assert hashlib.sha256(data).hexdigest() == digest


def test_every_field_of_words_has_its_value():
    assert read("words") == Request(
        "a castle:1 thick fog:0.5", "blurred", width=512, height=320, steps=20, cfg=4,
        sampler="dpmpp_2m", schedule="karras", seed=7, count=3,
    )  # fmt: skip
    assert read("open") == Request("ein Schlo\u00df, \u57ce \U0001f3f0")


def test_every_field_of_a_picture_request_has_its_value():
    fox = read("picture")
    assert (fox.prompt, fox.strength, fox.seed) == ("a fox", 0.6, 2**40)
    assert (fox.sampler, fox.eta, fox.mask) == ("euler_a", 0.5, None)
    hat = read("inpaint")
    assert (hat.prompt, hat.negative, hat.invert, hat.feather) == ("a hat", "a cat", True, 3.5)
    assert (hat.content, hat.padding, hat.seed, hat.strength) == ("fill", 16, 1, 1.0)
    assert {fox.image, hat.image, hat.mask} == set(PICTURES.values())


@pytest.mark.parametrize("name", ["words", "picture", "inpaint"])
def test_what_was_left_open_is_settled_as_it_was(name):
    assert read(name).resolved(Settings()) == read(f"{name}-resolved")


@pytest.mark.parametrize("name", ["words", "open", "picture", "inpaint"])
def test_a_saved_picture_gives_its_request_back(name):
    saved = read(f"{name}-resolved").but(count=1)
    assert sdnb.read(SAVED / f"{name}.png") == saved
    about = sdnb.images.inspect(SAVED / f"{name}.png")
    assert (about.model, about.fingerprint) == ("a model", "0123456789abcdef-01234567")
    assert (about.version, about.seconds, about.notes) == ("0.1.0", 1.5, ("a note",))


def test_picture_i_of_a_count_has_its_own_seed():
    seeds = [sdnb.read(SAVED / name).seed for name in ("words.png", "words-2.png", "words-3.png")]
    assert seeds == [7, 8, 9]


@pytest.mark.parametrize("name", ["words", "open", "picture", "inpaint"])
def test_a_request_of_old_fields_is_written_with_the_same_keys_but_for_the_version(name):
    """So the cells of a store that an earlier sdnb filled are found: their keys are made of it."""
    old = (SAVED / f"{name}.json").read_text("utf-8")
    assert read(name).to_json() == old.replace("{", '{"version": 3, ', 1)
