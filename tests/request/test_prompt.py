"""Weight blocks: the original's meaning, without the original's faults."""

from __future__ import annotations

import copy
import math
import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdnb.request.prompt import Fragment, PromptError, Trap, escaped, normalised, parse, traps


def blocks(text):
    return [(fragment.text, fragment.weight) for fragment in parse(text)]


def parsed(text):
    """The fragments, or the one error that parse may raise."""
    try:
        return parse(text), None
    except PromptError as error:
        return [], error


def numbers():
    return st.floats(-100, 100, allow_nan=False).map(lambda number: round(number, 3))


# Text in which colons, numbers and whitespace are frequent enough to meet each other.
PIECES = st.lists(
    st.sampled_from(
        [":", "\\:", "\\", " ", "\n", "\u00a0", "\t", "a", "cat", "1", "0.5", ".5", "-", "+", "1e3",
         "1e999", "inf", "nan", "-1", "٣", ",", ")", "(", "é", "\U0001f431", "", "12:30", ":1 "]
    )
).map("".join)  # fmt: skip


@given(st.text() | PIECES)
@example("a:1\u2028b:2")
@example("::0\x1f")
@example(":1 a:1 :2")
@example("\\")
def test_no_character_is_lost_and_nothing_but_its_own_error_is_raised(text):
    fragments, error = parsed(text)
    if error:
        assert 0 <= error.start < error.end <= len(text)
        return
    assert "".join(text[f.start : f.end] for f in fragments) == text
    assert fragments[0].start == 0
    assert [f.start for f in fragments[1:]] == [f.end for f in fragments[:-1]]
    for f in fragments:  # each span is the block's text, then a weight, then whitespace only
        block = escaped_as_written(text[f.start : f.end], f.text)
        rest = text[f.start + len(block) : f.end]
        if rest:
            assert rest[0] == ":"
            assert float(rest[1:].strip()) == f.weight  # float() alone keeps \x1c to \x1f
            assert f.text.strip()
        else:
            assert f.weight == 1.0
            assert f is fragments[-1]
    shares = normalised(fragments)
    assert sum(shares) <= 1 + 1e-6
    for f, share in zip(fragments, shares, strict=True):
        assert len(fragments) == 1 or f.weight * share >= 0  # a weight keeps its sign
        assert -2 - 1e-6 <= share <= 2.5 + 1e-6


def escaped_as_written(source, text):
    """The prefix of source that parses to text, where a colon may have a backslash before it."""
    position = 0
    for letter in text:
        if letter == ":" and source.startswith("\\:", position):
            position += 1
        assert source[position + (letter == ":" and source[position] == "\\")] == letter
        position += 1
    return source[:position]


@given(st.lists(st.tuples(st.text(min_size=1).filter(str.strip), numbers()), min_size=2))
def test_blocks_that_were_written_are_read(pairs):
    # A space before the colon keeps a digit or a backslash of the text from touching it.
    text = "".join(f"{escaped(text.strip())} :{weight}\n" for text, weight in pairs)
    expected = [(text.strip() + " ", weight) for text, weight in pairs]
    try:
        assert blocks(text) == expected
    except PromptError:
        total = math.fsum(weight for _, weight in pairs)
        assert abs(total) <= 1e-6 * math.fsum(abs(weight) for _, weight in pairs)


@given(st.text() | PIECES)
def test_escaped_text_is_one_block(text):
    assert blocks(escaped(text)) == [(text, 1.0)]
    assert colons_in(escaped(text)) == []


def colons_in(text):
    """The colons that may be mistakes: other traps are of AUTOMATIC1111's marks."""
    return [trap for trap in traps(text) if text[trap.start] == ":"]


@given(st.text() | PIECES)
def test_every_colon_is_a_weight_or_escaped_or_a_trap(text):
    fragments, error = parsed(text)
    if error:
        return
    stayed_text = colons_in(text)
    weights = sum(_weighed(text, f) for f in fragments)
    literal = text.count("\\:")
    assert text.count(":") == weights + literal + len(stayed_text)
    for trap in stayed_text:
        assert trap.start < trap.end <= len(text)


def _weighed(text, fragment):
    return len(escaped_as_written(text[fragment.start : fragment.end], fragment.text)) < (
        fragment.end - fragment.start
    )


def test_the_originals_example():
    text = "picture of:1 small:0.5 cat sitting on:1 big:2 dog"
    assert blocks(text) == [
        ("picture of", 1.0), ("small", 0.5), ("cat sitting on", 1.0), ("big", 2.0), ("dog", 1.0),
    ]  # fmt: skip
    assert normalised(parse(text)) == pytest.approx([w / 5.5 for w in (1, 0.5, 1, 2, 1)], abs=1e-15)
    assert parse(text)[1] == Fragment("small", 0.5, 13, 23)
    assert traps(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("", 1.0)]),
        ("   ", [("   ", 1.0)]),
        ("a cat", [("a cat", 1.0)]),
        ("a cat:0.5", [("a cat", 0.5)]),  # the original encodes ":0.5"
        ("a cat:0", [("a cat", 0.0)]),
        ("a:1\nb:2 c", [("a", 1.0), ("b", 2.0), ("c", 1.0)]),  # the original loses b
        ("a:1\tb:2\u00a0c", [("a", 1.0), ("b", 2.0), ("c", 1.0)]),
        ("a:1   b", [("a", 1.0), ("b", 1.0)]),
        ("a:1 ", [("a", 1.0)]),
        ("a:one b", [("a:one b", 1.0)]),  # the original drops "one"
        ("a:1, b", [("a:1, b", 1.0)]),
        ("12:30 noon", [("12:30 noon", 1.0)]),  # the original weighs 30
        ("16:9 aspect", [("16:9 aspect", 1.0)]),
        ("٣:2 b", [("٣:2 b", 1.0)]),
        ("note: text", [("note: text", 1.0)]),
        ("note:1 text", [("note", 1.0), ("text", 1.0)]),
        ("model 2049 :2 city", [("model 2049 ", 2.0), ("city", 1.0)]),
        ("a\\:1 b:2", [("a:1 b", 2.0)]),
        ("\\:2", [(":2", 1.0)]),
        (":2 a", [(":2 a", 1.0)]),
        ("a:1 :2 b:3", [("a", 1.0), (":2 b", 3.0)]),
        ("a::2 b", [("a:", 2.0), ("b", 1.0)]),
        ("a:.5 b:+2. c:1e1", [("a", 0.5), ("b", 2.0), ("c", 10.0)]),
        ("a:2 b:-1", [("a", 2.0), ("b", -1.0)]),
        ("(cat:1.2) dog", [("(cat:1.2) dog", 1.0)]),
        ("a:1_0 b", [("a:1_0 b", 1.0)]),  # float() reads 10
        ("a:0x1 b", [("a:0x1 b", 1.0)]),
        ("my banana:nana b", [("my banana:nana b", 1.0)]),
    ],
)
def test_blocks(text, expected):
    assert blocks(text) == expected


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a:inf b", ":inf"),
        ("a:-Infinity", ":-Infinity"),
        ("x a:nan b", ":nan"),
        ("a:1e999 b", ":1e999"),
        ("a:1 b:-1", "a:1 b:-1"),
        ("a:0 b:0 ", "a:0 b:0 "),
        ("a:-1 b", "a:-1 b"),
        ("a:0.1 b:0.2 c:-0.3", "a:0.1 b:0.2 c:-0.3"),  # not zero in binary, but zero is meant
        ("a:1e300 b:-1e300", "a:1e300 b:-1e300"),
    ],
)
def test_a_bad_weight_is_an_error_that_names_the_place(text, place):
    with pytest.raises(PromptError) as caught:
        parse(text)
    error = caught.value
    assert isinstance(error, ValueError)
    assert text[error.start : error.end] == place
    assert str(error.start) in str(error)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (str(twin), twin.start, twin.end) == (str(error), error.start, error.end)


def test_normalised():
    assert normalised([]) == []
    assert normalised(parse("a cat:0")) == [1.0]  # one block: its weight changes nothing
    assert normalised(parse("an owl:-1")) == [-2.0]  # its sign does, as of several: no owl
    assert normalised(parse("an owl:-1e-320")) == [-2.0]
    assert normalised(parse("a:1e308 b:1e308")) == [0.5, 0.5]  # the plain sum overflows
    assert normalised(parse("a:5e-324 b:5e-324")) == [0.5, 0.5]
    assert normalised(parse("a:2 b:-1")) == [2.0, -1.0]
    assert normalised(parse("a:1.25 b:-0.75")) == pytest.approx([2.5, -1.5])  # a quarter, just
    assert normalised(parse("a:1 b:-0.8")) == [1.0, -0.8]  # 4 and -5 times as much without a bound
    assert normalised(parse("a:1 b:-0.99")) == [1.0, -0.99]
    assert normalised(parse("a:1 b:-1.5")) == [1.0, -1.5]
    assert normalised(parse("a:1 b:-4")) == [0.5, -2.0]
    assert normalised(parse("a:-1 b:-3")) == [-0.5, -1.5]
    with pytest.raises(PromptError, match=r"sum to zero.*negative prompt"):
        parse("a:0 b:0")
    with pytest.raises(PromptError, match="nan"):
        normalised([Fragment("a", math.nan, 0, 5)])


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("12:30 noon", ":30", ["digit", "' :30'", r"\:"]),
        ("16:9 aspect", ":9", ["digit"]),
        ("note: text", ":", ["no number"]),
        ("http://x", "://x", ["no number"]),
        ("a:1, b", ":1,", ["','", "':1 '"]),
        ("a:0,5 b", ":0,5", ["','", "':0.5 '"]),
        ("(cat:1.2)", ":1.2)", ["AUTOMATIC1111"]),
        (":2 a", ":2", ["no text before"]),
        (
            "a cat, <lora:add detail:0.8>, sitting",
            "<lora:add detail:0.8>",
            ["at character 7", "LoRA"],
        ),
        ("<LoRA:fur:1:0.5>", "<LoRA:fur:1:0.5>", ["<lora:name:0.8> in the prompt", "negative"]),
        ("a red apple <lora:>", "<lora:>", ["names no LoRA"]),
        ("<hypernet:fur:1>", "<hypernet:fur:1>", ["hypernetworks are not read"]),
        (
            "a hand, embedding:hands, five",
            "embedding:hands",
            ["write hands, or take its syntax, 'comfy'"],
        ),
        ("a castle, [fog]", "[fog]", ["at character 10", "'a1111'"]),
        ("a ((castle)) AND a dog", "((castle))", ["'a1111'"]),
        ("[a|b] c", "[a|b]", ["'a1111'"]),
        ("a cat AND a dog", "AND", ["'a1111'"]),
        ("a BREAK b", "BREAK", ["'a1111'"]),
    ],
)
def test_what_stays_text_says_how_to_make_it_a_weight_or_why_not(text, place, words):
    (trap,) = traps(text)
    assert isinstance(trap, Trap)
    assert text[trap.start : trap.end] == place
    assert all(word in trap.message for word in words), trap.message


def test_a_weight_in_the_name_of_a_lora_stays_a_weight():
    text = "a cat <lora:fur:0.8 > in grass:2"
    assert blocks(text) == [("a cat <lora:fur", 0.8), ("> in grass", 2.0)]
    assert [text[trap.start : trap.end] for trap in traps(text)] == [":fur"]
    assert [trap.start for trap in traps("<lora:a:1> at 12:30 <lora:b:1>")] == [0, 16, 20]


@pytest.mark.parametrize("text", [None, b"cat", 3])
def test_what_is_not_text_is_a_type_error(text):
    with pytest.raises(TypeError, match="prompt"):
        parse(text)
    with pytest.raises(TypeError, match="prompt"):
        traps(text)
