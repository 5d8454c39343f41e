"""What the button says in each tab: it makes the picture at once, or it waits, and for what."""

import gc
import threading
import weakref

import pytest
from helpers import grids
from helpers.fakes import Model, gated, until
from helpers.widget_hands import beside, called, find, press

import sdnb
from sdnb.jobs.executor import Worker
from sdnb.widgets.ahead import line_of
from sdnb.widgets.grid.grid_view import GridView
from sdnb.widgets.panel import Panel
from sdnb.widgets.studio import Studio

pytestmark = pytest.mark.slow


class Tabs:
    """A studio whose runs wait at the gate for each step."""

    def __init__(self, folder):
        self.gate, run = gated()
        self.worker = Worker(run)
        self.studio = Studio(Model(), executor=self.worker, folder=folder)

    def begin(self, name, count=1):
        """Press the button of a tab, and wait for the first step."""
        self.panel(name).form.change(count=count)
        job = self.panel(name).generate()
        self.gate.release()
        until(lambda: job.progress and job.progress.step == 1)
        return job

    def panel(self, name):
        return self.studio.panels[name]

    def said(self, name):
        """The button's label, and the line below it."""
        (button,) = called(self.panel(name), "Generate") + called(self.panel(name), "Queue")
        return button.description, beside(self.panel(name), "Stop")

    def marked(self):
        """The places of the tabs that are marked."""
        marks = (name for name in self.studio._tabs._dom_classes if name.startswith("sdnb-runs-"))
        return sorted(int(name.rpartition("-")[2]) for name in marks)

    def finish(self):
        for _ in range(60):
            self.gate.release()
        until(lambda: not self.worker.jobs)


@pytest.fixture
def tabs(tmp_path):
    tabs = Tabs(tmp_path)
    yield tabs
    tabs.finish()


def test_each_tab_says_what_it_waits_for_and_begins_at_once_where_nothing_is(tabs):
    assert tabs.said("txt2img") == ("Generate", "")
    tabs.begin("txt2img")
    assert tabs.said("txt2img") == ("Queue", "next: after this picture")
    # One that is there and one that is built while it runs.
    assert tabs.said("upscale") == ("Queue", "txt2img: step 1/5")
    waits = tabs.panel("upscale").generate()
    for name in ("txt2img", "upscale"):
        assert tabs.said(name) == ("Queue", "next: after 2 others")
    line = tabs.panel("upscale").progress.line
    assert line.startswith("waiting for the picture of txt2img: ")
    waits.stop()
    assert tabs.said("txt2img") == ("Queue", "next: after this picture")
    tabs.finish()
    until(lambda: tabs.said("upscale") == ("Generate", ""))
    until(lambda: tabs.said("txt2img") == ("Generate", ""))


def test_a_tab_in_which_something_runs_or_waits_is_marked(tabs):
    assert tabs.marked() == []
    tabs.begin("txt2img")
    assert tabs.marked() == [0]
    waits = tabs.panel("upscale").generate()
    assert tabs.marked() == [0, 3]
    waits.stop()
    until(lambda: tabs.marked() == [0])
    tabs.finish()
    until(lambda: tabs.marked() == [])
    tabs.studio.grid.run()
    until(lambda: tabs.marked() == [5])
    assert styles(tabs.studio.grid) == {"Run grid": "", "Stop": "primary"}
    tabs.studio.grid.stop()
    tabs.finish()
    until(lambda: tabs.marked() == [])
    assert styles(tabs.studio.grid) == {"Run grid": "primary", "Stop": ""}


def styles(grid):
    """The styles of the buttons that begin and end a grid."""
    return {words: find(grid, words).button_style for words in ("Run grid", "Stop")}


def test_several_pictures_are_several(tabs):
    tabs.begin("txt2img", count=3)
    assert tabs.said("txt2img") == ("Queue", "next: after these pictures")
    assert tabs.said("upscale")[1].startswith("txt2img: step 1/")


def test_what_runs_in_another_tab_is_one_press_away(tabs):
    assert not called(tabs.panel("img2img"), "Show")
    tabs.studio.turn("img2img")
    tabs.begin("txt2img")
    assert not called(tabs.panel("txt2img"), "Show")
    press(tabs.panel("img2img"), "Show")
    assert tabs.studio.panel is tabs.panel("txt2img")
    tabs.finish()
    until(lambda: not called(tabs.panel("img2img"), "Show"))
    tabs.studio.grid.run()
    until(lambda: tabs.said("img2img") == ("Queue", "grid: at work"))
    press(tabs.panel("img2img"), "Show")
    assert tabs.studio._tabs.selected_index == 5
    tabs.studio.grid.stop()


def test_what_is_being_stopped_is_not_waited_for(tabs):
    tabs.begin("txt2img")
    tabs.panel("txt2img").skip()
    assert tabs.said("upscale") == ("Generate", "")


def test_the_cells_of_a_grid_are_waited_for_one_at_a_time():
    """Between two cells no job is there, and the button does not flicker."""
    gate, said = threading.Semaphore(0), []

    def make(request):
        assert gate.acquire(timeout=60)
        yield from grids.make(request)

    worker, model = Worker(make), grids.model()
    panel = Panel(Model(), executor=worker)
    button = find(panel, "Generate")
    button.observe(lambda change: said.append(change["new"]), "description")
    view = GridView(sdnb.sweep(grids.BASE, steps=[1, 2, 3]), model, executor=worker)
    view.run()
    until(lambda: beside(panel, "Stop") == "next: after a cell of the grid")
    gate.release(3)
    assert view.wait(30)
    until(lambda: said == ["Queue", "Generate"])
    assert beside(panel, "Stop") == ""


def test_who_is_gone_is_not_told_and_not_kept():
    told = []

    class Shows:
        def show(self):
            told.append("shown")

    shows, line = Shows(), line_of(Worker(grids.make))
    line.heard(shows.show)
    line.tell()
    kept = weakref.ref(shows)
    del shows
    gc.collect()
    line.tell()
    assert (told, kept()) == (["shown"], None)
