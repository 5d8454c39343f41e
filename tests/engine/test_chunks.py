"""Where prompts are cut: tables worked out by hand from the rules of the two programs."""

from types import SimpleNamespace

import pytest
import torch
from helpers.fakes import tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

from sdnb.request import prompt

START, END, COMMA, CAT = 49406, 49407, 267, 2368


def cut(words, syntax="a1111", **embeddings):
    return tokenizer().chunks(prompt.parse(words, syntax), syntax, embeddings)


def tokens(chunk):
    return list(chunk.ids[1 : 1 + chunk.count])


CATS = "cat " * 75
COUNTS = [
    ("a1111", "", [0]),
    ("a1111", CATS, [75]),
    ("a1111", CATS + "cat", [75, 1]),
    ("a1111", "cat " * 54 + ", " + CATS, [75, 55]),  # the comma is 21 back
    ("a1111", "cat " * 55 + ", " + CATS, [56, 75]),  # it is 20 back
    ("a1111", "cat " * 74 + ", " + CATS, [75, 75]),
    ("a1111", CATS + ", cat", [75, 2]),  # a comma itself takes nothing along
    ("blocks", "cat " * 70 + ", " + CATS, [71, 75]),
    ("a1111", "cat BREAK cat cat", [1, 2]),
    ("a1111", "cat BREAK BREAK cat BREAK", [1, 0, 1]),
    ("a1111", "BREAK cat", [0, 1]),
    ("a1111", "un(happy:1.2)", [2]),
    ("comfy", "", [0]),
    ("comfy", CATS + "cat cat", [75, 2]),
    ("comfy", "cat " * 70 + "(dog dog dog dog dog dog dog:1.2)", [70, 7]),  # short: moved whole
    ("comfy", "cat " * 70 + "(dog dog dog dog dog dog dog dog:1.2)", [75, 3]),  # 8 are cut
    ("comfy", "cat " * 55 + ", " + CATS, [75, 56]),  # no rule of commas
    ("comfy", "cat BREAK cat", [3]),
]


@pytest.mark.parametrize(("syntax", "words", "counts"), COUNTS)
def test_where_a_chunk_ends(syntax, words, counts):
    chunks = cut(words, syntax)
    assert [chunk.count for chunk in chunks] == counts
    for chunk in chunks:
        assert (len(chunk.ids), len(chunk.weights)) == (77, 77)
        assert chunk.ids[0] == START
        assert set(chunk.ids[1 + chunk.count :]) == {END}


def test_weights_stand_at_their_tokens_and_padding_has_1():
    (chunk,) = cut("a (cat:1.5), [fog]")
    assert chunk.weights[:6] == (1, 1, 1.5, 1, pytest.approx(1 / 1.1), 1)
    assert set(chunk.weights[6:]) == {1}


def test_a_chunk_says_where_in_the_text_it_begins():
    first, second = cut("a " + "(" + "cat " * 80 + ":1.2)")
    assert (first.begins, second.begins) == ((0, 0), (1, 74 * 4))


@given(st.text(max_size=400) | st.lists(st.sampled_from(["cat ", ", ", "(fog:2)", "[", "BREAK ",
       ") "]), max_size=300).map("".join), st.sampled_from(["a1111", "comfy"]))  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_no_token_is_lost(words, syntax):
    fragments = prompt.parse(words, syntax)
    alone = [i for f in fragments for i in tokenizer()._encoded(f.text)[0]]
    chunks = tokenizer().chunks(fragments, syntax)
    assert [i for chunk in chunks for i in tokens(chunk)] == alone
    assert all(chunk.count <= 75 for chunk in chunks)


def embedding(name, count, width=8):
    return SimpleNamespace(name=name, vectors=torch.ones(count, width), sha256=name * 4)


EASY, HAND, BAD = embedding("easynegative", 3), embedding("bad-hands-5", 8), embedding("bad", 2)
KNOWN = {e.name: e for e in (EASY, BAD, HAND)}


def found(words, syntax="a1111"):
    return [
        [(at, its.name) for at, its in chunk.embeddings] for chunk in cut(words, syntax, **KNOWN)
    ]


@pytest.mark.parametrize(
    ("syntax", "words", "wanted"),
    [
        ("a1111", "cat, EasyNegative", [[(3, "easynegative")]]),
        ("blocks", "easynegative", [[(1, "easynegative")]]),
        ("a1111", "(cat EASYNEGATIVE:1.2) bad", [[(2, "easynegative"), (5, "bad")]]),
        ("a1111", "bad-hands-5, bad", [[(1, "bad-hands-5"), (10, "bad")]]),  # the longest first
        ("a1111", "badly easynegative5", [[(2, "easynegative")]]),  # a run of ids, not a word
        ("a1111", "cat " * 73 + "easynegative", [[], [(1, "easynegative")]]),  # never cut
        ("a1111", "cat " * 66 + "bad-hands-5 cat", [[(67, "bad-hands-5")]]),
        ("a1111", "cat " * 60 + ", " + "cat " * 13 + "bad cat", [[], [(1, "bad")]]),
        ("comfy", "cat embedding:EasyNegative", [[(2, "easynegative")]]),
        ("comfy", "(embedding:bad.pt, cat:1.3)", [[(1, "bad")]]),
        ("comfy", "embedding:negatives/bad easynegative", [[(1, "bad")]]),  # only by that word
        ("comfy", "cat " * 70 + "embedding:bad-hands-5", [[], [(1, "bad-hands-5")]]),
    ],
)
def test_embeddings_are_found_by_name(syntax, words, wanted):
    assert found(words, syntax) == wanted


def test_the_weight_of_an_embedding_is_that_of_its_name():
    (chunk,) = cut("cat (bad:1.4) cat", **KNOWN)
    assert chunk.weights[:6] == (1, 1, 1.4, 1.4, 1, 1)
    assert chunk.count == 4


def test_a_comma_that_leaves_an_embedding_takes_it_along():
    """What stands after the comma is moved, the embedding with it."""
    first, second = cut("cat " * 60 + ", bad " + "cat " * 13, **KNOWN)
    assert (first.count, first.embeddings) == (61, ())
    assert [at for at, _ in second.embeddings] == [1]
    assert second.count == 2 + 13


def test_an_embedding_that_cannot_be_used_is_named():
    with pytest.raises(ValueError, match=r"'long' has 76 vectors.*room for 75"):
        cut("a long cat", long=embedding("long", 76))
    with pytest.raises(ValueError, match=r"'embedding:evil' names an embedding that is not here"):
        cut("embedding:evil", "comfy", **KNOWN)
