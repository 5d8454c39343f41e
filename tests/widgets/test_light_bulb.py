"""The light bulb: it goes through the examples, and asks before it takes own words away."""

import pytest
from helpers.fakes import Model, make
from helpers.widget_hands import called, find, press, read, status

from sdnb.jobs.executor import Inline
from sdnb.widgets.panel import Panel
from sdnb.widgets.upscale import UpscalePanel

QUESTION = "Replace what you typed?"


@pytest.fixture(params=[Panel, UpscalePanel])
def panel(request):
    return request.param(Model(), executor=Inline(make))


@pytest.mark.parametrize("empty", ["", "  \n"])
def test_examples_come_one_after_the_other(panel, empty):
    find(panel, "Prompt").value = empty
    for words in ("a red apple", "two owls", "a red apple"):
        press(panel, "Example")
        assert panel.request.prompt == words
        assert QUESTION not in read(panel)


@pytest.mark.parametrize(("answer", "words"), [("No", "a castle"), ("Yes", "a red apple")])
def test_own_words_are_replaced_only_by_yes(panel, answer, words):
    find(panel, "Prompt").value = "a castle"
    press(panel, "Example")
    assert panel.request.prompt == "a castle"
    assert QUESTION in status(panel)
    press(panel, answer)
    assert panel.request.prompt == words
    assert QUESTION not in read(panel)


def test_an_example_that_was_changed_is_own_words(panel):
    press(panel, "Example")
    find(panel, "Prompt").value = "a red apple on snow"
    press(panel, "Example")
    assert panel.request.prompt == "a red apple on snow"


def test_the_question_goes_when_something_is_changed(panel):
    find(panel, "Prompt").value = "a castle"
    press(panel, "Example")
    find(panel, "Prompt").value = "a castle in fog"
    assert not called(panel, "Yes")
