"""A cell that runs again leaves nothing of what it made before: no widgets, no model."""

import gc
import os
from types import SimpleNamespace

import ipywidgets
import numpy as np
import pytest
from helpers import grids
from helpers.fakes import Model, make
from helpers.pictures import colour
from ipywidgets.widgets.widget import _instances

import sdnb
from sdnb.jobs.executor import Inline
from sdnb.request import Request
from sdnb.widgets.gallery.gallery import Gallery
from sdnb.widgets.grid.grid_view import GridView
from sdnb.widgets.masks.editor import MaskEditor
from sdnb.widgets.panel import Panel
from sdnb.widgets.parts import parts_of
from sdnb.widgets.sketch.sketch_panel import Sketch
from sdnb.widgets.studio import TABS, Studio
from sdnb.widgets.upscale import UpscalePanel

pytestmark = pytest.mark.slow


class Events:
    """IPython's events: who is told before and after a cell."""

    def __init__(self):
        self.told = {"pre_run_cell": [], "post_run_cell": []}

    def register(self, name, act):
        self.told[name].append(act)

    def unregister(self, name, act):
        self.told[name].remove(act)

    def tell(self, name, about):
        for act in list(self.told[name]):
            act(about)


class Notebook:
    """Runs functions as cells whose last line is what they return, and keeps these as IPython does:
    in `Out` and `_`.
    """

    def __init__(self):
        self.events, self.runs = Events(), 0
        self.user_ns = {"_oh": {}}
        self.displayhook = SimpleNamespace(_=None, __=None, ___=None)
        self.parent = None

    def get_parent(self):
        return self.parent

    def run(self, code, cell="a cell"):
        cell = f"{cell} {id(self)}"
        header = {"msg_id": os.urandom(8).hex()}
        self.parent = {"metadata": {"cellId": cell}, "header": header}
        self.events.tell("pre_run_cell", SimpleNamespace(cell_id=cell))
        self.runs += 1
        try:
            made = code()
            made._ipython_display_()
        except ZeroDivisionError:
            self.events.tell("post_run_cell", SimpleNamespace(success=False))
            return
        self.user_ns["_oh"][self.runs] = self.user_ns[f"_{self.runs}"] = made
        self.user_ns["_"] = self.displayhook._ = made
        self.user_ns["it"] = made
        self.events.tell("post_run_cell", SimpleNamespace(success=True))


@pytest.fixture
def notebook(monkeypatch):
    notebook = Notebook()
    monkeypatch.setattr("IPython.get_ipython", lambda: notebook)
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    return notebook


def studio():
    studio = Studio(Model(), executor=Inline(make), autosave=False)
    for name in TABS:
        studio.panels[name].form.change(prompt="a cat")
    studio.panels["inpaint"].start_from(picture())
    studio.panels["txt2img"].generate()
    return studio


def picture():
    return sdnb.images.picture(colour(size=(64, 64)))


KINDS = {
    Studio: studio,
    Panel: lambda: Panel(Model(), executor=Inline(make)),
    Sketch: lambda: Sketch(Model(), executor=Inline(make)),
    UpscalePanel: lambda: UpscalePanel(Model(), executor=Inline(make)),
    MaskEditor: lambda: MaskEditor(np.full((64, 96, 3), 120, "uint8")),
    Gallery: Gallery,
    GridView: lambda: GridView(
        sdnb.sweep(grids.BASE, steps=[1, 2]), grids.model(), executor=Inline(make)
    ),
}


def alive(kind):
    gc.collect()
    return [each for each in gc.get_objects() if type(each) in (kind, Model)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_that_runs_again_leaves_no_widgets_and_no_model(
    kind, notebook, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    others = {id(each): each for each in alive(kind)}  # of other tests: they stay meanwhile

    def made():
        return sum(id(each) not in others for each in alive(kind)), len(_instances)

    notebook.run(KINDS[kind])
    notebook.run(KINDS[kind])
    before = made()
    for _ in range(3):
        notebook.run(KINDS[kind])
    assert made() == before
    assert before[0] <= 2  # one, with its model
    assert list(notebook.user_ns["_oh"]) == [5]


def test_what_is_shared_stays(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gallery, model = Gallery(), Model()
    mine = ipywidgets.Button()
    shown = []

    def code():
        panel = Panel(model, executor=Inline(make), gallery=gallery)
        panel.form.observe(lambda _: mine.click(), "_view_count")
        shown.append(panel)
        return panel

    notebook.run(code)
    notebook.run(code)
    first, second = shown
    assert first.comm is first.form.comm is first.form.controls["prompt"].widget.comm is None
    assert gallery.comm is not None
    assert mine.comm is not None
    second.request = Request("a cat")
    second.generate()
    assert len(gallery.pictures) == 1
    assert first.request == Request()  # who holds it can read it


def test_a_cell_that_fails_leaves_the_old_one(notebook):
    notebook.run(KINDS[Panel])
    old = notebook.user_ns["it"]
    old.request = Request("a fox")
    old.generate()

    def fails():
        Panel(Model(), executor=Inline(make))
        raise ZeroDivisionError

    notebook.run(fails)
    assert old.comm is not None
    notebook.run(KINDS[Panel])
    assert old.comm is None
    gallery = notebook.user_ns["it"].gallery
    assert len(gallery.pictures) == 1
    assert [each for each in parts_of(gallery) if each.comm is None] == []


def test_what_others_use_or_show_stays_until_they_go(notebook):
    notebook.run(Gallery, "first")
    gallery = notebook.user_ns["it"]
    notebook.run(lambda: Panel(Model(), executor=Inline(make), gallery=gallery), "second")
    notebook.run(Gallery, "first")
    assert gallery.comm is not None
    notebook.run(lambda: MaskEditor(np.full((64, 96, 3), 120, "uint8")), "third")
    editor = notebook.user_ns["it"]
    notebook.run(lambda: editor, "fourth")
    notebook.run(lambda: MaskEditor(np.full((64, 96, 3), 120, "uint8")), "third")
    assert editor.comm is not None


def test_closing_closes_all_parts():
    before = set(_instances)
    studio().close()
    gc.collect()
    styles = ("Style", "_CanvasManager")  # that all widgets share
    left = [each for name, each in _instances.items() if name not in before]
    assert [each for each in left if not type(each).__name__.endswith(styles)] == []
