"""AUTOMATIC1111's and ComfyUI's prompts against what their own parsers give for these texts."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sdnb.request import SYNTAXES
from sdnb.request.prompt import PromptError, check, parse, parts, traps

# Text, A1111's runs, ComfyUI's runs.
WEIGHTS = [
    ("((a:1.2):1.5)", [("a", 1.8)], [("a", 1.2)]),
    ("((a):1.5)", [("a", 1.65)], [("a", 1.65)]),
    ("((a))", [("a", 1.21)], [("a", 1.21)]),
    ("(a, (b:1.2) c:0.5)", [("a, ", 0.5), ("b", 0.6), (" c", 0.5)],
     [("a, ", 0.5), ("b", 1.2), (" c", 0.5)]),
    ("(a: 1.2 )", [("a", 1.2)], [("a", 1.2)]),
    ("(a:.5)", [("a", 0.5)], [("a", 0.5)]),
    ("(a:-1)", [("a", -1)], [("a", -1)]),
    ("(a:b:1.2)", [("a:b", 1.2)], [("a:b", 1.2)]),
    ("(a:1,2)", [("a:1,2", 1.1)], [("a:1,2", 1.1)]),
    ("[a]", [("a", 1 / 1.1)], [("[a]", 1)]),
    ("(a)(b)", [("ab", 1.1)], [("a", 1.1), ("b", 1.1)]),
    ("a) b", [("a) b", 1)], [("a) b", 1)]),
    ("a) b (c:2)", [("a) b ", 1), ("c", 2)], [("a) b (c:2)", 1)]),
    (r"\(a\) \[b\] \\", [(r"(a) [b] \ "[:-1], 1)], [(r"(a) \[b\] \\", 1)]),
    ("un(happy:1.2)", [("un", 1), ("happy", 1.2)], [("un", 1), ("happy", 1.2)]),
    ("((a)", [("a", 1.21)], [("(a", 1.1)]),
    ("(:1.2)", [("", 1)], [(":1.2", 1.1)]),
    ("", [("", 1)], [("", 1)]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "a1111", "comfy"), WEIGHTS)
def test_weights(text, a1111, comfy):
    for syntax, wanted in (("a1111", a1111), ("a1111_no_norm", a1111), ("comfy", comfy)):
        (part,) = parts(text, syntax)
        ((_, words),) = part.stages
        found = [(f.text, f.weight) for f in parse(words, syntax)]
        assert found == [(run, pytest.approx(weight, abs=1e-12)) for run, weight in wanted]


def runs(text):
    return ["BREAK" if f.breaks else (f.text, f.weight) for f in parse(text, "a1111")]


def test_breaks():
    assert runs("a BREAK (b:2)BREAK c") == [
        ("a", 1), "BREAK", ("", 1), ("b", 2), ("", 1), "BREAK", ("c", 1),
    ]  # fmt: skip
    assert runs("BREAKFAST, break") == [("BREAKFAST, break", 1)]
    inside = runs("(a BREAK b:1.2)")  # there it is a word of the opposite weight
    assert inside == [("a", 1.2), ("BREAK", -1.2), ("b", 1.2)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a cat AND a dog:1.2 AND fog:-0.5", [("a cat", 1), (" a dog", 1.2), (" fog", -0.5)]),
        ("a:1 b:0.5", [("a:1 b", 0.5)]),
        ("(a:1.2", [("(a", 1.2)]),
        ("ANDROID and a", [("ANDROID and a", 1)]),
        ("(a AND b:1.2)", [("(a", 1), (" b:1.2)", 1)]),
        ("a:1,2", [("a:1,2", 1)]),
        ("a cat # not: a dog AND\nin fog", [("a cat" + 17 * " " + "\nin fog", 1)]),
    ],
)
def test_parts(text, wanted):
    found = parts(text, "a1111")
    assert [(part.stages[0][1], part.weight) for part in found] == wanted
    assert "".join(text[part.start : part.end] for part in found) == text
    (negative,) = parts(text, "a1111", negative=True)
    assert negative.weight == 1


# Texts by the step until which they last, of 10.
STAGES = [
    ("[a:b:0.5]", [(5, "a"), (10, "b")]),
    ("[a:b:0]", [(10, "b")]),
    ("[a:b:1.0]", [(10, "a")]),
    ("[a:b:3]", [(3, "a"), (10, "b")]),
    ("[a:1.3]", [(10, "")]),
    ("[a:1]", [(1, ""), (10, "a")]),
    ("[a::0.3] b", [(3, "a b"), (10, " b")]),
    ("[[a:b:.5]:c:.8]", [(5, "a"), (8, "b"), (10, "c")]),
    ("[a: b : 4 ] (c [d:2]:1.2)", [(2, "a (c :1.2)"), (4, "a (c d:1.2)"), (10, " b  (c d:1.2)")]),
    ("x] [a:b:2] [y", [(2, "x] a [y"), (10, "x] b [y")]),
    ("[a:b:c:.5]", [(10, "[a:b:c:.5]")]),  # no such form
    ("[(x:y:2) a:b:2]", [(10, "[(x:y:2) a:b:2]")]),
    ("[a|[b|c]:2]", [(10, "[a|[b|c]:2]")]),
    ("a | [b:c:2]", [(10, "a | [b:c:2]")]),  # the grammar fails on a bar
]


@pytest.mark.parametrize(("text", "wanted"), STAGES)
def test_stages(text, wanted):
    assert list(parts(text, "a1111", 10)[0].stages) == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[a:b:3]", "aaaabbbbbb"),  # a step longer than it says
        ("[a|b]", "aababababa"),
        ("[a|b|c]", "aabcabcabc"),
        ("[[a|b]:c:4]", "aababccccc"),
    ],
)
def test_the_schedule_is_looked_up_with_a_counter_that_begins_at_0(text, words):
    (part,) = parts(text, "a1111", 10)
    assert "".join(part.at(i) for i in range(10)) == words
    assert part.at(99) == part.stages[-1][1]


PIECES = st.lists(
    st.sampled_from(
        ["(", ")", "[", "]", ":", "|", "\\", "1.2", ":1.2)", ":.5]", " ", "a", "cat", "BREAK",
         "AND", "#", "\n", "..", "1e999", ":nan)", "embedding:x", "\ud800", "(((", ")))"]
    )
).map("".join)  # fmt: skip


@given(st.text() | PIECES, st.sampled_from(SYNTAXES), st.integers(1, 30))
@settings(deadline=None)
@example("(" * 150, "a1111", 5)
@example("(" * 150 + ")" * 150, "comfy", 5)
@example("(a:1.2.3)", "a1111", 5)
@example("(a:nan)", "comfy", 5)
@example("a:" + "9" * 400, "a1111", 5)
def test_no_character_is_lost_and_nothing_but_its_own_error_is_raised(text, syntax, calls):
    try:
        found = parts(text, syntax, calls)
        assert "".join(text[part.start : part.end] for part in found) == text
        for part in found:
            assert part.stages[-1][0] == calls
            assert [until for until, _ in part.stages] == sorted({u for u, _ in part.stages})
            for _, words in part.stages:
                runs = parse(words, syntax)
                assert "".join(words[f.start : f.end] for f in runs) == words
        traps(text, syntax, calls)
        check(text, text, syntax, calls)
    except PromptError as error:
        assert 0 <= error.start < error.end <= len(text)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    ("syntax", "text", "said"),
    [
        ("a1111", "a cat, [dog:1.3]", "adds 'dog' after step 26 of 20, never"),
        ("a1111", "a cat:1 fog:0.5", "weighs the whole prompt: cfg times 0.5"),
        ("a1111", "a cat # or a dog", "'# or a dog' is a comment"),
        ("comfy", "a cat BREAK [fog]", "AUTOMATIC1111's, 'a1111', reads it"),
        ("blocks", "(cat:1.2)", "'a1111'"),
    ],
)
def test_what_may_be_meant_otherwise_is_said(syntax, text, said):
    assert said in " ".join(trap.message for trap in traps(text, syntax))


def test_an_unknown_syntax_is_named():
    with pytest.raises(ValueError, match=r"syntax='auto'.*blocks, a1111"):
        parse("a", "auto")
