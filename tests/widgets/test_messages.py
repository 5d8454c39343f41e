"""What is said goes when it is over: with the next run, or when what was wrong is mended."""

import pytest
from helpers.fakes import Model, gated, make, until
from helpers.pictures import colour, encoded
from helpers.widget_hands import alert, find, press, read, status

from sdnb.jobs.executor import Inline, Worker
from sdnb.request import Request
from sdnb.widgets.grid.grid_tab import GridTab
from sdnb.widgets.panel import Panel
from sdnb.widgets.studio import Studio


@pytest.fixture
def studio(tmp_path):
    return Studio(Model(), executor=Inline(make), folder=tmp_path / "out")


def test_the_next_run_clears_what_was_said_of_the_last_picture(studio):
    panel = studio.panel
    panel.request = Request("a cat", seed=7)
    panel.generate()
    studio.gallery.choose(studio.gallery.pictures[0])
    press(studio.gallery, "Save")
    press(panel.view, "Use its seed")
    assert "Saved as" in status(studio.gallery)
    assert "The seed is 7" in status(panel.view)
    panel.generate()
    assert status(studio.gallery) == status(panel.view) == ""


def test_it_is_cleared_when_the_run_begins_and_not_before():
    gate, run = gated()
    panel = Panel(Model(), executor=Worker(run))
    panel.gallery.say("It is in the panel now.")
    panel.form.change(steps=1)
    assert "It is in the panel" in status(panel.gallery)
    job = panel.generate()
    until(lambda: job.progress is not None)  # it has begun: what is said from now on stays
    assert status(panel.gallery) == ""
    panel.gallery.say("This is of now.")
    gate.release()
    assert job.wait(60)
    assert "This is of now." in status(panel.gallery)


def test_the_pickers_message_is_there_until_the_next_run(studio):
    studio.picker._say("other: loaded in 2.0 s")
    studio.panels["txt2img"].generate()
    assert status(studio.picker) == ""


@pytest.mark.parametrize("taken", [None, encoded(colour(1, (8, 16)))])
def test_a_file_that_could_not_be_taken_is_said_until_the_next_run(taken):
    panel = Panel(Model(), "all", executor=Inline(make))
    box = panel.form.controls["image"]
    if taken:
        box.take(taken, "photo.png")
    box.take(b"GIF89a nonsense", "notes.txt")
    assert "notes.txt" in alert(box.widget)
    panel.generate()
    assert alert(box.widget) == ""
    assert ("16 × 8" in read(box.widget)) == bool(taken)


def test_a_grids_problem_goes_when_its_values_are_typed_again():
    tab = GridTab(Model(), {"txt2img": lambda: Request("a cat")}, lambda *_: None)
    (_, values), *_ = tab._axes
    values.value = "nonsense"
    assert tab.run() is None
    assert "nonsense" in alert(tab)
    values.value = "4, 8"
    assert alert(tab) == ""


def test_a_full_bar_goes_and_one_that_stopped_stays():
    gate, run = gated()
    panel = Panel(Model(), executor=Worker(run))
    bar = panel.progress._bar
    panel.form.change(steps=2)
    job = panel.generate()
    until(lambda: bar.layout.visibility == "visible")
    gate.release(2)
    assert job.wait(60)
    assert bar.layout.visibility == "hidden"
    job = panel.generate()
    gate.release()
    until(lambda: job.progress and job.progress.step == 1)
    panel.stop()
    gate.release()
    assert job.wait(60)
    assert bar.layout.visibility == "visible"
    assert "stopped at step" in panel.progress.line
    assert find(panel, "Generate")
