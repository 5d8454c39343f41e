"""JSON and YAML of anybody: what is read, and that every other text is an error in words."""

import json
import math
import os
from pathlib import Path

import pytest

from sdnb.request import checks, documents


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1e-4\nb: 1.0e-04\nc: .5\nd: -3", {"a": 1e-4, "b": 1e-4, "c": 0.5, "d": -3}),
        ("a: [1, 2]\nb: {c: 'x: y'}", {"a": [1, 2], "b": {"c": "x: y"}}),
        ("a: ${oc.env:HOME}\nb: '${a}${a}'", {"a": "${oc.env:HOME}", "b": "${a}${a}"}),
        ("", None),
    ],
)
def test_yaml_is_what_stands_there(text, value):
    assert documents.from_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &a [x, x]\nb: *a", "an alias .* in line 2"),
        ("a: 1\na: 2", "the key 'a' comes twice"),
        ("- " * 50_000, "nested too deeply"),
        ("a: " + "9" * 5000, "5,000 digits"),
        ("a: 0x" + "f" * 5000, "5,002 digits"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("a: 2021-99-99", "month must be in"),
        ("a: [", "flow node"),
    ],
)
def test_other_yaml_is_an_error_of_a_line(text, words):
    with pytest.raises(ValueError, match=words) as caught:
        documents.from_yaml(text)
    assert len(str(caught.value)) <= 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a": 1' + "0" * 400 + "}", "401 digits"),
        ('{"a": 1' + "0" * 5000 + "}", "5,001 digits"),
        ("{", "Expecting"),
        (b"\xff\xfe{", "."),
    ],
)
def test_json_that_is_none_is_an_error_of_a_line(text, words):
    with pytest.raises(ValueError, match=words) as caught:
        documents.from_json(text)
    assert len(str(caught.value)) <= 300


def test_json_keeps_its_values():
    value = {"a": [1, -2.5, None, True, "ü"], "b": 2**64, "c": 1e300}
    assert documents.from_json(json.dumps(value)) == value
    assert math.isinf(documents.from_json("Infinity"))


@pytest.mark.slow
def test_long_json_may_be_long_for_its_texts_only():
    words = 'a [], \\" {}, ' * 1_500_000
    text = json.dumps({"a": words})
    assert len(text) > 2**24
    assert documents.from_json(text) == {"a": words}
    for part in ("[],", '"",'):
        with pytest.raises(ValueError, match="most of them not in texts"):
            documents.from_json("[" + part * 6_000_000 + "0]")


def test_a_pipe_and_a_large_file_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="not an ordinary file"):
        documents.file_text(tmp_path / "pipe", 10)
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbfabc")
    assert documents.file_text(tmp_path / "file", 6) == "abc"
    with pytest.raises(ValueError, match="6 bytes; at most 5 are read"):
        documents.file_text(tmp_path / "file", 5)
    assert not documents.file_text(Path("/proc/self/status"), 5)  # whose size is told as none


def test_nested_and_long_values_are_shown_in_a_line():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    doubled = "x"
    for _ in range(60):
        doubled = [doubled, doubled]
    for value in (deep, doubled, [10**5000], {"a": 10**5000}, ["x" * 10**6] * 10**5):
        assert len(checks.shown(value)) <= 90
