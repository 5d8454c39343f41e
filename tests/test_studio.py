"""The studio on runs without weights: pictures sent about, other models, cells that run again."""

import threading
from types import SimpleNamespace

import ipywidgets
import pytest
from fakes import Model, make
from pictures import colour, encoded

from sdnb import images
from sdnb.executor import Inline, Worker
from sdnb.request import Request
from sdnb.widgets import lifetime, models, picker
from sdnb.widgets.picker import ModelPicker, checkpoints
from sdnb.widgets.studio import TABS, Studio


@pytest.fixture
def studio(tmp_path):
    return Studio(Model(), executor=Inline(make), folder=tmp_path / "out")


def test_all_tabs_fill_one_gallery(studio):
    for name in ("txt2img", "upscale"):
        studio.show(name).form.change(prompt=name)
        studio.panel.generate()
    assert [p.request.prompt for p in studio.gallery.pictures] == ["upscale", "upscale", "txt2img"]
    assert studio.result is studio.gallery.pictures[0].result
    assert studio.panels["txt2img"].results == [studio.gallery.pictures[2].result]


@pytest.mark.parametrize("name", TABS)
def test_a_picture_and_its_settings_are_sent_to_any_tab(studio, name):
    first = studio.panel
    first.request = Request("a cat", "dogs", seed=7, count=2, cfg=6.5, sampler="heun", steps=9)
    first.generate()
    picture = studio.gallery.pictures[0]  # the second of the two: seed 8
    studio.gallery.choose(picture)
    label = studio.gallery._sends.children[1 + TABS.index(name)]
    assert label.description == name
    label.click()
    assert studio.panel is studio.panels[name]
    got = studio.request
    assert (got.prompt, got.negative, got.seed, got.count) == ("a cat", "dogs", 8, 1)
    assert (got.cfg, got.sampler, got.steps) == (6.5, "heun", 9)
    assert got.image == (None if name == "txt2img" else images.picture(picture.image))
    if name == "upscale":
        assert (got.width, got.height, got.strength) == (128, 128, 0.5)


def test_what_a_tab_was_set_to_stays_when_a_picture_comes(studio):
    studio.panel.generate()
    studio.panels["img2img"].form.change(strength=0.3)
    studio.send(studio.gallery.pictures[0], "img2img")
    assert studio.request.strength == 0.3


def test_a_photograph_is_sent_and_the_tab_keeps_its_words(studio):
    studio.panels["img2img"].form.change(prompt="a cat", seed=3)
    photo = colour(size=(64, 64))
    studio.gallery.take(encoded(photo, "PNG"), "photo.png")
    studio.send(studio.gallery.chosen, "img2img")
    assert studio.request == Request("a cat", seed=3, image=images.picture(photo))


def test_a_photograph_is_upscaled_from_its_own_size(studio):
    studio.gallery.take(encoded(colour(size=(48, 80)), "PNG"), "photo.png")
    studio.gallery._sends.children[1 + TABS.index("upscale")].click()
    assert (studio.request.width, studio.request.height) == (160, 96)
    assert "the picture, 80 × 48" in studio.panel._two.value
    assert "in the tab upscale now" in studio.gallery._said.value


def test_what_brings_no_settings_is_not_sent_where_they_are_all_that_counts(studio):
    studio.gallery.take(encoded(colour(size=(48, 80)), "PNG"), "photo.png")
    studio.gallery._sends.children[1 + TABS.index("txt2img")].click()
    assert studio.request == Request()
    assert "brings no settings" in studio.gallery._said.value


def test_nothing_of_pictures_is_sent_to_where_none_is_seen(studio):
    panel = studio.show("inpaint")
    png = images.picture(colour(size=(64, 64)))
    panel.request = Request(image=png, mask=images.mask(colour(size=(64, 64)).convert("L")),
                            strength=1, feather=3, content="fill", padding=9)  # fmt: skip
    panel.generate()
    studio.send(studio.gallery.pictures[0], "txt2img")
    got = studio.request
    plain = Request().resolved(studio.model.settings).but(seed=got.seed)
    assert got == plain.but(width=got.width, height=got.height)


def test_stop_reaches_every_tab():
    worker = Worker(make)
    studio = Studio(Model(), executor=worker)
    for name in ("txt2img", "upscale"):
        studio.panels[name].form.change(steps=1000)
        studio.panels[name].generate()
    jobs = worker.jobs
    studio.stop()
    assert all(job.wait(10) for job in jobs)
    assert {job.state for job in jobs} <= {"stopped", "done"}


@pytest.mark.parametrize(
    ("name", "words"), [("img2img", "no picture yet"), ("inpaint", "no picture yet")]
)
def test_a_grid_is_refused_what_its_tab_refuses(studio, name, words):
    studio.grid._from.value = name
    assert studio.grid.run() is None
    assert words in studio.grid._problem.value


# -- the picker ------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    for name in ("b.safetensors", "A.ckpt", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "model_index.json").write_text("{}")
    (tmp_path / "d").mkdir()
    return tmp_path


def test_a_folder_is_looked_through_for_what_can_be_loaded(folder):
    assert [path.name for path in checkpoints(folder)] == ["A.ckpt", "b.safetensors", "c"]
    assert checkpoints(folder / "nothing") == []


def test_another_model_is_loaded_when_the_last_one_is_free(monkeypatch, folder):
    order = []
    old, new = Model("old"), Model("new")
    monkeypatch.setattr(picker, "loaded", lambda path, _: order.append(f"load {path}") or new)
    one = ModelPicker(old, folder, lambda: order.append("free"), lambda m: order.append(m.name))
    assert [label for label, _ in one._list.options][1:] == ["A.ckpt", "b.safetensors", "c"]
    one._list.value = str(folder / "c")
    one._button.click()
    one._thread.join(10)
    assert order == ["free", f"load {folder / 'c'}", "new"]
    assert "new: loaded in" in one._said.value
    assert not one._button.disabled


def test_where_loading_fails_the_last_model_comes_back_and_it_is_said(monkeypatch):
    def loaded(path, progress=None):
        if path == "no <such>":
            raise FileNotFoundError("no <such>: there is no such file")
        return Model(path or "embedded")

    served = []
    monkeypatch.setattr(picker, "loaded", loaded)
    one = ModelPicker(Model("first"), None, lambda: None, served.append)
    one._box.value = "no <such>"
    one._button.click()
    one._thread.join(10)
    assert [model.name for model in served] == ["embedded"]
    assert "there is no such file" in one._said.value
    assert "no &lt;such&gt;" in one._said.value
    assert "was loaded again" in one._said.value


def test_a_file_that_is_not_there_costs_nothing():
    one = ModelPicker(Model(), None, pytest.fail, pytest.fail)
    one._box.value = "nowhere/model.safetensors"
    one._button.click()
    assert "nowhere/model.safetensors: there is no such file" in one._said.value
    assert not one._button.disabled


def test_a_folder_in_the_box_joins_the_list(folder):
    one = ModelPicker(Model(), None, pytest.fail, pytest.fail)
    one._box.value = str(folder)
    one._button.click()
    assert [label for label, _ in one._list.options][1:] == ["A.ckpt", "b.safetensors", "c"]
    assert "3 models" in one._said.value


def test_the_studio_frees_the_old_model_and_serves_the_new(monkeypatch, studio):
    old, new = studio.model, Model("new")
    monkeypatch.setattr(picker, "loaded", lambda *_: new)
    studio.picker.load("new").join(10)
    assert old.unloaded
    assert studio.model is new
    assert all(panel.model is new for panel in studio.panels.values())


def test_one_thread_for_each_model():
    one, other = Model("one"), Model("other")
    assert models.worker_of(one) is models.worker_of(one)
    assert models.worker_of(one) is not models.worker_of(other)


# -- cells that run again -----------------------------------------------------------------------


def test_what_a_cell_started_stops_when_the_cell_runs_again(monkeypatch):
    class Events:
        def __init__(self):
            self.callbacks = []

        def register(self, _, callback):
            self.callbacks.append(callback)

        def unregister(self, _, callback):
            self.callbacks.remove(callback)

        def run(self, cell):
            for callback in list(self.callbacks):
                callback(SimpleNamespace(cell_id=cell))

    shell = SimpleNamespace(events=Events(), get_parent=lambda: {"metadata": {"cellId": "this"}})
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    stops = []

    class Owner:
        def stop(self):
            stops.append(self)

    owner = Owner()
    lifetime.tie_to_cell(owner)
    shell.events.run("another")
    assert stops == []
    shell.events.run("this")
    shell.events.run("this")
    assert stops == [owner]  # once
    assert shell.events.callbacks == []
    forgotten = Owner()
    lifetime.tie_to_cell(forgotten)
    del forgotten
    shell.events.run("this")
    assert shell.events.callbacks == []  # nothing is kept alive


def test_without_a_notebook_nothing_is_tied(monkeypatch):
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    lifetime.tie_to_cell(SimpleNamespace(stop=pytest.fail))


def test_what_nobody_sees_any_more_is_stopped(monkeypatch):
    monkeypatch.setattr(lifetime, "UNSEEN", 0.1)
    stops = threading.Event()

    class Owner(ipywidgets.VBox):
        stop = staticmethod(stops.set)

    owner = Owner()
    lifetime.tie_to_view(owner)
    assert owner._view_count == 0
    for views in (1, 2, 1, 0, 1):  # a second view comes and goes, and the cell is moved
        owner.set_trait("_view_count", views)
    assert not stops.wait(0.3)
    owner.set_trait("_view_count", 0)
    assert stops.wait(10)
