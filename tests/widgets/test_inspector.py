"""The inspector's HTML: blocks, shares, tokens, what is cut off, traps, and nothing unescaped."""

import re

import pytest
from helpers.fakes import tokenizer
from hypothesis import given
from hypothesis import strategies as st

from sdnb.request import prompt
from sdnb.widgets.form.inspector import Inspector, inspected


def words(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html)).strip()


def test_blocks_with_their_shares_and_tokens():
    shown = inspected("picture of:1 small:0.5 cat:0.5", tokenizer())
    assert shown.count('class="sdnb-chip"') == 3
    assert words(shown) == "picture of 50% 4/77 small 25% 3/77 cat 25% 3/77"


def test_one_block_is_shown_where_its_tokens_are_nearly_used_up():
    assert inspected("a cat", tokenizer()) == inspected("a cat") == ""
    assert inspected("cat " * 60, tokenizer()) == ""
    assert words(inspected("cat " * 61, tokenizer())).endswith("63/77")
    assert "%" not in words(inspected("cat " * 61, tokenizer()))


def test_what_does_not_fit_is_struck_out():
    shown = inspected("cat " * 80, tokenizer())
    assert words(shown).startswith("Too long: 82 of 77 tokens")
    assert words(shown).endswith("82/77")
    assert shown.count("<del>") == 1
    assert words(re.search("<del>(.*?)</del>", shown)[1]).split() == ["cat"] * 5


def test_of_several_blocks_it_is_said_which_does_not_fit():
    shown = inspected("a cat:1 " + "dog " * 90 + ":1", tokenizer())
    assert words(shown).startswith("Block 2 is too long: 92 of 77 tokens")
    assert shown.count("too long") == 1


@pytest.mark.parametrize(
    "text", ["at 12:30", "16:9 picture", "note: a cat", "(cat:1.2)", "a cat <lora:fur:0.8>"]
)
def test_traps_are_explained(text):
    shown = inspected(text)
    assert shown.count("sdnb-warn") == len(prompt.traps(text)) == 1
    assert "stays text" in shown


def test_an_unusable_weight_is_marked_where_it_stands():
    shown = inspected("a cat:1 a dog:-1")
    assert "sum to zero" in shown
    assert "<del>" in shown


def test_a_weight_that_changes_nothing_is_said():
    assert "changes nothing" in inspected("a cat:2")
    assert "changes nothing" not in inspected("a cat at 12:30")
    assert "changes nothing" not in inspected("a cat")


@given(st.text())
def test_no_markup_of_a_prompt_reaches_the_page(text):
    shown = inspected(f"<script>{text}", tokenizer())
    assert "<script" not in shown
    assert set(re.findall(r"<(\w+)", shown)) <= {"div", "span", "b", "del", "i"}


def test_the_widget_takes_no_room_for_nothing():
    inspector = Inspector(tokenizer())
    inspector.show("")
    assert inspector.layout.display == "none"
    inspector.show("a cat")
    assert inspector.layout.display == "none"
    inspector.show("a cat:1 a dog:1")
    assert inspector.layout.display == ""
