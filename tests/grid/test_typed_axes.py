"""Axes as they are typed: values, ranges as other programs write them, texts in quotes."""

import csv
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sdnb
from sdnb import Lora
from sdnb.grid import control_axis
from sdnb.grid.typed_axes import HOW, label, parsed
from sdnb.request import RANGES


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("steps", " 5, 10,20, ", [5, 10, 20]),
        ("cfg", "2, 7.5", [2, 7.5]),
        ("steps", "5-20(+5)", [5, 10, 15, 20]),
        ("steps", "5-20 (+5)", [5, 10, 15, 20]),
        ("steps", " 5 - 22 ( 5 ) ", [5, 10, 15, 20]),
        ("steps", "1-3", [1, 2, 3]),
        ("steps", "1–3", [1, 2, 3]),  # as a telephone writes it
        ("steps", "3-1", [3, 2, 1]),
        ("steps", "10-5 (-3)", [10, 7]),
        ("steps", "7-7", [7]),
        ("steps", "1-3, 8, 10-20 (+5)", [1, 2, 3, 8, 10, 15, 20]),
        ("cfg", "0.5-1.0 (+0.1)", [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        ("cfg", "1-3 (+0.5)", [1, 1.5, 2, 2.5, 3]),
        ("steps", "1-10 [4]", [1, 4, 7, 10]),
        ("steps", "[1:10:4]", [1, 4, 7, 10]),
        ("steps", "1-10 [5]", [1, 3, 5, 7, 10]),  # the whole part of 3.25, 5.5 and 7.75
        ("cfg", "0.0-1.0 [6]", [0, 0.2, 0.4, 0.6, 0.8, 1]),
        ("cfg", "1e-3, .5", [0.001, 0.5]),
        ("seed", "9223372036854775805-9223372036854775806", [2**63 - 3, 2**63 - 2]),
        ("sampler", "ddim, heun", ["ddim", "heun"]),
        ("prompt", 'a dog, "a cat, small"', ["a dog", "a cat, small"]),
        ("prompt", "a cat, small | a dog", ["a cat, small", "a dog"]),
        ("prompt", '"a | b", c', ["a | b", "c"]),
        ("prompt_sr", "cat, dog,,", ["cat", "dog"]),
        ("prompt_sr", 'fog, ""', ["fog", ""]),
        ("prompt_sr", 'a 5" nail , "the ""big"" one" , x', ['a 5" nail', 'the "big" one', "x"]),
        ("weight", "fog: 0, 0.5, 1", ("fog", [0, 0.5, 1])),
        ("weight", "fog:-1-1 (+0.5)", ("fog", [-1, -0.5, 0, 0.5, 1])),
        ("lora", "pixelart: 0, 0.5, 1", ("pixelart", [0, 0.5, 1])),
        ("lora", "styles/a b: 0-1(+0.25)", ("styles/a b", [0, 0.25, 0.5, 0.75, 1])),
        ("loras", "none, fog, a + fog:.5", [(), (Lora("fog"),), (Lora("a"), Lora("fog", 0.5))]),
        ("loras", 'a: -1, "b, c"', [(Lora("a", -1),), (Lora("b, c"),)]),
        ("clip_skip", "1-3", [1, 2, 3]),
        ("control_scale", "0, 0.5", [0, 0.5]),
        ("control_end", "[0:1:3]", [0, 0.5, 1]),
        ("control_scale", "nets/canny.pth: 0-1 (+0.5)", ("nets/canny.pth", [0, 0.5, 1])),
        ("control_net", "canny, lllyasviel/sd-tile", ["canny", "lllyasviel/sd-tile"]),
        (
            "control_net",
            r'canny: soft, "C:\nets\a, b.pth"',
            ("canny", ["soft", r"C:\nets\a, b.pth"]),
        ),
        ("control_hint", r"C:\a b.png, c.png", [r"C:\a b.png", "c.png"]),
        ("weight", "at 12\\:30: [0:1:3]", ("at 12\\:30", [0, 0.5, 1])),
    ],
)
def test_what_is_typed_is_a_list(name, text, values):
    assert parsed(name, text) == values
    if name in ("steps", "seed"):
        assert all(type(value) is int for value in parsed(name, text))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("steps", "", "steps has no values; type numbers or ranges, with commas: 5, 10"),
        ("steps", "5, ten", "steps: 'ten' is no whole number and no range; type numbers or ranges"),
        ("steps", "5.5", "'5.5' is no whole number and no range"),
        ("steps", "5-20 (*5)", "'5-20 (*5)' is no whole number and no range"),
        ("steps", "5-20 (5", "'5-20 (5' is no whole number and no range"),
        ("steps", "[1:10]", "'[1:10]' is no whole number and no range"),
        ("cfg", "2; 4", "CFG: '2; 4' is no number and no range; type numbers"),
        ("steps", "20-5(+5)", "'20-5(+5)' never gets from 20 to 5 by steps of +5; type"),
        ("steps", "1-5 (0)", "'1-5 (0)' never gets from 1 to 5 by steps of 0"),
        ("steps", "1-10 [1]", "'1-10 [1]' with a count of 1 does not get from 1 to 10"),
        ("steps", "1-3 [5]", "'1-3 [5]' has fewer than 5 different whole numbers"),
        ("steps", "1-3 (+0.5)", "'1-3 (+0.5)' holds what is no whole number"),
        ("steps", "1.5-3 [2]", "'1.5-3 [2]' holds what is no whole number"),
        ("seed", "1-999999999", "has 999999999 values, and an axis has 1000 at most"),
        ("seed", "0-1 [999999999]", "has 999999999 values, and an axis has 1000 at most"),
        ("steps", "9" * 5000, "is no whole number and no range"),
        ("weight", "fog 0.5", "weight of a block: 'fog 0.5' has no colon behind the name"),
        ("lora", "pixelart 0.5", "'pixelart 0.5' has no colon behind the name; type its name"),
        ("control_scale", "0, much", "scale of a control: 'much' is no number and no range; type"),
        ("loras", "a + ", "the name of a LoRA is empty"),
        ("prompt_sr", 'cat, "fox, red', "words replaced: in '\"fox, red' a quote is not closed"),
        ("prompt", '"a" b, c', "prompt: in '\"a\" b, c' a quote is not closed, or not around"),
    ],
)
def test_what_is_no_list_is_said(name, text, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        parsed(name, text)


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 9))
def test_a_range_with_a_step_is_numpys(start, end, tenths):
    """In tenths, up and down: never past the end, and no number is off in its last bit."""
    sign = 1 if end >= start else -1
    text = f"{start / 10}-{end / 10} ({sign * tenths / 10:+})"
    exact = np.arange(start, end + sign, sign * tenths)
    assert parsed("cfg", text) == [float(Fraction(int(n), 10)) for n in exact]


@given(st.integers(-99, 99), st.integers(1, 99), st.integers(2, 30))
def test_a_range_with_a_count_is_evenly_spaced(start, width, count):
    for text in (f"{start}-{start + width} [{count}]", f"[{start}:{start + width}:{count}]"):
        values = parsed("cfg", text)
        assert (len(values), values[0], values[-1]) == (count, start, start + width)
        assert values == pytest.approx(np.linspace(start, start + width, count))


@given(st.lists(st.text('ab ,"|', min_size=1).map(str.strip), min_size=1, max_size=4))
@pytest.mark.slow
def test_quoted_texts_are_those_of_csv(texts):
    line = ", ".join('"' + text.replace('"', '""') + '"' for text in texts)
    (row,) = csv.reader([line], skipinitialspace=True)
    assert parsed("prompt", line) == row == texts


@pytest.mark.parametrize("name", HOW)
def test_what_is_said_to_be_typed_can_be_typed(name):
    """Each example of each axis, by its own words."""
    if name in RANGES or name in ("weight", "lora") or name in control_axis.FIELDS:
        typed = HOW[name].partition(": ")[2].split(" or ")
    else:
        typed = [HOW[name].partition(": ")[2].partition("; ")[0]]
    assert typed
    for example in typed:
        values = parsed(name, example)
        values = values[1] if isinstance(values, tuple) else values
        assert len(values) >= 2
        assert label(name)
    if name in ("steps", "sampler", "cfg", "seed", "width"):
        assert len(sdnb.sweep(sdnb.Request("a cat"), **{name: values})) == len(values)
