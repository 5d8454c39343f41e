"""The question before a picture that takes long: asked at the button, never in code."""

import pytest
from helpers.fakes import Model, make
from helpers.widget_hands import alert, called, find, press, status

from sdnb.jobs.executor import Inline
from sdnb.request import Request
from sdnb.request.pace import Times
from sdnb.widgets.panel import Panel
from sdnb.widgets.upscale import UpscalePanel
from sdnb.widgets.yes_or_no import LongRun


def slow(kind, minutes):
    """A panel whose next picture takes so long, by what its last run took."""
    panel = kind(Model(), executor=Inline(make))
    panel.request = Request("a cat", steps=6, width=64, height=64)
    each = minutes * 60 / sum(run.steps for run in panel._plan._runs)
    for run in panel._plan._runs:
        times = [step * each for step in range(run.steps + 1)]
        panel.model.pace.learn(run, Times(times, whole=times[-1]))
    return panel


@pytest.mark.parametrize("kind", [Panel, UpscalePanel])
def test_a_long_picture_begins_when_someone_says_so(kind):
    panel = slow(kind, 40)
    press(panel, "Generate" if kind is Panel else panel.GENERATE[0])
    assert panel.results == []
    assert status(panel).startswith("This takes about")
    press(panel, "No")
    assert (status(panel), panel.results) == ("", [])
    panel._pressed()  # as Ctrl+Enter does
    press(panel, "Yes")
    assert panel.result.request.prompt == "a cat"
    assert not called(panel, "Yes")


def test_others_begin_at_once():
    panel = slow(Panel, 14)
    press(panel, "Generate")
    assert len(panel.results) == 1
    panel = slow(Panel, 40)
    panel.generate()  # code knows what it does
    assert len(panel.results) == 1


def test_the_question_is_of_what_was_asked():
    panel = slow(Panel, 40)
    press(panel, "Generate")
    find(panel, "Steps").value = 1
    assert not called(panel, "Yes")
    panel.request = Request("a cat:1 a dog:-1", steps=6, width=64, height=64)
    press(panel, "Generate")  # an error is said, and nothing is asked
    assert "sum to zero" in alert(panel)
    assert not called(panel, "Yes")


def test_who_has_said_yes_is_asked_again_only_before_what_takes_much_longer():
    panel = slow(Panel, 40)
    assert "sdnb-warn" in panel._plan.value
    press(panel, "Generate")
    press(panel, "Yes")
    for run in panel._plan._runs:  # it is as slow as before, whatever this one took
        times = [step * 400 for step in range(run.steps + 1)]
        panel.model.pace.learn(run, Times(times, whole=times[-1]))
    assert "about 40 min" in panel._plan.value
    assert "sdnb-warn" not in panel._plan.value
    find(panel, "Steps").value = 7
    assert "sdnb-warn" not in panel._plan.value
    press(panel, "Generate")
    assert len(panel.results) == 2
    find(panel, "Steps").value = 12
    assert "sdnb-warn" in panel._plan.value
    press(panel, "Generate")
    assert status(panel).startswith("This takes about")
    assert len(panel.results) == 2


def test_enter_does_not_begin_what_takes_hours():
    asked = LongRun()
    focused = []
    asked.focus = lambda button: focused.append(button.description)
    assert asked.asks(20 * 60, lambda: None)
    assert asked.asks(165 * 3600, lambda: None)
    assert focused == ["Yes", "No"]
