"""Numbers as they are written for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnb.request.plain_words import counted, digits


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_all_digits_of_a_number_are_written(number):
    assert float(digits(number)) == number


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (7, "7"),
        (7.0, "7"),
        (7.3, "7.3"),
        (0.63, "0.63"),
        (1e20, "1e+20"),
        (0.0, "0"),
        (1000.0, "1000"),
    ],
)
def test_no_digit_is_written_that_says_nothing(number, words):
    assert digits(number) == words


def test_one_of_a_thing_is_not_several():
    assert [counted(n, "step") for n in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]
    assert [counted(n, "pixel") for n in (0.5, 1.0)] == ["0.5 pixels", "1 pixel"]
    assert counted(12345, "byte") == "12,345 bytes"
