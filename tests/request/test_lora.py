"""LoRAs in a request, and A1111's rules for their tags."""

from __future__ import annotations

import re

import pytest
from helpers.any_request import loras
from hypothesis import given, settings
from hypothesis import strategies as st

import sdnb
from sdnb.request import lora
from sdnb.request.lora import ATTENDING, BLOCKS, PRESETS, Lora, split_tags

TAGS = [
    # what follows "<lora:", and what it names
    ("x>", Lora("x")),
    ("x:0.8>", Lora("x", 0.8)),
    ("x:0.5:0.8>", Lora("x", 0.8, 0.5)),
    ("x:0.5:0.8:4>", Lora("x", 0.8, 0.5, dyn=4)),
    ("x:te=0.5>", Lora("x", 0.5)),  # unet follows te
    ("x:unet=0.5>", Lora("x", 0.5, 1.0)),
    ("x:unet=0.5:te=0.25>", Lora("x", 0.5, 0.25)),
    ("x:0.9:te=0.5:dyn=2>", Lora("x", 0.5, dyn=2)),
    ("x:-1.5>", Lora("x", -1.5)),
    ("x:0.8 >", Lora("x", 0.8)),
    ("styles/fog v2:1>", Lora("styles/fog v2")),
    ("x:1:lbw=INS>", Lora("x", blocks=PRESETS["INS"])),
    ("x:1:OUTD>", Lora("x", blocks=PRESETS["OUTD"])),
    ("x:0.5:0.6:MIDD>", Lora("x", 0.6, 0.5, PRESETS["MIDD"])),
    ("x:1:lbw=" + ",".join(["0.5"] * 26) + ">", Lora("x", blocks=[0.5] * 26)),
]


@pytest.mark.parametrize(("tag", "named"), TAGS)
@pytest.mark.parametrize("kind", ["lora", "lyco"])
def test_a_tag_names_a_lora(tag, named, kind):
    assert split_tags(f"a , <{kind}:{tag}, b") == ("a , , b", [named], [])


@settings(max_examples=40)
@given(loras())
def test_the_tag_of_a_lora_names_it(given_):
    if re.search(r"[:<>/\\]", given_.name):
        return
    (back,) = split_tags(given_.tag)[1]
    assert (back.name, back.unet, back.blocks, back.dyn) == (
        given_.name, given_.unet, given_.blocks, given_.dyn,
    )  # fmt: skip
    assert back.text_strength == given_.text_strength


def test_a_tag_names_a_file_by_its_stem():
    for name in ("/a/b c/fog.safetensors", r"C:\loras\fog.pt", "fog", "sub/fog"):
        assert Lora(name, 0.5, blocks=None).tag == "<lora:fog:0.5>"
    assert Lora("a:b.c", 1, 0.25).tag == "<lora:ab.c:0.25:1>"


def test_a_tag_of_another_kind_is_taken_out_and_said():
    (note,) = split_tags("a cat <Lora:x:1>")[2]
    assert note.endswith("Write <lora:...> in small letters.")
    text, named, notes = split_tags("a <hypernet:x:1>cat<foo:bar>, <3, a<b, <: >")
    assert (text, named) == ("a cat, <3, a<b, <: >", [])
    assert [note.split(" is ")[0] for note in notes] == ["'<hypernet:x:1>'", "'<foo:bar>'"]


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        (
            "x:abc",
            "'abc' is no number, as in <lora:name:0.8>, nor 17 or 26 numbers, or one of NONE",
        ),
        ("x:0,8", "'0,8' is no number: its decimal sign is a point, 0.8"),
        ("x:te=0,8", "'0,8' is no number: its decimal sign is a point, 0.8"),
        ("x:1:0.5@0.3", "'0.5@0.3' is no number"),
        ("x:te=much", "'much' is no number, as in"),
        ("x:1:2:3:4", "has 4 numbers"),
        ("x:1:start=5", "start= changes a LoRA's weight between steps"),
        ("x:1:step=2-8", "step= changes"),
        ("x:1:lbwe=all", "lbwe= changes"),
        ("x:1:hr=1", "'hr' is unknown; known are te, unet, dyn and lbw"),
        ("x:nan", "unet=nan is not a finite number"),
        ("x:1:1:inf", "dyn=inf is a float"),
        (":1", "name of a LoRA is empty"),
        ("x:1:lbw=1,0,1", "blocks has 3 numbers; expected 17 or 26"),
    ],
)
def test_a_tag_that_cannot_be_done_is_refused_in_words(tag, words):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        split_tags(f"a cat <lora:{tag}>")
    assert f"<lora:{tag}>" in str(caught.value)


@given(st.text("<>:lorayc,=1.5 abw", max_size=40) | st.text())
def test_tags_and_text_are_the_prompt(text):
    kept = lora.words(text)
    tags = re.findall(r"<\w+:[^>]+>", text)
    assert len(kept) + sum(map(len, tags)) == len(text)
    try:
        assert split_tags(text)[0] == kept
    except ValueError as error:
        assert "<l" in str(error)  # noqa: PT017 - whether it raises depends on the text


def test_a_request_takes_loras_their_names_and_what_json_holds():
    one, two = Lora("a", 0.5), Lora("b", text=0.0, blocks="INS", sha256="0a" * 32)
    request = sdnb.Request(loras=[one, two])
    assert request.loras == (one, two)
    assert request.plain()["loras"] == [
        {"name": "a", "unet": 0.5},
        {"name": "b", "text": 0.0, "blocks": PRESETS["INS"], "sha256": "0a" * 32},
    ]
    assert sdnb.Request.from_json(request.to_json()) == request
    assert sdnb.Request(loras="a").loras == (Lora("a"),)
    assert "loras" not in sdnb.Request("a").plain()
    for wrong in (3, [3], {"unet": 1}, None):
        with pytest.raises(TypeError, match="holds no LoRA"):
            sdnb.Request(loras=wrong)
    with pytest.raises(ValueError, match="a Lora has no field 'strength'"):
        sdnb.Request(loras={"name": "x", "strength": 1})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": " "}, "is empty"), ({"unet": float("inf")}, "unet=inf"),
        ({"text": "1"}, "text='1'"), ({"blocks": "INX"}, "one of NONE"),
        ({"blocks": [1] * 12}, "12 numbers"), ({"sha256": "abc"}, "64 small"),
        ({"dyn": 0}, "dyn=0"),
    ],
)  # fmt: skip
def test_a_wrong_lora_is_refused(fields, words):
    with pytest.raises((ValueError, TypeError), match=re.escape(words)):
        Lora(**{"name": "x", **fields})


def test_blocks_have_the_numbers_that_they_are_given_by():
    assert (len(ATTENDING), len(BLOCKS)) == (17, 26)
    assert set(ATTENDING) < set(BLOCKS)
    assert all(len(weights) == 17 for weights in PRESETS.values())


def test_an_open_digest_is_answered_by_any_file():
    wanted, found = (Lora("a", 0.5),), (Lora("a", 0.5, sha256="0a" * 32),)
    assert lora.answers(wanted, found)
    assert not lora.answers(found, wanted)
    assert not lora.answers(wanted, ())
    assert not lora.answers(wanted, (Lora("a", 0.6),))
