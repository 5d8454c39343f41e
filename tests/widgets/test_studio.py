"""The studio on runs without weights: pictures sent about, other models, cells that run again."""

import asyncio
import shutil
import threading
from types import SimpleNamespace

import ipywidgets
import pytest
import torch
from helpers import hostile_checkpoints as hostile
from helpers.fakes import Model, gated, make, until
from helpers.folder_of_a_user import kohya
from helpers.pictures import colour, encoded
from helpers.widget_hands import alert, beside, called, find, press, read, status
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

from sdnb import Library, images
from sdnb.jobs.executor import Inline, Worker
from sdnb.library import known
from sdnb.request import Request, Settings
from sdnb.widgets import engine_door, lifetime, picker
from sdnb.widgets.panel import Panel
from sdnb.widgets.picker import ModelPicker
from sdnb.widgets.studio import TABS, Studio
from sdnb.widgets.tabs import Tabs

pytestmark = pytest.mark.slow


def listed(picker):
    return [label for label, _ in find(picker, "Model").options]


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


@pytest.mark.parametrize("seed", [7, None])
@pytest.mark.parametrize("name", TABS)
def test_a_picture_is_sent_to_any_tab_with_its_words_and_a_seed_that_is_locked(studio, name, seed):
    """All else is the tab's own, but for txt2img, which makes such pictures."""
    first = studio.panel
    first.request = Request("a cat", "dogs", seed=7, count=2, cfg=6.5, sampler="heun", steps=9)
    first.generate()
    first.form.change(seed=seed)
    picture = studio.gallery.pictures[0]  # the second of the two: seed 8
    studio.gallery.choose(picture)
    press(studio.gallery, f"to {name}")
    assert studio.panel is studio.panels[name]
    got, alike = studio.request, name == "txt2img"
    comes = 8 if seed or alike else None
    assert (got.prompt, got.negative, got.seed, got.count) == ("a cat", "dogs", comes, 1)
    assert (got.cfg, got.sampler, got.steps) == ((6.5, "heun", 9) if alike else (None, None, None))
    assert got.image == (None if alike else images.picture(picture.image))
    if name == "upscale":
        assert (got.width, got.height, got.strength) == (128, 128, 0.5)
    words = ", negative prompt “dogs” and seed" if comes else " and negative prompt “dogs”"
    said = f"with its prompt{words}; "
    assert alike or said in read(studio.panel)
    if comes:
        assert "Seed 8 came with the picture" in status(studio.panel)
        press(studio.panel, "Random again")
        assert studio.request == got.but(seed=None)
    assert not called(studio.panel, "Random again")


def test_a_seed_that_came_with_a_picture_goes_with_it(studio):
    first = studio.panel
    for seed in (7, None):  # locked, then open
        first.request = Request("a cat", seed=seed)
        first.generate()
        studio.show("txt2img")
        studio.send(studio.gallery.pictures[0], "img2img")
        assert studio.request.seed == seed
    assert not called(studio.panel, "Random again")
    studio.panel.form.change(seed=11)  # by a person: it stays
    studio.show("txt2img")
    studio.send(studio.gallery.pictures[0], "img2img")
    assert studio.request.seed == 11


def test_a_tab_takes_the_settings_of_pictures_that_it_makes(studio):
    square = images.picture(colour(size=(64, 64)))
    one = studio.show("img2img")
    one.request = Request("a cat", image=square, seed=7, steps=9, cfg=6.5, strength=0.4)
    one.generate()
    one.request = Request()
    studio.send(studio.gallery.pictures[0], "img2img")
    got = studio.request
    assert (got.seed, got.steps, got.cfg, got.strength) == (7, 9, 6.5, 0.4)
    assert "with all its settings" in read(one)


def test_values_that_are_no_list_are_marked_while_they_are_typed(studio):
    tab = studio.grid
    (_, steps), (_, cfg), _ = tab._axes
    assert "9 pictures" in read(tab)
    steps.value = "2, x"
    assert "sdnb-wrong" in steps._dom_classes
    assert "sdnb-wrong" not in cfg._dom_classes
    assert "Values of steps cannot be read yet." in read(tab)
    steps.value = "2, 4"
    assert "sdnb-wrong" not in steps._dom_classes
    assert "6 pictures" in read(tab)


@pytest.mark.parametrize("name", TABS)
def test_a_grids_large_view_sends_to_any_tab_and_saves_beside_the_gallery(studio, name, tmp_path):
    studio.panel.request = Request("a cat", seed=7, width=64, height=64)
    view = studio.grid.run()
    assert view.wait(60)
    view.choose(view.grid.cells[4])
    press(view, f"to {name}")
    assert studio.panel is studio.panels[name]
    got, made = studio.request, view.grid.made(steps=8, cfg=4)
    alike = name == "txt2img"
    assert (got.prompt, got.seed) == ("a cat", 7)
    assert (got.steps, got.cfg) == ((8, 4) if alike else (None, None))
    assert got.image == (None if name == "txt2img" else images.picture(made.image))
    press(view, "Save")
    assert [path.parent for path in tmp_path.rglob("*.png")] == [tmp_path / "out"] * 9


def test_a_grids_pictures_are_in_the_gallery_and_saved_like_all_others(studio, tmp_path):
    find(studio.grid, "Keep in").value = str(tmp_path / "grid")
    view = studio.grid.run()
    assert view.wait(60)
    made = [view.grid.pictures.made[cell.key] for cell in view.grid.cells]
    assert [p.request for p in reversed(studio.gallery.pictures)] == [m.request for m in made]
    assert [p.saved for p in reversed(studio.gallery.pictures)] == [m.path for m in made]
    assert not (tmp_path / "out").exists()  # not a second time
    find(studio.grid, "Keep in").value = ""
    view = studio.grid.run()
    assert view.wait(60)
    assert len(list((tmp_path / "out").glob("*.png"))) == len(made)
    view.choose(view.grid.cells[4])
    press(view, "Save")
    assert len(list((tmp_path / "out").glob("*.png"))) == len(made)


def test_a_picture_sent_to_inpaint_brings_no_strength_of_another_kind_of_pass(studio):
    """And the result that is in sight there goes: it is of another picture."""
    square = images.picture(colour(size=(64, 64)))
    inpaint = studio.panels["inpaint"]
    inpaint.request = Request("a cat", image=square, strength=0.9)
    img2img = studio.panels["img2img"]
    img2img.request = Request("a dog", seed=3, image=square, strength=0.5)
    img2img.generate()
    inpaint.request = inpaint.request.but(mask=images.mask(colour(size=(64, 64)).convert("L")))
    inpaint.generate()
    assert inpaint.view.picture is not None
    press(img2img, "to inpaint")
    assert (inpaint.request.prompt, inpaint.request.strength) == ("a dog", 0.9)
    assert "steps, strength and the rest are this tab's own." in read(inpaint)
    assert inpaint.view.picture is None


def test_a_mask_that_stays_is_said_and_cleared_by_one_click(studio):
    one = studio.panels["inpaint"]
    mask = images.mask(colour(size=(64, 64)).convert("L"))
    one.request = Request("a cat", image=images.picture(colour(size=(64, 64))), mask=mask)
    for end in (lambda: press(one, "Clear the mask"), one.generate):
        one.form.change(mask=mask)
        one.generate()
        press(one, "Use as picture")
        assert "The mask stays" in status(one)
        end()
        assert "The mask stays" not in status(one)
    one.form.change(mask=None)
    one.generate()
    press(one, "Use as picture")
    assert "The mask stays" not in status(one)


def test_what_a_tab_was_set_to_stays_when_a_picture_comes(studio):
    studio.panel.generate()
    studio.panels["img2img"].form.change(strength=0.3)
    studio.send(studio.gallery.pictures[0], "img2img")
    assert studio.request.strength == 0.3


A1111 = "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7.3, Seed: 7, Size: 64x64{}, Version: 1.9"


def given(studio, more):
    """The gallery is given a picture with the web UI's text."""
    info = PngInfo()
    info.add_text("parameters", A1111.format(more))
    studio.gallery.take(encoded(colour(size=(64, 64)), "PNG", pnginfo=info), "theirs.png")
    return studio.gallery.chosen


@pytest.mark.parametrize("name", TABS[1:])
def test_a_picture_of_the_web_ui_brings_its_denoising_strength(studio, name):
    for told in ("0.63", "0.75", "0.4, Hires upscale: 2, Hires steps: 10"):
        studio.panels[name].form.change(strength=0.31)
        studio.send(given(studio, f", Denoising strength: {told}"), name)
        assert (studio.request.strength, studio.request.cfg) == (float(told[:4].strip(",")), 7.3)
    for untold in ("", ", Denoising strength: 7"):  # the second is none
        studio.panels[name].form.change(strength=0.31, cfg=5)
        studio.send(given(studio, untold), name)
        assert (studio.request.strength, studio.request.cfg) == (0.31, 5)


def test_a_picture_brings_what_its_own_picture_and_mask_were_used_with(studio):
    photo = images.picture(colour(size=(64, 64)))
    mask = images.mask(colour(3, (64, 64)).convert("L"))
    panel = studio.show("inpaint")
    panel.request = Request(image=photo, mask=mask, strength=0.75, feather=3.3, padding=9)
    panel.generate()
    own = {"strength": 0.31, "feather": 1.7, "content": "fill", "padding": 7}
    for name in ("inpaint", "upscale"):
        studio.panels[name].form.change(**own)
        studio.send(studio.gallery.pictures[0], name)
    got = studio.panels["inpaint"].request
    assert (got.strength, got.feather, got.content, got.padding) == (0.75, 3.3, "original", 9)
    assert studio.request.strength == 0.31  # another kind of pass
    studio.panels["txt2img"].generate()
    studio.panels["inpaint"].form.change(**own)
    studio.send(studio.gallery.pictures[0], "inpaint")
    got = studio.panels["inpaint"].request
    assert {name: getattr(got, name) for name in own} == own


@pytest.mark.parametrize(("told", "strength"), [("", 0.31), (", Denoising strength: 0.75", 0.75)])
@pytest.mark.parametrize("name", TABS[1:4])  # a sketch has no such button: one draws
def test_settings_of_an_uploaded_picture_change_only_what_they_tell(studio, name, told, strength):
    panel = studio.show(name)
    panel.form.change(strength=0.31, feather=2.2)
    info = PngInfo()
    info.add_text("parameters", A1111.format(told))
    data = encoded(colour(size=(64, 64)), "PNG", pnginfo=info)
    panel.form.controls["image"].take(data, "theirs.png")
    press(panel, "Use its settings")
    got = panel.request
    assert (got.image, got.cfg) == (images.picture(data), 7.3)
    assert (got.strength, got.feather) == (strength, 2.2)


@pytest.mark.parametrize("way", ["upload", "gallery", "tab"])
def test_files_of_an_uploaded_picture_are_looked_for_in_the_library(studio, way, tmp_path):
    """Here by the hash in a LoRA's metadata; what is missing is said below the picture."""
    weights = {"lora_unet_x.lora_down.weight": torch.zeros(1, 768)}
    save_file(weights, tmp_path / "mist.safetensors", metadata={"sshs_model_hash": "ab" * 32})
    for model in (studio.model, studio.panels["img2img"].model):
        model.library = Library(tmp_path)
    info = PngInfo()
    hashes = f', Lora hashes: "fog: {"ab" * 6}", TI hashes: "gone: {"0" * 12}"'
    info.add_text("parameters", A1111.format(hashes).replace("a cat", "a cat <lora:fog:0.5>", 1))
    data = encoded(colour(size=(64, 64)), "PNG", pnginfo=info)
    panel = studio.show("img2img")
    if way == "upload":
        panel.form.controls["image"].take(data, "theirs.png")
        press(panel, "Use its settings")
    else:
        studio.gallery.take(data, "theirs.png")
        picture = studio.gallery.chosen
        panel.use(picture) if way == "gallery" else studio.send(picture, "img2img")
    assert panel.request.prompt == "a cat <lora:mist:0.5>"
    said = panel._caption.value
    assert "lora &#x27;fog&#x27; is &#x27;mist&#x27; in this library" in said
    assert "no embedding &#x27;gone&#x27;" in said


def test_a_photograph_is_sent_and_the_tab_keeps_its_words(studio):
    studio.panels["img2img"].form.change(prompt="a cat", seed=3)
    photo = colour(size=(64, 64))
    studio.gallery.take(encoded(photo, "PNG"), "photo.png")
    studio.send(studio.gallery.chosen, "img2img")
    assert studio.request == Request("a cat", seed=3, image=images.picture(photo))


@pytest.mark.slow
def test_a_photograph_is_upscaled_from_its_own_size(studio):
    studio.gallery.take(encoded(colour(size=(48, 80)), "PNG"), "photo.png")
    press(studio.gallery, "to upscale")
    assert (studio.request.width, studio.request.height) == (160, 96)
    assert "the picture, 80 × 48" in read(studio.panel)
    assert "in the tab upscale now" in status(studio.gallery)


def test_a_large_picture_is_encoded_beside_the_kernel(studio):
    """Meanwhile the tab is open and says so; the last one that was sent is the one that comes."""
    large = encoded(Image.new("RGB", (2100, 1000), "red"), "PNG")

    async def clicks():
        for name in ("first.png", "second.png"):
            studio.gallery.take(large, name)
            press(studio.gallery, "to img2img")
        panel = studio.panels["img2img"]
        assert studio.panel is panel
        assert panel.form.request.image is None
        assert panel.generate() is None
        assert "is being read" in panel.progress.problem
        await asyncio.to_thread(until, lambda: panel.form.request.image is not None)
        return panel.form.request.image

    assert asyncio.run(clicks()) == images.picture(large)


def test_a_click_on_a_tab_that_comes_late_does_not_undo_a_sending(studio):
    """The page held it back, and had not heard yet of the tab that the kernel opened."""
    tabs = next(child for child in studio.children if isinstance(child, Tabs))
    page, asked = tabs.ear._ear, []
    page.send = asked.append
    page._handle_custom_msg({"ready": True}, [])
    studio.panel.generate()
    for name in ("inpaint", "upscale", "upscale"):
        studio.gallery.choose(studio.gallery.pictures[0])
        press(studio.gallery, f"to {name}")
        tabs.set_state({"selected_index": 1})
        assert studio.panel is studio.panels[name]
    first, *_, last = asked
    page._handle_custom_msg(first, [])  # of the first of them alone
    tabs.set_state({"selected_index": 1})
    assert studio.panel is studio.panels["upscale"]
    page._handle_custom_msg(last, [])
    tabs.set_state({"selected_index": 1})
    assert studio.panel is studio.panels["img2img"]
    studio.show("txt2img")
    page._handle_custom_msg({"ready": True}, [])  # another page, which shows what is selected
    tabs.set_state({"selected_index": 1})
    assert studio.panel is studio.panels["img2img"]
    studio.show("upscale")
    asked.clear()  # the answer to that is lost
    tabs.set_state({"selected_index": 1})
    assert studio.panel is studio.panels["upscale"]
    page._handle_custom_msg(asked[-1], [])
    tabs.set_state({"selected_index": 1})
    assert studio.panel is studio.panels["img2img"]


def test_what_brings_no_settings_is_not_sent_where_they_are_all_that_counts(studio):
    studio.gallery.take(encoded(colour(size=(48, 80)), "PNG"), "photo.png")
    press(studio.gallery, "to txt2img")
    assert studio.request == Request()
    assert "brings no settings" in alert(studio.gallery)


def test_a_model_of_another_size_brings_its_own_to_upscale(studio):
    panel = studio.panels["upscale"]
    bigger = Model("bigger", Settings(128, 96, 5))
    studio._serve(bigger)
    assert (panel.request.width, panel.request.height) == (256, 192)
    panel.form.change(width=512, height=512)  # said by hand: it stays
    studio._serve(Model())
    assert (panel.request.width, panel.request.height) == (512, 512)


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
    assert all(job.wait(60) for job in jobs)
    assert {job.state for job in jobs} <= {"stopped", "done"}


@pytest.mark.parametrize(
    ("name", "words"), [("img2img", "no picture yet"), ("inpaint", "no picture yet")]
)
def test_a_grid_is_refused_what_its_tab_refuses(studio, name, words):
    find(studio.grid, "Settings of").value = name
    assert studio.grid.run() is None
    assert words in alert(studio.grid)


# -- the picker ------------------------------------------------------------------------------------


OURS = ["the built-in model", "tiny-fast · the built-in model in 4 steps"]
WHOLE = "b · Stable Diffusion 1.x"
EMPTY = "A · not used: it is empty (0 bytes): its download or copy failed. Download it again."
BARE = "c · not used: it has no denoiser (unet) that sdnb knows"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(known, "path", lambda: tmp_path / "cache" / "library.json")
    (tmp_path / "A.ckpt").touch()
    (tmp_path / "notes.txt").touch()
    cross = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight"
    whole = {cross: (1280, 768), "cond_stage_model.transformer.x": (1,)}
    hostile.headed(tmp_path / "b.safetensors", *hostile.laid_out(whole))
    hostile.headed(tmp_path / "lora.safetensors", *hostile.laid_out(kohya()))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    (tmp_path / "d").mkdir()
    return tmp_path


def test_a_folder_is_looked_through_for_models_and_those_that_cannot_be_used_say_why(folder):
    one = ModelPicker(Model(), folder, pytest.fail, pytest.fail)
    assert listed(one) == [*OURS, EMPTY, WHOLE, BARE]
    assert listed(ModelPicker(Model(), folder / "no", pytest.fail, pytest.fail)) == OURS


def test_another_model_is_loaded_when_the_last_one_is_free(monkeypatch, folder):
    order = []
    old, new = Model("old"), Model("new")
    monkeypatch.setattr(picker, "read_checkpoint", lambda path, _: order.append(f"look {path}"))
    monkeypatch.setattr(picker, "load_model", lambda path, **_: order.append(f"load {path}") or new)
    one = ModelPicker(old, folder, lambda: order.append("free"), lambda m: order.append(m.name))
    find(one, "Model").value = str(folder / "c")
    one._thread.join(60)
    assert order == [f"look {folder / 'c'}", "free", f"load {folder / 'c'}", "new"]
    assert "new: loaded in" in status(one)
    assert not find(one, "Load").disabled


def test_a_folder_without_a_model_is_the_library_of_the_one_that_is_there(studio, folder):
    for name in ("A.ckpt", "b.safetensors"):
        (folder / name).unlink()
    shutil.rmtree(folder / "c")
    panel, mine = studio.panel, studio.model
    assert panel.form.addons._library is None
    find(studio.picker, "or path").value = str(folder)
    press(studio.picker, "Load")
    studio.picker._thread.join(60)
    words = f"{folder} is the library of fake now: 1 LoRA, and no model."
    assert status(studio.picker) == words
    assert [file.name for file in studio.model.library.files("lora")] == ["lora"]
    assert panel.form.addons._library is studio.panels["img2img"].form.addons._library
    assert studio.model is panel.model is mine
    find(studio.picker, "or path").value = str(folder / "d")  # nothing is in it
    press(studio.picker, "Load")
    studio.picker._thread.join(60)
    assert "stays." in alert(studio.picker)
    assert len(studio.model.library.files()) == 1


ORIGIN = {"path": "mine", "memory": "2gb", "precision": "full", "vae": "soft", "config": None}


def loads(monkeypatch, *wrong):
    """Loading that notes its arguments; places of `wrong` can be looked into, and then fail."""
    calls = []

    def loaded(path=None, progress=None, **more):
        calls.append({"path": path, **more})
        if path in wrong:
            raise OSError(f"{path}: the <disk> is broken")
        return Model(path or "embedded", load_arguments={"path": path, **more})

    monkeypatch.setattr(picker, "load_model", loaded)
    monkeypatch.setattr(picker, "read_checkpoint", lambda *_: None)
    return calls


@pytest.mark.parametrize("place", ["nowhere/model.safetensors", "/nope/<folder>", "notes.txt"])
def test_a_wrong_path_costs_nothing(monkeypatch, folder, place):
    monkeypatch.chdir(folder)
    one = ModelPicker(Model("mine", load_arguments=ORIGIN), None, pytest.fail, pytest.fail)
    find(one, "or path").value = place
    press(one, "Load")
    one._thread.join(60)
    said = alert(one)
    assert place in said
    assert "mine stays." in said
    assert "<folder>" not in one._message.value
    assert find(one, "or path").value == place  # to be mended
    assert find(one, "Model").value == "mine"  # in use
    assert not find(one, "Load").disabled
    find(one, "or path").value = "another"
    assert one._message.value == ""


def test_where_loading_fails_the_last_model_comes_back_as_it_was_and_it_is_said(monkeypatch):
    calls, served = loads(monkeypatch, "other"), []
    one = ModelPicker(Model("mine", load_arguments=ORIGIN), None, lambda: None, served.append)
    one.load("other").join(60)
    assert calls == [{"path": "other", "memory": "2gb", "precision": "full"}, ORIGIN]
    assert [model.name for model in served] == ["mine"]
    assert "the <disk> is broken" in alert(one)
    assert "mine was loaded again" in alert(one)
    assert find(one, "Model").value == "mine"
    one.load("third").join(60)  # the wishes are still known
    assert calls[-1] == {"path": "third", "memory": "2gb", "precision": "full"}


def test_after_a_failure_the_list_shows_what_is_in_use_and_the_error_stays(monkeypatch, folder):
    chosen = str(folder / "A.ckpt")
    loads(monkeypatch, chosen)
    mine = Model("c", load_arguments={"path": str(folder / "c")})
    one = ModelPicker(mine, folder, lambda: None, lambda _: None)
    find(one, "Model").value = chosen
    one._thread.join(60)
    assert find(one, "Model").value == str(folder / "c")
    assert "A.ckpt: the <disk> is broken" in alert(one)
    find(one, "Model").value = ""  # the next choice: it was read
    one._thread.join(60)
    assert alert(one) == ""


def test_what_is_chosen_while_something_runs_waits_for_load_and_says_so(monkeypatch):
    """A slip in the list would end the run, and drop all that waits."""
    calls, busy = loads(monkeypatch), [True]
    one = ModelPicker(Model(), None, lambda: None, lambda _: None, busy=lambda: busy[0])
    find(one, "Model").value = "tiny-fast"
    one.quiet()  # the next run of a queue begins
    assert "Not loaded yet" in status(one)
    assert "loads tiny-fast" in status(one)
    find(one, "Model").value = ""  # back
    assert status(one) == ""
    find(one, "Model").value = "tiny-fast"
    press(one, "Load")
    one._thread.join(60)
    busy[0] = False
    find(one, "Model").value = ""
    one._thread.join(60)
    assert [call["path"] for call in calls] == ["tiny-fast", None]


def test_a_studio_is_busy_while_a_run_or_a_grid_goes_on():
    gate, run = gated()
    studio = Studio(Model(), executor=Worker(run))
    assert not studio.running
    job = studio.panel.generate()
    find(studio.picker, "Model").value = "tiny-fast"
    assert studio.running
    assert "Not loaded yet" in status(studio.picker)
    studio.stop()
    gate.release()
    assert job.wait(60)
    until(lambda: not studio.running)
    view = studio.grid.run()
    assert studio.running
    studio.stop()
    gate.release()
    assert view.wait(60)
    assert not studio.running


def test_a_model_that_nobody_can_make_again_is_not_said_to_be_there(monkeypatch):
    loads(monkeypatch, "other")
    one = ModelPicker(Model("made by hand"), None, lambda: None, lambda _: None)
    one.load("other").join(60)
    assert "made by hand is gone, embedded was loaded" in alert(one)


def test_where_no_model_can_be_loaded_the_studio_says_so_and_takes_the_next(monkeypatch, studio):
    studio.picker._load_arguments = {"path": "mine"}
    loads(monkeypatch, "mine", "other")
    studio.picker.load("other").join(60)
    assert "fake could not be loaded again either: mine: the" in alert(studio.picker)
    panel, model = studio.panel, find(studio.picker, "Model")
    assert model.value is None  # as is the case
    assert find(panel, "Generate").disabled
    assert beside(panel, "Stop").startswith("no model is loaded")
    assert panel.generate() is None
    assert "no model is loaded" in panel.progress.problem
    press(studio.picker, "Load")
    assert "Choose a model" in status(studio.picker)
    studio.picker.load("third").join(60)
    assert not find(panel, "Generate").disabled
    assert beside(panel, "Stop") == ""
    assert (studio.model.name, model.value) == ("third", "third")


def test_a_model_that_cannot_be_served_is_freed_before_the_last_one_comes_back(monkeypatch):
    loads(monkeypatch)
    served = []

    def serve(model):
        served.append(model)
        if model.name == "other":
            raise KeyError("settings")

    one = ModelPicker(Model("mine", load_arguments=ORIGIN), None, lambda: None, serve)
    one.load("other").join(60)
    assert [(model.name, model.unloaded) for model in served] == [("other", True), ("mine", False)]
    assert "mine was loaded again" in alert(one)


def test_the_list_and_the_box_do_not_contradict_each_other(monkeypatch, folder):
    calls = loads(monkeypatch)
    place = str(folder / "c")
    one = ModelPicker(
        Model("c", load_arguments={"path": place}), folder, lambda: None, lambda _: None
    )
    assert find(one, "Model").value == place  # what is there
    find(one, "or path").value = "/some/where"
    assert find(one, "Model").value == place  # still there, whatever is written
    find(one, "or path").value = " "
    assert find(one, "Model").value == place
    find(one, "or path").value = "/some/where"
    find(one, "Model").value = ""  # another is chosen: the box is empty
    assert find(one, "or path").value == ""
    one._thread.join(60)
    assert (calls[-1]["path"], find(one, "Model").value) == (None, "")
    find(one, "or path").value = "/some/where"
    press(one, "Load")
    one._thread.join(60)
    assert calls[-1]["path"] == "/some/where"
    assert (find(one, "Model").value, find(one, "or path").value) == ("/some/where", "")


def test_while_a_model_is_loaded_nothing_else_begins(monkeypatch, studio):
    loads(monkeypatch)
    come, go = threading.Event(), threading.Event()
    made = picker.load_model

    def slow(*args, **more):
        come.set()
        assert go.wait(60)
        return made(*args, **more)

    monkeypatch.setattr(picker, "load_model", slow)
    thread = studio.picker.load("other")
    assert come.wait(60)
    assert find(studio.panel, "Generate").disabled
    assert find(studio.grid, "Run grid").disabled
    assert beside(studio.panel, "Stop") == "a model is being loaded"
    assert studio.panel.generate() is None
    assert "a model is being loaded" in studio.panel.progress.problem
    with pytest.raises(RuntimeError, match="already"):
        studio.picker.load("third")
    go.set()
    thread.join(60)
    assert not find(studio.panel, "Generate").disabled
    assert not find(studio.grid, "Run grid").disabled
    assert beside(studio.panel, "Stop") == ""


def test_a_model_is_not_freed_under_a_run(monkeypatch):
    loads(monkeypatch)
    monkeypatch.setattr("sdnb.widgets.studio._STOP_SECONDS", 0.2)
    model = Model("mine", load_arguments=ORIGIN)
    gate, run = gated()
    monkeypatch.setitem(engine_door._workers, model, Worker(run))
    studio = Studio(model)
    elsewhere = Panel(model)  # of another cell: it shares the model
    job = elsewhere.generate()
    gate.release()
    until(lambda: job.progress and job.progress.step == 1)
    studio.picker.load("other").join(60)
    assert "mine is still at work" in alert(studio.picker)
    assert (studio.model, model.unloaded) == (model, False)
    assert not find(studio.panel, "Generate").disabled
    gate.release()
    assert job.wait(60)
    studio.picker.load("other").join(60)
    assert model.unloaded
    assert studio.model.name == "other"


def test_a_folder_in_the_box_is_opened_as_a_library(monkeypatch, folder):
    calls = loads(monkeypatch)
    one = ModelPicker(Model(), None, lambda: None, lambda _: None)
    find(one, "or path").value = str(folder)
    press(one, "Load")
    one._thread.join(60)
    assert listed(one) == [*OURS, EMPTY, WHOLE, BARE]
    assert "3 models in" in status(one)
    assert "The list says why 2 cannot be used." in status(one)
    one.load(str(folder / "b.safetensors")).join(60)
    assert calls[-1]["library"].folders == (folder,)  # for LoRAs and embeddings


def test_a_folder_without_models_is_said(folder):
    one = ModelPicker(Model(), None, pytest.fail, pytest.fail)
    one.load(str(folder / "d")).join(60)
    assert "no diffusers model" in alert(one)
    assert "The built-in model stays." in alert(one)


def test_what_is_like_a_wrong_path_is_one_press_away(monkeypatch):
    look_into = picker.read_checkpoint
    calls = loads(monkeypatch)
    monkeypatch.setattr(picker, "read_checkpoint", look_into)
    one = ModelPicker(Model(), None, lambda: None, lambda _: None)
    one.load("/no/such/tiny-fats.safetensors").join(10)
    said = alert(one)
    assert "no file or folder '/no/such/tiny-fats.safetensors'" in said
    assert "The built-in model stays. Mend the path, or choose from the list." in said
    press(one, "Load tiny-fast")
    one._thread.join(10)
    assert calls[-1]["path"] == "tiny-fast"
    one.load("/no/such/dreamshaper.safetensors").join(10)
    assert "The list has" not in read(one)


def test_the_studio_frees_the_old_model_and_serves_the_new(monkeypatch, studio):
    old, new = studio.model, Model("new")
    monkeypatch.setattr(picker, "read_checkpoint", lambda *_: None)
    monkeypatch.setattr(picker, "load_model", lambda *_, **__: new)
    studio.picker.load("new").join(60)
    assert old.unloaded
    assert studio.model is new
    assert all(panel.model is new for panel in studio.panels.values())


def test_one_thread_for_each_model():
    one, other = Model("one"), Model("other")
    assert engine_door.worker_of(one) is engine_door.worker_of(one)
    assert engine_door.worker_of(one) is not engine_door.worker_of(other)


# -- cells that run again -----------------------------------------------------------------------


PARENT = {"metadata": {"cellId": "this"}, "header": {"msg_id": "first"}}


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

    shell = SimpleNamespace(events=Events(), get_parent=lambda: PARENT)
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
    monkeypatch.setattr(lifetime, "UNSEEN_SECONDS", 0.1)
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
    assert stops.wait(60)
