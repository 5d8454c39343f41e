"""The inspector's HTML: blocks, shares, tokens, what is cut off, traps, and nothing unescaped."""

import re

import pytest
from helpers.fakes import tokenizer
from hypothesis import given
from hypothesis import strategies as st

from sdnb.request import Request, Settings, prompt
from sdnb.widgets.form.form import Form
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


def test_where_another_chunk_begins_is_marked():
    shown = words(inspected("cat " * 80, tokenizer()))
    assert shown.endswith("77 + 7 tokens")
    first, second = shown.removesuffix("77 + 7 tokens").split("‖")
    assert (first.split(), second.split()) == (["cat"] * 75, ["cat"] * 5)
    blocks = words(inspected("a cat:1 " + "dog " * 90 + ":1", tokenizer()))
    assert "a cat 50% 4/77" in blocks
    assert blocks.endswith("50% 77 + 17 tokens")


@pytest.mark.parametrize(
    ("syntax", "text", "wanted"),
    [
        ("a1111", "a (cat:1.2), [fog]", "a cat × 1.2 , fog × 0.9091 6/77"),
        ("comfy", "a (cat:1.2), [fog]", "a cat × 1.2 , [fog] 8/77"),
        ("a1111", "a cat BREAK fog", "a cat BREAK ‖ fog 4 + 3 tokens"),
        ("a1111", "[a cat:fog:0.5]", "to step 10: a cat 4/77 to step 20: fog 3/77"),
        ("a1111", "(cat) AND (fog):2",
         "guides by 1 times cfg: cat × 1.1 3/77 guides by 2 times cfg: fog × 1.1 3/77"),
        ("a1111", "(a cat:1.5) AND a dog :0.5",
         "guides by 1 times cfg: a cat × 1.5 4/77 guides by 0.5 times cfg: a dog 4/77"),
        ("a1111", "cat AND fog",
         "guides by 1 times cfg: cat 3/77 guides by 1 times cfg: fog 3/77"),
        ("a1111", "a cat", ""),
    ],
)  # fmt: skip
def test_brackets_are_shown_as_their_syntax_reads_them(syntax, text, wanted):
    shown = inspected(text, tokenizer(), syntax)
    assert words(re.sub('<div class="sdnb-warn">.*?</div>', "", shown)) == wanted


@pytest.mark.parametrize(
    ("syntax", "text", "other"),
    [
        ("blocks", "a (cat:1.2)", "a1111"),
        ("blocks", "((cat)), fog", "a1111"),
        ("blocks", "a cat BREAK fog", "a1111"),
        ("blocks", "[cat:dog:0.5]", "a1111"),
        ("blocks", "a cat, embedding:bad-hands", "comfy"),
        ("a1111", "a castle:1 fog:0.5", "blocks"),
        ("comfy", "[cat:dog:0.5]", "a1111"),
        ("blocks", "a cat (sitting) at 12:30", None),
        ("blocks", "a castle:1 fog:0.5", None),
        ("a1111", "a (cat:1.2)", None),
    ],
)
def test_a_prompt_of_another_syntax_is_offered_to_be_read_so(syntax, text, other):
    asked = []
    inspector = Inspector(tokenizer(), asked.append)
    inspector.show(text, syntax)
    assert ("looks like a prompt of" in inspector.value) == (other is not None)
    if other is not None:
        inspector._button.click()
    assert asked == [other] * (other is not None)


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


@pytest.mark.parametrize(
    ("text", "wrong"),
    [("a cat AND a (dog:1.2.3)", ":1.2.3)"), ("[a:b:0.5] (dog:1.2.3)", "[a:b:0.5] (dog:1.2.3)")],
)
def test_a_wrong_weight_is_marked_where_it_stands_in_the_whole_prompt(text, wrong):
    shown = inspected(text, tokenizer(), "a1111")
    assert f"<del>{wrong}</del>" in shown


def test_a_weight_that_changes_nothing_is_said():
    assert "changes nothing" in inspected("a cat:2")
    assert "changes nothing" not in inspected("a cat at 12:30")
    assert "changes nothing" not in inspected("a cat")


def test_a_popular_embedding_that_the_model_has_not_is_said():
    assert "badhandv4 is a popular embedding" in inspected("(badhandv4:1.2)", embeddings=[])
    assert "popular" not in inspected("badhandv4", embeddings=["BadHandV4"])
    assert "popular" not in inspected("badhandv4")
    assert "popular" not in inspected("badhandv4", embeddings=[], warn=False)


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


def test_one_click_reads_both_prompts_in_the_offered_syntax():
    form = Form(Settings(), tokenizer())
    form.change(prompt="a (cat:1.2)")
    form._inspectors["prompt"]._button.click()
    assert form.request == Request("a (cat:1.2)", syntax="a1111")
    assert "looks like" not in form._inspectors["prompt"].value
