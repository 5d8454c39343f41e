"""A cell that runs again: its controls are as they were left, unless the code says otherwise."""

import os
from threading import Event
from types import SimpleNamespace

import pytest
from helpers import hostile_checkpoints as hostile
from helpers.fakes import Model, gated, make, until
from helpers.folder_of_a_user import kohya
from helpers.pictures import colour
from helpers.widget_hands import alert, called, find, press, read, status

import sdnb
from sdnb import images
from sdnb.jobs.executor import Inline, Worker
from sdnb.library import known
from sdnb.request import Request
from sdnb.widgets import as_left, picker
from sdnb.widgets.cell_places import CellPlaces
from sdnb.widgets.masks.strokes import Rectangle
from sdnb.widgets.panel import Panel
from sdnb.widgets.sketch.sketch_panel import Sketch
from sdnb.widgets.studio import Studio
from sdnb.widgets.upscale import UpscalePanel

pytestmark = pytest.mark.slow

SAID = "as you left them"


@pytest.fixture
def cell(monkeypatch):
    """Runs a function as a notebook's cell whose last line is what it returns."""
    parent = {"metadata": {"cellId": os.urandom(8).hex()}, "header": {"msg_id": "0"}}
    events = SimpleNamespace(register=lambda *_: None, unregister=lambda *_: None)
    shell = SimpleNamespace(events=events, get_parent=lambda: parent)
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)

    def run(code):
        parent["header"] = {"msg_id": os.urandom(8).hex()}
        widget = code()
        widget._ipython_display_()
        return widget

    return run


def panel(kind="all", request=None, **more):
    def code():
        made = Panel(Model(), kind, executor=Inline(make), **more)
        if request is not None:
            made.request = request
        return made

    return code


LEFT = Request("a cat", seed=7, steps=9, cfg=3.14, image=images.picture(colour(size=(64, 64))))


def test_a_panel_comes_back_as_it_was_left_and_says_so(cell):
    first = cell(panel())
    assert status(first) == ""
    first.request = LEFT
    first.gallery.autosave.on = True
    second = cell(panel())
    assert second is not first
    assert second.request == LEFT
    assert second.gallery.autosave.on
    assert SAID in status(second)
    press(second, "Start afresh")
    assert second.request == Request()
    assert SAID not in status(second)
    second.form.change(prompt="a dog")
    third = cell(panel())
    assert third.request == Request("a dog")
    third.generate()
    assert SAID not in status(third)  # it has been read
    third.close()  # who closes it wants another one
    assert cell(panel()).request == Request()
    cell(panel()).form.change(prompt="a dog")
    assert cell(panel("txt2img")).request == Request()  # of another kind


def test_a_sketch_comes_back_with_what_was_drawn(cell):
    def code():
        return Sketch(Model(), executor=Inline(make))

    first = cell(code)
    first.canvas.draw(Rectangle((100, 100), (300, 400), colour=(200, 30, 30)))
    first.form.change(prompt="a cat")
    second = cell(code)
    assert second.canvas.picture.tobytes() == first.canvas.picture.tobytes()
    assert second.request == first.request
    assert SAID in status(second)
    press(second, "Start afresh")
    assert second.canvas.is_empty
    assert second.request == Request()


def test_what_the_code_says_anew_wins(cell):
    cell(panel(request=Request("a cat"))).request = LEFT
    same = cell(panel(request=Request("a cat")))
    assert same.request == LEFT
    other = cell(panel(request=Request("a dog")))
    assert other.request == Request("a dog")
    assert SAID not in status(other)
    cell(panel(autosave=False))
    switched = cell(panel(autosave=True))
    assert switched.gallery.autosave.on


def test_a_panel_that_is_only_shown_again_stays(cell):
    one = cell(panel())
    one.request = LEFT
    assert cell(lambda: one).request == LEFT
    assert SAID not in status(one)
    one.form.change(prompt="a dog")
    assert cell(panel()).request == LEFT.but(prompt="a dog")


def test_the_studio_comes_back_with_its_tabs(cell, tmp_path):
    def code():
        return Studio(Model(), executor=Inline(make), folder=tmp_path)

    first = cell(code)
    first.request = Request("a cat", seed=3)
    first.panels["img2img"].request = LEFT
    first.show("upscale").enlarge(3.0)
    first.grid._show(0, "seed", "1, 2")
    second = cell(code)
    assert SAID in status(second)
    assert second.panel is second.panels["upscale"]
    assert len(second.panels.built) == 2  # the first, and the one in sight
    assert (second.panel.times, second.request.width) == (3.0, 192)
    third = cell(code)  # of what was not opened meanwhile, too
    assert third.panels["img2img"].request == LEFT
    assert third.panels["txt2img"].request == Request("a cat", seed=3)
    assert third.grid.axes["seed"] == [1, 2]
    press(third, "Start afresh")
    assert third.panel is third.panels["txt2img"]
    assert all(third.panels[name].request == Request() for name in ("txt2img", "img2img"))
    assert third.panels["upscale"].request == UpscalePanel(Model()).request
    assert not called(third, "Start afresh")


# -- in a new kernel ----------------------------------------------------------------------------


@pytest.fixture
def restart(monkeypatch):
    """Ends the kernel, which writes down what is shown, and begins another."""

    def restart():
        for owner in list(as_left._kept_at_exit()):
            owner.keep(ended=True)
        as_left._kept_at_exit().clear()
        monkeypatch.setattr(as_left, "_places", CellPlaces())

    as_left._kept_at_exit().clear()
    return restart


def test_after_a_restart_the_words_and_settings_are_there_and_the_picture_is_said(cell, restart):
    old, first = cell(panel("img2img")), cell(panel("img2img"))
    first.request = LEFT
    restart()
    assert old.request == Request()  # what it was set to is not written over the other one's
    second = cell(panel("img2img"))
    assert second.request == LEFT.but(image=None)
    assert "Pictures and masks are not kept" in status(second)
    press(second, "Start afresh")
    assert second.request == Request()
    restart()
    assert SAID not in status(cell(panel("img2img")))
    assert cell(panel("img2img", Request("a dog"))).request == Request("a dog")  # the code wins
    third = cell(panel())
    third.request = Request("a fox", controls=sdnb.Control("canny", LEFT.image))
    restart()
    assert cell(panel()).request == Request("a fox")


def test_a_crash_of_the_kernel_loses_nothing_of_what_was_run(cell, restart, monkeypatch):
    cell(panel()).request = Request("a cat", seed=3)
    as_left._kept_at_exit().clear()
    restart()
    assert cell(panel()).request == Request()
    first = cell(panel())
    first.request = Request("a cat", seed=3)
    first.generate()
    as_left._kept_at_exit().clear()  # nothing is written at the end
    restart()
    assert cell(panel()).request == Request("a cat", seed=3)


def test_a_run_that_ended_with_its_kernel_is_spoken_of(cell, restart):
    gate, run = gated()
    first, began = cell(lambda: Panel(Model(), executor=Worker(run))), Event()
    first.begun.append(began.set)  # after what is written down in the run's thread
    first.generate()
    assert began.wait(60)
    restart()
    second = cell(panel())
    assert "What ran then ended unfinished." in status(second)
    assert SAID not in status(second)  # nothing had been changed
    gate.release(5)  # here a kernel's threads live on after it
    until(lambda: not first.running)
    second.request = Request("a cat")
    second.generate()
    restart()
    third = cell(panel())
    assert SAID in status(third)
    assert "unfinished" not in status(third)  # that run was at its end


def test_after_a_restart_the_studio_has_its_tabs(cell, restart, tmp_path):
    def code():
        return Studio(Model(), executor=Inline(make), folder=tmp_path)

    first = cell(code)
    first.request = Request("a cat", seed=3)
    first.panels["img2img"].request = LEFT
    first.grid._show(0, "seed", "1, 2")
    first.show("inpaint")
    restart()
    second = cell(code)
    assert second.panel is second.panels["inpaint"]
    assert second.panels["txt2img"].request == Request("a cat", seed=3)
    assert second.panels["img2img"].request == LEFT.but(image=None)
    assert second.grid.axes["seed"] == [1, 2]
    restart()
    assert SAID in status(cell(code))


def test_without_a_cell_a_widget_that_names_its_place_comes_back_there(restart, monkeypatch):
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)

    def page(name, request=None):
        one = panel()()
        one.place = name
        one._ipython_display_()
        if request is not None:
            one.request = request
        return one

    page("the page", Request("a cat", seed=3))
    page("", Request("a dog"))
    restart()
    assert page("the page").request == Request("a cat", seed=3)
    assert page("another page").request == Request()
    assert page("").request == Request()


@pytest.fixture
def loads(monkeypatch):
    """The paths and libraries of the models that a picker loads."""
    calls = []

    def loaded(path=None, progress=None, **more):
        calls.append((path, more.get("library") and more["library"].folders))
        return Model(path or "embedded", load_arguments={"path": path, **more})

    monkeypatch.setattr(picker, "load_model", loaded)
    monkeypatch.setattr(picker, "read_checkpoint", lambda *_: None)
    return calls


@pytest.fixture
def page(monkeypatch, tmp_path):
    """A studio as `sdnb app` shows it."""
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)

    def shown():
        one = Studio(Model(), executor=Inline(make), folder=tmp_path / "out")
        one.be_page("the page")
        one._ipython_display_()
        if one.picker._thread is not None:
            one.picker._thread.join(60)
        return one

    return shown


@pytest.fixture
def library(tmp_path, monkeypatch):
    monkeypatch.setattr(known, "path", lambda: tmp_path / "cache" / "library.json")
    folder = tmp_path / "mine"
    folder.mkdir()
    hostile.headed(folder / "lora.safetensors", *hostile.laid_out(kohya()))
    return folder


def test_a_page_has_the_model_and_the_library_that_it_was_left_with(page, restart, loads, library):
    first = page()
    first.picker.load(str(library)).join(60)
    find(first.picker, "Model").value = "tiny-fast"
    first.picker._thread.join(60)
    restart()
    loads.clear()
    second = page()
    assert loads == [("tiny-fast", (library,))]
    assert (second.model.name, find(second.picker, "Model").value) == ("tiny-fast", "tiny-fast")
    assert SAID in status(second)
    press(second, "Start afresh")
    second.picker._thread.join(60)
    assert loads[1:] == [(None, None)]
    assert second.model.name == "embedded"
    second.picker.load(str(library)).join(60)  # the library alone
    restart()
    loads.clear()
    third = page()
    assert [file.name for file in third.model.library.files("lora")] == ["lora"]
    assert f"The library is {library}" in status(third.picker)
    assert loads == []


def test_a_library_that_is_gone_is_said(page, restart, loads, library):
    page().picker.load(str(library)).join(60)
    restart()
    library.rename(library.parent / "elsewhere")
    assert "is no folder" in alert(page().picker)
    assert loads == []


@pytest.mark.parametrize("path", ["tiny-fast", "someone/a-model"])
def test_a_model_that_takes_another_away_from_code_or_long_is_offered(
    cell, page, restart, loads, path
):
    """Where code has a model, the next cells go on with it; the hub may take minutes."""
    show = page if "/" in path else lambda: cell(lambda: Studio(Model(), executor=Inline(make)))
    show().picker.load(path).join(60)
    restart()
    loads.clear()
    second = show()
    second.picker._thread.join(60)
    assert loads == []
    assert f"The model was {path}." in status(second.picker)
    press(second, "Load it again")
    second.picker._thread.join(60)
    assert loads == [(path, None)]
    assert "The model was" not in read(second.picker)


def test_a_studio_that_loads_its_own_model_has_the_last_one_again(
    cell, restart, loads, monkeypatch
):
    monkeypatch.setattr("sdnb.widgets.studio.load_model", Model)
    cell(Studio).picker.load("tiny-fast").join(60)
    restart()
    second = cell(Studio)
    second.picker._thread.join(60)
    assert second.model.name == "tiny-fast"


def test_a_page_speaks_of_itself_and_of_no_kernel(page, restart):
    page().panels["img2img"].request = LEFT
    restart()
    said = status(page())
    assert "not kept when the page is left or loaded again" in said
    assert "kernel" not in said


def test_a_page_asks_before_it_is_left_while_something_runs_or_waits():
    gate, run = gated()
    worker = Worker(run)
    one = Studio(Model(), executor=worker)
    assert one._leaving is None  # a notebook's kernel does not end with its page
    one.be_page()
    assert not one._leaving.asks
    jobs = [one.panel.generate() for _ in range(2)]
    assert one._leaving.asks
    one.panel.skip()
    gate.release()
    assert jobs[0].wait(60)
    assert one._leaving.asks  # the other one waits, or runs
    one.stop()
    gate.release()
    assert jobs[1].wait(60)
    until(lambda: not one._leaving.asks)
    view = one.grid.run()
    assert one._leaving.asks
    view.stop()
    gate.release()
    assert view.wait(60)
    assert not one._leaving.asks


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"given": {}}'])
def test_what_is_damaged_on_the_disk_is_said(cell, restart, place, content):
    first = cell(panel())
    first.request = Request("a cat")
    restart()
    (kept,) = (place / "config" / "left").iterdir()
    kept.write_bytes(content)
    again = cell(panel())
    assert again.request == Request()
    assert "could not be read" in status(again)
