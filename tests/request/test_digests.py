"""The digests that a request has for the files that its prompts name."""

import json

import pytest

from sdnb.request import Request, digests

ONE, OTHER = "a" * 64, "b" * 64


def test_they_travel_and_are_written_only_where_there_are_some():
    given = Request("a <lora:fog:1>", digests={"lora:fog": ONE, "embedding:a:b": OTHER})
    assert given.digests == (("embedding:a:b", OTHER), ("lora:fog", ONE))
    assert json.loads(given.to_json())["digests"] == {"embedding:a:b": OTHER, "lora:fog": ONE}
    assert Request.from_json(given.to_json()) == given
    assert hash(given.but(digests=given.digests)) == hash(given)
    assert "digests" not in json.loads(Request("a").to_json())
    assert dict(digests.of(given.digests, "lora")) == {"fog": ONE}
    assert dict(digests.of(given.digests, "embedding")) == {"a:b": OTHER}


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ("fog", TypeError, "no mapping of names"),
        ({"fog": ONE}, ValueError, "lora:NAME"),
        ({"vae:fog": ONE}, ValueError, "lora:NAME"),
        ({"lora:": ONE}, ValueError, "lora:NAME"),
        ({"lora:fog": "A" * 64}, ValueError, "64 small"),
        ({"lora:fog": 7}, TypeError, "digests"),
        ({7: ONE}, TypeError, "digests"),
    ],
)
def test_what_is_no_digest_is_named(value, error, words):
    with pytest.raises(error, match=words):
        Request(digests=value)


def test_joined_ones_take_the_newer_and_leave_out_the_unknown():
    given = (("lora:fog", ONE),)
    assert digests.joined(given, {"lora:fog": OTHER, "lora:mist": None}) == (("lora:fog", OTHER),)
