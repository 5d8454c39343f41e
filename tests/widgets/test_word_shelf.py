"""Words in a panel: templates as one types them, earlier prompts, and prompt styles."""

import json

import pytest
from helpers.fakes import Model, make
from helpers.widget_hands import called, find, in_sight, press, read, status
from hypothesis import given, settings
from hypothesis import strategies as st

from sdnb import Library, PromptStyle, Request, Styles
from sdnb.images.made import Made
from sdnb.jobs.executor import Inline
from sdnb.request.prompt import expand
from sdnb.widgets import prompt_history, remembered, word_shelf
from sdnb.widgets.gallery.gallery import Gallery
from sdnb.widgets.panel import Panel
from sdnb.widgets.prompt_history import EarlierWords
from sdnb.widgets.upscale import UpscalePanel

BUTTON = "Earlier prompts and styles"


@pytest.fixture(params=[Panel, UpscalePanel])
def panel(request):
    return request.param(Model(), executor=Inline(make))


def ran(panel, prompt, negative=""):
    panel.form.change(prompt=prompt, negative=negative)
    press(panel, "Generate")


def opened(panel, kind="earlier prompts"):
    """The shelf, which is shown."""
    find(panel, BUTTON).value = True
    find(panel, "Show").value = kind
    return panel.words.shelf


def lines(panel):
    (listed,) = (
        part for part in in_sight(panel.words.shelf) if "sdnb-library" in part._dom_classes
    )
    return [button.description for button in listed.children]


# -- earlier prompts -------------------------------------------------------------------------------


def test_what_ran_is_listed_newest_first_and_once(panel):
    opened(panel)
    assert "listed here, newest first" in read(panel.words.shelf)
    for words in ("a cat", "a {red|blue} dog", "a cat"):
        ran(panel, words)
    ran(panel, "a cat", "fog")
    assert lines(panel) == ["a cat · without fog", "a cat", "a {red|blue} dog"]
    other = Panel(Model(), executor=Inline(make))  # of another session
    opened(other)
    assert lines(other) == lines(panel)


def test_a_click_takes_the_words_and_can_be_undone(panel):
    ran(panel, "a cat", "fog")
    panel.form.change(prompt="a long work", negative="")
    opened(panel)
    press(panel.words.shelf, "a cat · without fog")
    assert (panel.request.prompt, panel.request.negative) == ("a cat", "fog")
    press(panel.words.shelf, "Undo")
    assert (panel.request.prompt, panel.request.negative) == ("a long work", "")
    assert not called(panel.words.shelf, "Undo")


def test_lines_are_searched(panel):
    for words in ("a cat in snow", "a dog in snow", "a cat"):
        ran(panel, words)
    opened(panel)
    find(panel.words.shelf, "Search").value = "SNOW cat"
    assert lines(panel) == ["a cat in snow"]
    find(panel.words.shelf, "Search").value = "owl"
    assert "3 lines: none of them matches" in status(panel.words.shelf)


def test_remembering_is_switched_off_for_good_and_what_was_is_deleted(panel):
    ran(panel, "a cat")
    opened(panel)
    assert prompt_history.path().is_file()
    find(panel.words.shelf, "Remember prompts").value = False
    ran(panel, "a secret")
    assert lines(panel) == ["a cat"]
    press(panel.words.shelf, "Delete all")
    assert not prompt_history.path().exists()
    assert "listed here" in read(panel.words.shelf)
    assert json.loads(remembered.path().read_text())["remember_prompts"] is False
    other = Panel(Model(), executor=Inline(make))
    opened(other)
    assert find(other.words.shelf, "Remember prompts").value is False
    ran(other, "another secret")
    assert not prompt_history.path().exists()
    find(other.words.shelf, "Remember prompts").value = True
    ran(other, "a dog")
    assert lines(other) == ["a dog"]


def test_what_did_not_run_is_not_remembered():
    panel = Panel(Model(), executor=Inline(make))
    ran(panel, "__nothing__")
    ran(panel, "   ")
    assert not prompt_history.path().exists()


def test_the_file_stays_small(monkeypatch):
    monkeypatch.setattr(prompt_history, "MOST", 5)
    for number in range(10):
        assert prompt_history.remember(Request(f"cat {number}")) == ""
    prompt_history.remember(Request("x" * 100_000))
    kept, problem = prompt_history.recall()
    assert problem == ""
    assert kept == [EarlierWords(f"cat {number}") for number in (9, 8, 7, 6, 5)]


def test_the_template_is_remembered_and_not_what_was_chosen():
    prompt_history.remember(Request("a red cat", template="a {red|blue} cat"))
    assert prompt_history.recall() == ([EarlierWords("a {red|blue} cat")], "")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"prompts": 3}', b"\xff\xfe", b"[" * 5000, b'{"prompts": {"a": 1}}'],
)
def test_a_damaged_file_is_said_and_replaced(panel, content):
    prompt_history.path().parent.mkdir(parents=True, exist_ok=True)
    prompt_history.path().write_bytes(content)
    opened(panel)
    assert "could not be read" in status(panel.words.shelf)
    ran(panel, "a cat")
    assert lines(panel) == ["a cat"]
    assert status(panel.words.shelf) == ""


JSON = st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(
    st.sampled_from(["prompt", "negative", "x"]), x))  # fmt: skip


@settings(max_examples=30)
@given(st.lists(JSON))
def test_rows_of_any_kind_are_read_or_left_out(rows):
    prompt_history.path().parent.mkdir(parents=True, exist_ok=True)
    prompt_history.path().write_text(json.dumps({"prompts": rows}))
    kept, problem = prompt_history.recall()
    assert problem == ""
    assert all(isinstance(each.prompt, str) and isinstance(each.negative, str) for each in kept)


def test_a_place_that_cannot_be_written_is_said_and_stops_nothing(panel, place, monkeypatch):
    (place / "file").write_text("in the way")
    monkeypatch.setattr(remembered, "path", lambda: place / "file" / "settings.json")
    opened(panel)
    ran(panel, "a cat")
    assert panel.result is not None
    assert "could not be remembered" in status(panel.words.shelf)


# -- styles ----------------------------------------------------------------------------------------


@pytest.fixture
def webui(place):
    """A model with the library of a folder of AUTOMATIC1111."""
    (place / "webui" / "models" / "Lora").mkdir(parents=True)
    (place / "webui" / "wildcards").mkdir()
    (place / "webui" / "wildcards" / "animals.txt").write_text("cat\ndog\nfox\n")
    rows = 'name,prompt,negative_prompt\noil,"oil painting of {prompt}, thick",photo\n--- ,,\n'
    (place / "webui" / "styles.csv").write_text(rows)
    return Model(library=Library(place / "webui"))


def test_a_style_is_put_around_the_words_and_can_be_undone(webui):
    panel = Panel(webui, executor=Inline(make))
    panel.form.change(prompt="a cat", negative="fog")
    shelf = opened(panel, "styles")
    assert lines(panel) == ["oil: oil painting of {prompt}, thick · without photo", "---"]
    press(shelf, lines(panel)[0])
    assert panel.request.prompt == "oil painting of a cat, thick"
    assert panel.request.negative == "fog, photo"
    press(shelf, "Undo")
    assert (panel.request.prompt, panel.request.negative) == ("a cat", "fog")


def test_the_words_are_saved_as_a_style_of_ones_own(webui, place):
    panel = Panel(webui, executor=Inline(make))
    before = (place / "webui" / "styles.csv").read_bytes()
    shelf = opened(panel, "styles")
    panel.form.change(prompt="{prompt}, in ink", negative="colour")
    (name,) = (part for part in in_sight(shelf) if getattr(part, "placeholder", "") == "name")
    name.value = "oil"
    press(shelf, "Save as a style")
    assert "Saved as “oil”" in status(shelf)
    assert lines(panel) == ["oil: {prompt}, in ink · without colour", "---"]  # one's own is first
    wanted = {"oil": PromptStyle("oil", "{prompt}, in ink", "colour")}
    assert dict(Styles(word_shelf.styles_path())) == wanted
    assert (place / "webui" / "styles.csv").read_bytes() == before
    name.value = " "
    press(shelf, "Save as a style")
    assert "Not saved: give the style a name" in status(shelf)


def test_a_style_of_ones_own_can_be_removed_and_brought_back(webui, place):
    panel = Panel(webui, executor=Inline(make))
    before = (place / "webui" / "styles.csv").read_bytes()
    shelf = opened(panel, "styles")
    press(shelf, lines(panel)[0])
    assert not called(shelf, "Remove “oil”")  # it is in AUTOMATIC1111's file
    ink = PromptStyle("oil", "{prompt}, in ink")
    Styles(word_shelf.styles_path()).keep(ink)
    find(shelf, "Search").value = "ink"
    press(shelf, lines(panel)[0])
    press(shelf, "Remove “oil”")
    assert "“oil” is removed." in read(shelf)
    assert dict(Styles(word_shelf.styles_path())) == {}
    assert not called(shelf, "Remove “oil”")
    press(shelf, "Undo")
    assert dict(Styles(word_shelf.styles_path())) == {"oil": ink}
    word_shelf.styles_path().write_text("a,b\n")
    press(shelf, "Remove “oil”")
    assert status(shelf).startswith("Not removed: ")
    assert (place / "webui" / "styles.csv").read_bytes() == before


def test_a_file_of_styles_that_cannot_be_read_hides_no_other(webui):
    panel = Panel(webui, executor=Inline(make))
    word_shelf.styles_path().parent.mkdir(parents=True)
    word_shelf.styles_path().write_text("a,b\n")
    shelf = opened(panel, "styles")
    assert len(lines(panel)) == 2
    assert "is no table of styles" in status(shelf)


def test_without_styles_it_says_how_there_would_be(panel):
    assert "save the words above under a name" in read(opened(panel, "styles"))


# -- templates -------------------------------------------------------------------------------------


def test_a_template_is_shown_as_the_seed_chooses(webui):
    panel = Panel(webui, executor=Inline(make))
    template = "a {red|blue} __animals__"
    find(panel, "Prompt").value = template
    assert "One of its prompts: a" in read(panel.form.words)
    panel.form.change(seed=7)
    find(panel, "Prompt").value = template + " "
    words = expand(template + " ", 7, webui.library)
    assert f"With seed 7: {words.strip()}" in read(panel.form.words)
    find(panel, "Prompt").value = "a __animal__"
    assert "did you mean 'animals'" in read(panel.form.words)
    press(panel, "Generate")
    assert "did you mean 'animals'" in read(panel.progress)
    assert panel.result is None
    find(panel, "Prompt").value = "a {cat"
    assert "One of" not in read(panel.form.words)


def test_what_is_shown_is_what_runs_also_beside_a_choice_in_a_tag(panel):
    template = "<lora:x:{0.25|0.5|1}> {red|blue|green} cat"
    for seed in range(6):
        panel.form.change(prompt=template, seed=seed)
        words = expand(template, seed)
        assert f"With seed {seed}: {words}" in read(panel.form.words)


def test_the_weights_of_what_was_chosen_are_shown(panel):
    panel.form.change(seed=1, prompt="{a:1 b:3|a:1 b:3}")
    assert "75%" in read(panel.form.words)


def test_words_that_come_back_have_their_template_at_hand(panel):
    done = Request("a red cat", seed=3, template="a {red|blue} cat", width=64, height=64)
    panel.bring(done)
    assert panel.request.prompt == "a red cat"
    assert panel.request.template == "a {red|blue} cat"
    assert "chose of “a {red|blue} cat”" in read(panel)
    find(panel, "Prompt").value = "a red cat in snow"
    assert panel.request.template == ""
    assert not called(panel, "Take the template")
    panel.bring(done)
    press(panel, "Take the template")
    assert (panel.request.prompt, panel.request.template) == ("a {red|blue} cat", "")
    assert not called(panel, "Take the template")
    panel.bring(done)
    panel.bring(done.but(prompt="a dog"))
    assert not called(panel, "Take the template")


def test_marks_that_came_as_words_stay_words(panel):
    came = Request("{a|b}", template=r"\{a|b\}", seed=1)
    panel.bring(came)
    assert "With seed" not in read(panel.form.words)
    assert panel.request.template == came.template
    panel.form.change(steps=3)
    assert panel.request.template == came.template


def test_each_picture_of_a_gallery_has_its_own_words():
    one, two = (Request(f"a {c} cat", seed=i, template="a {red|blue} cat", width=64, height=64)
                for i, c in enumerate(("red", "blue")))  # fmt: skip
    asked = one.but(prompt="a {red|blue} cat", count=2).resolved(Model().settings)
    result = next(at.result for at in make(asked) if at.result)
    several = Made.of(result, 5)
    gallery = Gallery()
    gallery.add(type(result)(**{**vars(several.result()), "requests": (one, two)}))
    assert sorted(each.request.prompt for each in gallery.pictures) == ["a blue cat", "a red cat"]
