"""A button empties the prompt, and brings the words back."""

from helpers.fakes import Model, make
from helpers.widget_hands import called, find, press

from sdnb.jobs.executor import Inline
from sdnb.widgets.panel import Panel

EMPTY, BACK = "Empty the prompt", "Bring back the prompt that was emptied"


def panel():
    return Panel(Model(), executor=Inline(make))


def test_the_prompt_is_emptied_and_comes_back_with_one_press():
    one = panel()
    assert find(one, EMPTY).disabled
    find(one, "Prompt").value = "a castle"
    press(one, EMPTY)
    assert one.request.prompt == find(one, "Prompt").value == ""
    press(one, BACK)
    assert one.request.prompt == "a castle"
    press(one, EMPTY)  # again
    press(one, BACK)
    assert one.request.prompt == "a castle"


def test_other_words_take_the_place_of_those_that_went():
    one = panel()
    find(one, "Prompt").value = "a castle"
    press(one, EMPTY)
    find(one, "Negative").value = "fog"  # another box is no reason
    assert called(one, BACK)
    press(one, "Example")
    press(one, EMPTY)
    press(one, BACK)
    assert one.request.prompt == "a red apple"
