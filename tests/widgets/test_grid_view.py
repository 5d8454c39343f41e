"""The grid's viewer without a browser: it fills, stops, resumes, compares, gives settings back."""

import itertools
import re
import runpy
import threading
import time
from base64 import b64encode
from contextlib import closing

import numpy as np
import pytest
from helpers import grids
from helpers import hostile_checkpoints as hostile
from helpers.folder_of_a_user import kohya
from helpers.widget_hands import alert, beside, called, find, press, read, status
from ipywidgets.widgets import widget
from PIL import Image
from safetensors.numpy import save_file

import sdnb
from sdnb.images.result import Progress
from sdnb.jobs.executor import Inline, Worker
from sdnb.library.model_library import brought_by, joined
from sdnb.request import Settings, stop
from sdnb.request.pace import Times
from sdnb.widgets.grid import grid_tab, grid_table, save_grid
from sdnb.widgets.grid.grid_detail import difference
from sdnb.widgets.grid.grid_tab import GridTab
from sdnb.widgets.grid.grid_table import GridTable
from sdnb.widgets.grid.grid_view import GridView


def view(make=grids.make, executor=None, **varied):
    varied = varied or {"steps": [1, 2, 4], "cfg": [2, 8]}
    grid = sdnb.sweep(grids.BASE, **varied)
    return GridView(grid, grids.model(), executor=executor or Inline(make))


def shown(view):
    """The styles that put pictures and words into the cells."""
    styles = view._table._cell_styles
    return [styles[n].value if n in styles else "" for n in range(view._table.count)]


def marks(view):
    """The letters of the outlined cells, by their places."""
    sheet = view._table._outline.value
    outlined = re.findall(r"data-number='(\d+)'\] \{ outline", sheet)
    letters = dict(re.findall(r"data-number='(\d+)'\]::before \{ content: \"(.)\"", sheet))
    return {int(place): letters.get(place, "") for place in outlined}


def filled(**varied):
    made = view(**varied)
    made.run()
    assert made.wait(60)
    return made


def test_it_fills_while_it_runs():
    gate = threading.Semaphore(0)

    def make(request):
        gate.acquire(timeout=30)
        yield from grids.make(request)

    made = view(executor=Worker(make))
    assert shown(made) == [""] * 6
    assert (find(made, "Run").disabled, find(made, "Stop").disabled) == (False, True)
    made.run()
    assert made.running
    assert not called(made, "Run")
    thread = made._thread
    made.run()  # pressed twice
    assert made._thread is thread
    for _ in range(6):
        gate.release()
    assert made.wait(60)
    assert all("background-image: url(data:image/jpeg" in each for each in shown(made))
    assert beside(made, "Stop") == "6 of 6 cells"
    assert made._bar.value == 1
    assert not called(made, "Run")
    assert find(made, "Stop").disabled


def test_stop_ends_within_a_step_and_resume_makes_the_rest(tmp_path):
    first = threading.Event()

    def make(request):
        if request.steps == 2 and not first.is_set():
            first.set()
            for step in range(3000):  # it is stopped long before
                time.sleep(0.01)
                yield Progress(step, 3000, 0.0)
        yield from grids.make(request)

    grid = sdnb.sweep(grids.BASE, steps=[1, 2, 4])
    made = GridView(grid, grids.model(), store=str(tmp_path), executor=Worker(make))
    made.run()
    assert first.wait(30)
    made.stop()
    assert made.wait(60)
    assert grid.done == 1
    assert beside(made, "Stop") == "1 of 3 cells · stopped"
    assert find(made, "Resume")
    press(made, "Resume")
    assert made.wait(30)
    assert grid.done == len(list(tmp_path.glob("*.png"))) == 3


def test_stop_is_heard_inside_a_step_that_runs_in_the_grids_own_thread(monkeypatch):
    """As layers hear it, which look again and again; so run the cells of an axis of plans."""
    made = view(steps=[1, 2, 4])
    begun, inside = made._steps(), threading.Event()

    def steps():
        with closing(begun):
            yield from itertools.takewhile(lambda at: at.done < 2, begun)
            inside.set()
            end = time.monotonic() + 30
            while time.monotonic() < end:
                stop.look()
        raise AssertionError("Stop was not heard")

    monkeypatch.setattr(made, "_steps", steps)
    made.run()
    assert inside.wait(30)
    made.stop()
    assert made.wait(60)
    assert beside(made, "Stop") == "2 of 3 cells · stopped"
    assert alert(made) == ""
    assert find(made, "Resume")


def test_a_grid_that_waits_for_another_run_says_so():
    gate = threading.Event()

    def make(request):
        yield Progress(0, 1, 0.0)
        assert gate.wait(30)
        yield from grids.make(request)

    worker = Worker(make)
    other = worker.submit(grids.BASE)
    made = view(executor=worker)
    made.run()
    end = time.monotonic() + 60
    while beside(made, "Stop") != "0 of 6 cells · waiting for another run":
        assert time.monotonic() < end, beside(made, "Stop")
        time.sleep(0.01)
    gate.set()
    assert made.wait(60)
    assert beside(made, "Stop") == "6 of 6 cells"
    assert other.wait(60)


def test_a_problem_is_said_and_not_lost():
    grid = sdnb.sweep(grids.BASE, sampler=[None], eta=[0.5])
    model = grids.model()
    model.settings = sdnb.request.Settings(64, 64, sampler="euler")
    made = GridView(grid, model, executor=Inline(grids.make))
    made.run()
    assert made.wait(30)
    assert "1 of 1 cell cannot be made:\n" in alert(made)
    assert not find(made, "Run").disabled


def test_a_failed_cell_says_why():
    def make(request):
        if request.steps == 2:
            raise MemoryError("no <more> memory")
        yield from grids.make(request)

    made = view(make, steps=[1, 2])
    made.run()
    assert made.wait(30)
    assert "1 failed" in beside(made, "Stop")
    assert 'content: "failed"' in shown(made)[1]
    made._table.click(1)
    assert "failed: no <more> memory" in read(made)
    assert find(made, "Resume")


def test_a_click_opens_a_cell_with_its_settings():
    made = filled()
    made._table._clicked.value = "3.17"  # as the browser says it: cell 3, some time
    assert made.chosen == made.grid.at(steps=1, cfg=8)
    assert find(made, "Close")
    assert "data:image/jpeg" in made._detail._picture.value
    assert "<th>CFG</th><td>8</td>" in made._detail._about.value
    assert "data-number='3'" in made._table._outline.value
    made._table._clicked.value = "99.1"  # no cell
    made._table._clicked.value = "x"
    assert made.chosen == made.grid.at(steps=1, cfg=8)
    made.choose(None)
    assert made.chosen is None
    assert not called(made, "Close")
    assert made._table._outline.value == ""


def test_two_cells_are_compared_by_a_slider_and_by_their_difference():
    made = filled()
    made._table.click(0)
    made._detail._compare.click()
    assert "Now choose the cell to compare" in status(made)
    assert marks(made) == {0: "A"}
    made._table.click(5)
    assert "sdnb-compare" in made._detail._picture.value
    assert made._detail._mode.layout.display == ""
    assert "A: steps=1, cfg=2 | B: steps=4, cfg=8" in status(made)
    assert marks(made) == {0: "A", 5: "B"}
    made._detail._mode.value = "difference"
    one, other = (
        np.asarray(made.grid.image(**at)).astype(int)
        for at in ({"steps": 1, "cfg": 2}, {"steps": 4, "cfg": 8})
    )
    assert f"largest difference is {np.abs(one - other).max()} of 255" in status(made)
    made._detail._compare.click()
    assert "sdnb-compare" not in made._detail._picture.value
    assert made._detail.other is None
    assert marks(made) == {5: ""}


def test_the_difference_map_is_four_times_the_difference():
    one, other = np.zeros((2, 8, 8, 3), np.uint8)
    other[:4] = (10, 100, 0)
    html = difference(Image.fromarray(one), Image.fromarray(other), "a <b> and c")
    data = re.search(r"base64,([^\"]+)", html)[1]
    import base64
    import io

    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).astype(int)
    assert np.abs(seen[1, 4] - (40, 255, 0)).max() < 30  # a JPEG
    assert seen[7].max() < 30
    assert "a &lt;b&gt; and c" in html
    assert "largest difference is 100 of 255" in html


def test_a_third_axis_is_a_slider():
    made = filled(steps=[1, 2], cfg=[2, 8], seed=[5, 6, 7])
    first = shown(made)
    assert [label for label, _ in made._slider.list.options] == ["seed 5", "seed 6", "seed 7"]
    made._slider.index = 2
    assert all(a != b for a, b in zip(first, shown(made), strict=True))
    made._table.click(1)
    assert made.chosen == made.grid.at(steps=2, cfg=2, seed=7)
    assert made._table._outline.value
    made._slider.index = 0
    assert made._table._outline.value == ""  # the chosen cell is on another page
    made.choose(made.grid.cells[-1])
    assert made._slider.index == 2


def test_settings_are_given_to_whoever_uses_them():
    given = []
    grid = sdnb.sweep(grids.BASE, steps=[1, 2])
    made = GridView(grid, grids.model(), executor=Inline(grids.make), use=given.append)
    made._table.click(1)  # also before it is made
    assert "is not made yet" in read(made)
    press(made, "Use these settings")
    assert given == [grid.at(steps=2)]


def test_the_picture_of_a_cell_is_saved_with_its_settings(tmp_path):
    """Once, however often Save is pressed; again where the file was removed."""
    grid = sdnb.sweep(grids.BASE, steps=[1, 2], seed=[5, 6])
    made = GridView(grid, grids.model(), executor=Inline(grids.make), folder=tmp_path / "kept")
    made._table.click(3)
    assert find(made, "Save").disabled  # there is no picture yet
    assert not called(made, "Use these settings")  # nobody takes them
    made.run()
    assert made.wait(60)
    for _ in range(2):
        press(made, "Save")
        (path,) = (tmp_path / "kept").glob("*.png")
        assert status(made) == f"Saved as {path}"
    assert b64encode(path.read_bytes()).decode() in made._detail._link.value
    wanted = grid.at(steps=2, seed=6)
    assert sdnb.read(path).resolved(Settings()) == wanted.resolved(grids.model().settings)
    assert np.array_equal(Image.open(path), grid.image(steps=2, seed=6))
    path.unlink()
    press(made, "Save")
    assert path.exists()
    made._table.click(2)
    assert status(made) == ""


def test_a_picture_that_cannot_be_saved_says_why(tmp_path):
    (tmp_path / "kept").write_text("no folder")
    grid = sdnb.sweep(grids.BASE, steps=[1, 2])
    made = GridView(grid, grids.model(), executor=Inline(grids.make), folder=tmp_path / "kept")
    made.run()
    assert made.wait(60)
    made._table.click(0)
    press(made, "Save")
    assert str(tmp_path / "kept") in alert(made)


def test_the_picture_of_a_cell_is_sent_on():
    sent = []

    def refuse(picture):
        raise ValueError(f"not {picture.request.steps}")

    grid = sdnb.sweep(grids.BASE, steps=[1, 2])
    made = GridView(
        grid, grids.model(), executor=Inline(grids.make),
        send={"img2img": sent.append, "inpaint": refuse},
    )  # fmt: skip
    made.run()
    assert made.wait(60)
    made._table.click(1)
    press(made, "to img2img")
    (picture,) = sent
    assert np.array_equal(picture.image, grid.image(steps=2))
    assert picture.request.steps == 2
    assert status(made) == "It is in the tab img2img now."
    press(made, "to inpaint")
    assert alert(made) == "not 2"


def test_a_grid_shows_its_view():
    grid = sdnb.sweep(grids.BASE, steps=[1, 2])
    made = grid.view(grids.model(), executor=Inline(grids.make))
    assert isinstance(made, sdnb.GridView)
    assert made.grid is grid
    assert len(made._repr_mimebundle_(include=None, exclude=None) or "x") > 0
    made.close()


def test_labels_cannot_break_the_page():
    grid = sdnb.sweep(grids.BASE, prompt=['"><script>alert(1)</script>', "a\nb"])
    made = GridView(grid, grids.model(), executor=Inline(grids.make))
    table = made._table.children[0].value
    assert "<script" not in table
    assert table.count("<button") == 2


def test_tables_of_several_kernels_are_told_apart_in_a_page():
    """What one writes, of styles and of where a click goes, names no other's."""
    tables = []
    for _ in "ab":  # as in kernels new
        made = runpy.run_path(grid_table.__file__)["GridTable"](["a"], [""], (8, 8), print)
        made.show(0, Image.new("RGB", (8, 8)), "", "a picture")
        made.mark({0: "A"})
        tables.append(made)
    one, other = tables
    written = [
        {*re.findall(r"sdnb-table-\w+", each.children[0].value + each._cell_styles[0].value)}
        | {*re.findall(r"sdnb-table-\w+", str(each._clicked._dom_classes) + each._outline.value)}
        for each in (one, other)
    ]
    assert not written[0] & written[1]
    assert [len(marks) for marks in written] == [1, 1]


# -- the tab ----------------------------------------------------------------------------------


@pytest.fixture
def tab():
    used = []
    asked = {"txt2img": lambda: grids.BASE.but(count=3), "img2img": lambda: grids.BASE}
    made = GridTab(
        grids.model(), asked, lambda *what: used.append(what), executor=Inline(grids.make)
    )
    made.used = used
    return made


def test_the_tab_makes_a_grid_of_another_tabs_settings(tab):
    assert tab.axes == {"steps": [4, 8, 16], "cfg": [2.0, 4.0, 8.0]}
    made = tab.run()
    assert made is tab.view
    assert made.wait(60)
    assert list(made.grid) == list(sdnb.sweep(grids.BASE, **tab.axes))
    assert made.grid.done == 9
    made._table.click(4)
    press(made, "Use these settings")
    assert tab.used == [(made.grid.at(steps=8, cfg=4), "txt2img")]


def test_what_the_tab_cannot_make_is_said_there(tab):
    tab._show(1, "steps", "3")
    assert tab.run() is None
    assert "steps is chosen twice" in alert(tab)
    tab._show(1, "sampler", "ddim, eulr")
    assert tab.run() is None
    assert "did you mean" in alert(tab)
    tab._show(1, "strength", "0.5")
    assert tab.run() is None
    assert "strength changes nothing without image=" in alert(tab)
    tab._show(1, "sampler", "ddim, euler")
    tab._show(2, "weight", "thick fog: 0, 2")
    made = tab.run()
    assert made.wait(60)
    assert made.grid.shape == (3, 2, 2)
    assert alert(tab) == ""


def test_a_large_grid_is_asked_about(tab, monkeypatch):
    """The time is by the last runs, here of a second for each step."""
    monkeypatch.setattr(grid_tab, "ASKED_FROM", 12)
    tab.typed = "txt2img", "", (("steps", "1-5"), ("cfg", "2, 4, 8"), ("", ""))
    assert tab.run() is None
    assert status(tab) == "15 pictures. Make all of them? Stop ends it at any time."
    tab._axes[1][1].value = "2, 4"  # another grid: the question is withdrawn
    assert status(tab) == ""
    tab._axes[1][1].value = "2, 4, 8"
    seen = Times([0.0, 1.0, 2.0], whole=2.0)
    tab.model.pace.learn(grids.BASE.but(steps=2).resolved(tab.model.settings), seen)
    assert tab.run() is None
    assert status(tab).startswith("15 pictures, about 45 s by the last runs.")
    press(tab, "No")
    assert (status(tab), tab.view) == ("", None)
    tab.run()
    press(tab, "Make 15")
    assert tab.view.wait(60)
    assert tab.view.grid.done == 15
    tab._axes[0][1].value, tab._axes[1][1].value = "1-1000", "1-20"
    assert tab.run() is None
    assert "1000 x 20 are 20,000 cells, and this page shows 10,000 at most" in alert(tab)


def test_that_a_cell_has_one_picture_is_said(tab):
    asked = tab._requests["txt2img"]()
    tab._requests = {"txt2img": lambda: asked.but(count=4)}
    tab.show_prompt()
    assert "one picture in each cell, where txt2img makes 4" in read(tab)


def test_what_a_grid_takes_is_said_before_it_is_made(tab):
    tab.typed = "txt2img", "", (("steps", "1-5"), ("cfg", "2, 4, 8"), ("", ""))
    assert "15 pictures" in read(tab).splitlines()
    tab._axes[1][1].value = "2, 4"
    assert "10 pictures" in read(tab).splitlines()
    tab._axes[1][1].value = "2, four"
    assert "picture" not in read(tab._forecast)  # Run grid says what is wrong
    tab._axes[1][1].value = "2, 4"
    seen = Times([0.0, 1.0, 2.0], whole=2.0)
    tab.model.pace.learn(grids.BASE.but(steps=2).resolved(tab.model.settings), seen)
    tab.show_prompt()  # as the studio does when the tab is opened
    assert "10 pictures, about 30 s by the last runs" in read(tab).splitlines()


def test_a_large_table_is_few_widgets_until_it_has_pictures():
    """A page that was sent 9,000 at once lost some, and its view stayed dead."""
    before = len(widget._instances)
    made = GridTable([str(x) for x in range(300)], ["a", "b", "c"], (8, 8), print)
    made.show(899, None, "", "nothing yet")
    assert len(widget._instances) - before < 60
    made.show(899, None, "failed", "words")
    assert 'content: "failed"' in made._cell_styles[899].value
    assert made._cell_styles[899] in made._blocks[-1].children


def test_a_grid_that_runs_already_goes_on(tab):
    """Pressed again by somebody to whom the kernel has not answered yet."""
    gate = threading.Event()

    def make(request):
        gate.wait(30)
        yield from grids.make(request)

    tab.serve(tab.model, Worker(make))
    made = tab.run()
    assert tab.run() is made
    tab._axes[0][1].value = "4, 8"
    other = tab.run()
    assert other is not made
    gate.set()
    assert other.wait(60)
    assert other.grid.done == 6
    assert tab.run() is not other  # it is finished: then it is asked for anew


@pytest.mark.slow
def test_loras_are_axes_and_one_that_is_not_there_has_a_similar_name(tab, tmp_path):
    save_file({"lora_unet_x_attn2_to_k.lora_down.weight": np.zeros((1, 768), np.float32)},
              tmp_path / "pixelart.safetensors")  # fmt: skip
    tab.model.library = sdnb.Library(tmp_path)
    tab._show(0, "lora", "pixelart: 0-1 (+0.5)")
    tab._show(1, "lora", "foggy: 1")
    assert tab.axes == {"lora": ("pixelart", [0, 0.5, 1]), "lora2": ("foggy", [1])}
    assert tab.run() is None
    assert "no lora 'foggy' among 1 file" in alert(tab)
    tab._show(1, "loras", "none, pixel art")
    assert tab.run() is None
    assert "did you mean 'pixelart'" in alert(tab)
    kind, values = tab._axes[2]
    kind.value = "lora"
    assert (values.value, values.options) == ("pixelart: 0, 0.5, 1", ("pixelart: 0, 0.5, 1",))
    kind.value = "loras"
    assert values.value == "none, pixelart"


def test_a_lora_that_the_model_brings_is_an_axis_and_another_one_is_refused(tab, tmp_path):
    (tmp_path / "lora").mkdir()
    hostile.headed(tmp_path / "lora" / "crayon.safetensors", *hostile.laid_out(kohya()))
    tab.model.library = joined(brought_by([tmp_path]), None)
    kind, values = tab._axes[0]
    kind.value = "lora"
    assert values.options == ("crayon: 0, 0.5, 1",)
    tab._refuse_unknown_files(sdnb.sweep(grids.BASE, lora=("crayon", [0, 1])))
    tab._show(0, "lora", "fog: 1")
    assert tab.run() is None
    assert "The model was loaded without a library of files: give the path" in alert(tab)


def test_an_axis_that_is_not_chosen_says_nothing(tab):
    """A list whose value is None shows no choice, and not the one of that name."""
    third, values = tab._axes[2]
    assert (third.index, third.label) == (0, "nothing")
    assert values.layout.display == "none"
    tab._show(2, "seed", "1, 2")
    third.index = 0
    assert set(tab.axes) == {"steps", "cfg"}


def test_a_grid_goes_on_with_the_model_that_is_loaded_now(tab):
    """What was made by another is not mixed with it, and that is said."""
    gate = threading.Event()

    def make(request):
        if request.steps > 4:
            gate.wait(30)
        yield from grids.make(request)

    tab.serve(tab.model, Worker(make))
    made = tab.run()
    while made.grid.done < 3:
        time.sleep(0.01)
    other = grids.model(fingerprint="0" * 64)
    tab.serve(other, Inline(lambda request: grids.make(request, fingerprint="0" * 64)))
    gate.set()
    assert made.wait(30)
    assert find(made, "Resume")
    press(made, "Resume")
    assert made.wait(30)
    assert "this grid was made by another model" in alert(made)
    tab.serve(grids.model(), Inline(grids.make))  # the first one again
    assert alert(made) == ""
    press(made, "Resume")
    assert made.wait(30)
    assert made.grid.done == 9


# -- as one picture -------------------------------------------------------------------------------


def test_a_grid_is_saved_as_one_picture_and_again_as_another(tmp_path):
    grid = sdnb.sweep(grids.BASE, steps=[1, 2, 4], cfg=[2, 8])
    made = GridView(grid, grids.model(), executor=Inline(grids.make), folder=tmp_path)
    assert find(made, "Save grid").disabled  # there is nothing yet
    made.run()
    assert made.wait(60)
    press(made, "Save grid")
    first = tmp_path / "sheets" / "00001-grid.png"
    assert f"Saved as {first}" in status(made)
    assert first.read_bytes() == grid.save(tmp_path / "full.png", full=True).read_bytes()
    press(made, "Save grid")
    assert f"Saved as {tmp_path / 'sheets' / '00002-grid.png'}" in status(made)


def test_a_large_grid_is_saved_smaller_and_says_so(tmp_path, monkeypatch):
    grid = sdnb.sweep(grids.BASE, steps=[1, 2])
    made = GridView(grid, grids.model(), executor=Inline(grids.make), folder=tmp_path)
    made.run()
    assert made.wait(60)
    monkeypatch.setattr(save_grid, "_MOST_PIXELS", 1)
    press(made, "Save grid")
    assert "with smaller pictures; grid.save(path, full=True) keeps all" in status(made)
    assert len(list((tmp_path / "sheets").iterdir())) == 1


def test_a_grid_that_cannot_be_saved_says_why(tmp_path):
    (tmp_path / "sheets").write_text("a file in its place")
    grid = sdnb.sweep(grids.BASE, steps=[1, 2])
    made = GridView(grid, grids.model(), executor=Inline(grids.make), folder=tmp_path)
    made.run()
    assert made.wait(60)
    press(made, "Save grid")
    assert "sheets" in alert(made)
