"""Templates of prompts: against the documentation of sd-dynamic-prompts, and its own library."""

import itertools
import math
import random
from collections import Counter

import pytest
from dynamicprompts.generators import CombinatorialPromptGenerator
from hypothesis import example, given, settings
from hypothesis import strategies as st

import sdnb
from sdnb.request import Request, words
from sdnb.request.prompt import PromptError, Wildcards, check, every, expand, is_template, literal

LISTS = {
    "seasons": ["summer", "{autumn|fall}", "winter"],
    "flavours": ["chocolate", "vanilla"],
    "africa": ["Zimbabwean", "Basotho"],
    "world": ["__africa__", "__asia__"],
    "asia": ["Thai"],
    "colours-cold": ["blue", "green"],
    "colours-warm": ["red", "green"],
    "light/day": ["noon"],
    "light/deep/night": ["moon"],
    "weighed": ["3::often", "never 2::this", "0::off"],
}


# A template, and what can become of it: the examples of the documentation, and this house's rules.
@pytest.mark.parametrize(
    ("template", "prompts"),
    [
        ("{summer|autumn} is coming", ["summer is coming", "autumn is coming"]),
        ("{0.5::summer|0.1::autumn}", ["summer", "autumn"]),
        ("{2$$a|b|c}", ["a, b", "a, c", "b, a", "b, c", "c, a", "c, b"]),
        ("{2$$ and $$A|B|C}", ["A and B", "A and C", "B and A", "B and C", "C and A", "C and B"]),
        ("{1-2$$ and $$a|b}", ["a", "b", "a and b", "b and a"]),
        ("{-2$$a|b}", ["a", "b", "a, b", "b, a"]),
        ("{1-$$a|b}", ["a", "b", "a, b", "b, a"]),
        ("{4$$a|b}", ["a, b", "b, a"]),
        ("{0-1$$a|b}", ["", "a", "b"]),
        ("{2-1$$a|b}", ["a", "b", "a, b", "b, a"]),
        ("{2$$|$$a|b}", ["a|b", "b|a"]),
        ("{~a|b} {2$$ $$a|b}", ["a a b", "a b a", "b a b", "b b a"]),
        ("a {b|{c|d}} {|e}", ["a b ", "a b e", "a c ", "a c e", "a d ", "a d e"]),
        ("{a|a|b}", ["a", "b"]),
        ("{2::a}", ["a"]),
        ("{0::a|b}", ["b"]),
        ("I love __seasons__", ["I love summer", "I love autumn", "I love fall", "I love winter"]),
        ("{2$$__flavours__}", ["chocolate, vanilla", "vanilla, chocolate"]),
        ("{__asia__|x}", ["Thai", "x"]),
        ("__world__", ["Zimbabwean", "Basotho", "Thai"]),
        ("__~asia__", ["Thai"]),
        ("__ASIA__", ["Thai"]),
        ("__colours*__", ["blue", "green", "red"]),
        ("__colours-[a-d]*__", ["blue", "green"]),
        ("__colours-?arm__", ["red", "green"]),
        ("__light/**__", ["noon", "moon"]),
        ("__light/*__", ["noon"]),
        ("__light/**/*__", ["noon", "moon"]),
        ("__night__", ["moon"]),
        ("__deep/night__", ["moon"]),
        ("__weighed__", ["often", "never 2::this"]),
        # spaces, lines and comments
        ("{\n  wood\n  | glass\n  # | air\n}, old", ["wood, old", "glass, old"]),
        ("# a note\na {b|c}", ["a b", "a c"]),
        ("{big |}dog", ["big dog", "dog"]),
        ("a {b|c} # no note", ["a b # no note", "a c # no note"]),
        ("#1 {b|c}", ["#1 b", "#1 c"]),
        # what is text
        (r"\{a|b\} {c|d}", ["{a|b} c", "{a|b} d"]),
        (r"{a\|b|c\$$d}", ["a|b", "c$$d"]),
        (r"\(a\) \: {b|\\}", [r"\(a\) \: b", r"\(a\) \: \\"]),
        (r"\__asia\__ {b|c}", ["__asia__ b", "__asia__ c"]),
        ("{a} {b|c}", ["{a} b", "{a} c"]),
        ("{a {b|c}}", ["{a b}", "{a c}"]),
        ("{a {b|c}", ["{a b", "{a c"]),
        ("[a|b] {[c|d]|(e:1.3)}", ["[a|b] [c|d]", "[a|b] (e:1.3)"]),
        ("[{red|blue}|x:3]", ["[red|x:3]", "[blue|x:3]"]),
        ("(a:1.3) <lora:{x|y}:0.5>", ["(a:1.3) <lora:x:0.5>", "(a:1.3) <lora:y:0.5>"]),
        ("a:{1|2} b:0.5", ["a:1 b:0.5", "a:2 b:0.5"]),
        ("$5, 50% of {a|b} https://x.y", [f"$5, 50% of {x} https://x.y" for x in "ab"]),
        ("a__nobody__c {d|e}", ["a__nobody__c d", "a__nobody__c e"]),
    ],
)  # fmt: skip
def test_a_template_becomes_each_of_its_prompts_and_no_other(template, prompts):
    assert list(every(template, LISTS)) == prompts
    assert {expand(template, seed, LISTS) for seed in range(400)} == set(prompts)
    assert is_template(template, LISTS)


@pytest.mark.parametrize(
    "text",
    ["", "a cat", "{a}", "{}", "a { b", "a } b", "|", "[a|b]", "[a:b:3]", "(a:1.2)", "a:1 b:0.5",
     "<lora:my__lora__x:1>", "__", "____", "a__b__c", "# a note", "#1", r"\(a\)", "\\", "{{a}}",
     "{note: 5$ a}", "__ a __", "{a::b}", "__ab\ncd__", "${name}", "$ {x}"],
)  # fmt: skip
def test_a_text_without_a_template_stays_as_it_is(text):
    assert expand(text, 7) == text == expand(literal(text), 7)
    assert list(every(text)) == [text]
    assert every(text).template == ""
    assert not is_template(text)
    request = Request(text, negative=text, seed=7)
    assert words.settled(request) is request


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("__flavour__", "no list 'flavour'; did you mean 'flavours'?"),
        ("a __light/dai__", "no list 'light/dai'; did you mean 'light/day'?"),
        ("a __broken__", "in the list 'broken', .*: the weights"),
        ("__x__", r"write \\__x\\__"),
        ("__endless__", "the lists endless hold one another"),
        ("{0::a|0::b}", "all 0"),
        ("__empty__", "'empty' has no line"),
        ("${x={a|b}} ${x}", "a variable of dynamic prompts"),
        ("{red|blue|2$$a|b}", r"2\$\$ in the braces at character 0 .*, {a\|{2\$\$b\|c}}"),
        ("{@a|b}", "asks dynamic prompts for another order"),
        ("__@asia__", "asks dynamic prompts for another order"),
        ("{" * 101 + "a|b" + "}" * 101, "stands in 100 others"),
        ("__long__", "more than 100,000 letters"),
    ],
)
def test_what_cannot_be_done_is_said(template, said):
    lists = {
        **LISTS,
        "endless": ["a __endless__"],
        "empty": [],
        "broken": ["{0::a|0::b}"],
        "long": ["x" * 100_001],
    }
    for read in (lambda: expand(template, 3, lists), lambda: every(template, lists)):
        with pytest.raises(PromptError, match=said) as error:
            read()
        assert 0 <= error.value.start <= error.value.end <= len(template)


def test_without_any_list_it_is_said_where_lists_are_found():
    with pytest.raises(PromptError, match="folder wildcards of the model's library"):
        expand("__animals__", 1)


def test_the_seed_alone_decides_by_the_numbers_that_python_promises():
    for seed in range(50):
        draw = random.Random(seed).random
        first, second = int(draw() * 4), int(draw() * 3)
        assert expand("{a|b|c|d} {x|y|z}", seed) == f"{'abcd'[first]} {'xyz'[second]}"


def test_weights_are_shares():
    found = Counter(expand("{3::red|blue}", seed) for seed in range(4000))
    assert found["red"] / 4000 == pytest.approx(0.75, abs=0.03)
    lines = Counter(expand("__w__", seed, {"w": ["1::a", "3::b"]}) for seed in range(4000))
    assert lines["b"] / 4000 == pytest.approx(0.75, abs=0.03)
    both = Counter(expand("{2$$8::a|b|c}", seed).split(", ")[0] for seed in range(4000))
    assert both["a"] / 4000 == pytest.approx(0.8, abs=0.03)  # the first; none comes twice


WORDS = st.text("abc de", min_size=1, max_size=4).map(str.strip).filter(bool)
DISTINCT = st.lists(WORDS, min_size=2, max_size=4, unique=True)


@given(st.lists(DISTINCT, min_size=1, max_size=4))
def test_every_combination_is_the_product(options):
    template = " / ".join("{" + "|".join(each) + "}" for each in options)
    found = every(template)
    assert list(found) == [" / ".join(each) for each in itertools.product(*options)]
    assert len(found) == math.prod(map(len, options))
    assert found.template == template


@given(DISTINCT, st.integers(0, 3), st.integers(0, 3))
def test_so_many_of_them_are_all_orders(options, low, more):
    found = every("{%d-%d$$;$$%s}" % (low, low + more, "|".join(options)))  # noqa: UP031
    most = min(low + more, len(options))
    counts = range(min(low, most), most + 1)
    assert len(found) == sum(math.perm(len(options), count) for count in counts)


@st.composite
def documented(draw, words=None, depth=2):
    """A template of what the documentation has, each word once: of equal ones the library makes
    nothing.
    """
    words = itertools.count() if words is None else words
    parts = []
    for _ in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from(["text", "pick", "several"] if depth else ["text"]))
        if kind == "text":
            parts.append(draw(st.sampled_from(["w{}", "x{}, y", "(b{}:1.2)"])).format(next(words)))
        else:
            number = draw(st.integers(2, 3))
            options = [draw(documented(words, depth - 1)) for _ in range(number)]
            count = draw(st.sampled_from(["1$$, $$", "2$$ and $$", "1-2$$ - $$", "-2$$;$$"]))
            parts.append("{" + (count if kind == "several" else "") + "|".join(options) + "}")
    return " ".join(parts)


@pytest.mark.slow
@settings(max_examples=50)
@given(documented())
def test_all_prompts_are_those_of_the_library_dynamicprompts(template):
    try:
        ours = list(every(template, most=300))
    except ValueError as error:
        if "more than 300 combinations" not in str(error):
            raise
        return
    theirs = CombinatorialPromptGenerator().generate(template, 400)
    assert sorted(" ".join(each.split()) for each in ours) == sorted(
        " ".join(each.split()) for each in theirs
    )


MARKS = st.lists(
    st.sampled_from([*"{}|$#\\_[]():ab 1\n", "$$", "::", "__", "{a|b}", "2$$", "__asia__", "\\{"]),
    max_size=24,
).map("".join)


@given(MARKS, st.integers(0, 2**63 - 1))
@example("{" * 3000, 0)
@example("{a|" * 99 + "}" * 99, 0)
@example("[a|" * 3000, 0)
@example("__a" * 3000, 0)
def test_any_text_becomes_a_text_or_our_own_error(text, seed):
    try:
        found = expand(text, seed, LISTS)
    except PromptError:
        return
    assert found == expand(text, seed, LISTS)
    if not is_template(text, LISTS):
        assert found == text
    try:
        assert found in every(text, LISTS, most=100)
    except ValueError as error:
        if "more than 100 combinations" not in str(error):
            raise


@given(MARKS)
def test_a_literal_text_means_itself(text):
    if "\\{" not in text and "\\}" not in text and "\\_" not in text and "\\\\" not in text:
        written = literal(text)
        assert expand(written, 3, LISTS).replace("\n", "") == text.replace("\n", "") or "#" in text


def test_too_many_combinations_are_refused_and_not_made():
    template = "{2$$" + "|".join(map(str, range(60))) + "}" * 1 + " {a|b|c}" * 40
    with pytest.raises(ValueError, match="more than 1,000 combinations; leave some"):
        every(template)
    same = "{8$$" + "|".join(["x", "{x|x}"] * 10) + "}"
    assert len(every(same)) == 1
    assert len(every("{a|b} {c|d}", most=4)) == 4
    with pytest.raises(ValueError, match="more than 3 combinations"):
        every("{a|b} {c|d}", most=3)


def test_places_of_lists():
    assert expand("__a__", 1, Wildcards({"a": ["b"]})) == "b"
    with pytest.raises(TypeError, match="no place of lists"):
        expand("__a__", 1, "folder")
    assert sdnb.every("{a|b}").prompts == ("a", "b")


# -- of a request ----------------------------------------------------------------------------------


def test_a_request_keeps_its_templates_beside_its_words():
    asked = Request("a {red|blue} __asia__", negative="{x|y}", seed=5, steps=3)
    done = words.settled(asked, LISTS)
    assert done.prompt == expand(asked.prompt, 5, LISTS)
    assert (done.template, done.negative_template) == (asked.prompt, asked.negative)
    assert done.negative in ("x", "y")
    assert done.steps == 3
    assert words.settled(done, LISTS) is done  # what ran is not chosen again
    assert Request.from_json(done.to_json()) == done
    assert done.but(steps=4).template == done.template
    assert done.but(seed=6).prompt == done.prompt
    changed = done.but(prompt="a green Thai")
    assert (changed.template, changed.negative_template) == ("", asked.negative)


def test_picture_i_has_the_words_of_seed_plus_i():
    asked = Request("{a|b|c|d} cat", seed=3, count=4)
    several = words.each_settled(asked)
    alone = [words.settled(asked.but(seed=3 + i, count=1)) for i in range(4)]
    assert several == alone
    assert [each.count for each in several] == [1] * 4
    assert words.each_settled(Request("a cat", count=4)) == [Request("a cat", count=4)]
    drawn = words.each_settled(Request("{a|b} cat", count=2))
    assert drawn[1].seed == drawn[0].seed + 1


def test_words_chosen_are_text_whatever_they_hold():
    done = words.settled(Request(r"\{a|b\} {c|d}", seed=1))
    assert done.prompt.startswith("{a|b}")
    assert words.settled(done) is done
    old = Request.from_json('{"version": 2, "prompt": "{a|b}", "negative": "c"}')
    assert old.prompt == "{a|b}"
    assert words.settled(old) is old  # marks in what an earlier sdnb wrote are text
    assert words.settled(Request.from_json(old.to_json())).prompt == "{a|b}"
    new = Request.from_json('{"version": 3, "prompt": "{a|b}"}')
    assert words.settled(new).prompt in ("a", "b")


def test_how_a_template_is_written_is_checked_before_its_words_are_chosen():
    check("{a:1 b:-1|c}", "", "blocks")  # the weights of one alternative would sum to zero
    with pytest.raises(PromptError, match="variable"):
        check("${x={a|b}}", "", "blocks")
    check("<lora:x:{0.5|1}> a", "", "a1111")
