"""Every picture is saved by itself: once, with its recipe; a save that fails stops nothing."""

import errno
import json

import pytest
from helpers.fakes import Model, make
from helpers.pictures import colour, encoded
from helpers.widget_hands import alert, find, press, read, status
from widgets.test_panel_batches import THREE, one_by_one

import sdnb
from sdnb.images import saving
from sdnb.jobs.executor import Inline
from sdnb.request import Request
from sdnb.widgets import remembered
from sdnb.widgets.gallery.gallery import Gallery
from sdnb.widgets.gallery.kept_gallery import saving_gallery
from sdnb.widgets.panel import Panel
from sdnb.widgets.studio import Studio

SWITCH = "Save every picture to outputs"


def studio(**more):
    return Studio(Model(), executor=Inline(make), **more)


def gallery():
    return saving_gallery("outputs")


def panel(run=make, **more):
    return Panel(Model(), executor=Inline(run), **more)


def saved(place):
    return sorted(path for path in place.rglob("*.png") if path.parent.name != "inputs")


@pytest.fixture
def full(monkeypatch):
    """A disk without room, and a switch that makes room."""
    room = []
    write = saving.files.write_new

    def write_new(*arguments):
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(*arguments)

    monkeypatch.setattr(saving.files, "write_new", write_new)
    return room


def test_the_studio_saves_what_any_tab_makes(place):
    one = studio()
    for name in ("txt2img", "upscale"):
        one.show(name).request = Request("a cat", seed=7)
        one.panel.generate()
    assert [path.parent for path in saved(place)] == [place / "outputs"] * 3
    assert {sdnb.read(path).prompt for path in saved(place)} == {"a cat"}
    assert [p.saved.name for p in one.gallery.pictures[::-1]] == [p.name for p in saved(place)]


def test_each_of_a_batch_is_there_when_it_is_finished(place):
    counts = []
    one = panel(one_by_one(lambda _: counts.append(len(saved(place)))), autosave=True)
    one.request = THREE
    one.generate()
    assert counts == [1, 2]
    assert [sdnb.read(path).seed for path in saved(place)] == [7, 8, 9]


def test_a_panel_saves_only_if_asked(place):
    one = panel()
    one.generate()
    assert saved(place) == []
    find(one, SWITCH).value = True
    one.generate()
    assert [sdnb.read(path) for path in saved(place)] == [one.result.request.but()]
    assert not remembered.path().exists()  # it is the studio's that is remembered


def test_the_button_says_where_it_is_and_writes_no_second(place):
    one = panel(autosave=True)
    one.generate()
    (path,) = saved(place)
    press(one.view, "Save")
    assert status(one.view) == f"Saved as {path.relative_to(place)}"
    press(one.gallery, "Save all")
    assert saved(place) == [path]


@pytest.mark.parametrize("autosave", [True, False])
def test_it_is_downloaded_under_the_name_of_its_file(place, autosave):
    one = panel(autosave=autosave)
    one.generate()
    press(one.view, "Save")
    (path,) = saved(place)
    assert f'download="{path.name}"' in one.view._link.value


@pytest.mark.slow
def test_a_disk_that_is_full_is_said_once_and_stops_nothing(place, full):
    told = []
    one = panel(one_by_one(lambda _: told.append("No space left" in read(one._caption))))
    one.gallery.autosave.on = True
    one.request = THREE
    job = one.generate()
    assert job.state == "done"
    assert told == [True, True]
    assert read(one._caption).count("No space left") == 1
    assert "No space left" in alert(one.gallery)
    assert "Not saved yet: 3 pictures" in alert(one.gallery)
    assert [p.saved for p in one.gallery.pictures] == [None] * 3
    one.gallery.delete(one.gallery.pictures[1])
    one.request = Request("an owl", seed=0)
    one.generate()
    assert "No space left" not in read(one._caption)  # it is said beside the switch still
    assert "Not saved yet: 3 pictures" in alert(one.gallery)
    full.append("room")
    one.request = Request("a dog", seed=1)
    one.generate()
    assert [sdnb.read(path).seed for path in saved(place)] == [7, 9, 0, 1]
    assert alert(one.gallery) == ""


def test_a_folder_that_cannot_be_written_is_said_in_full_where_the_picture_is(place):
    (place / "outputs").write_text("a file, where a folder is to be")
    one = panel(autosave=True)
    one.generate()
    said = alert(one._caption)
    assert said.count("could not save to 'outputs'") == 1
    assert "choose another folder" in said
    assert "sdnb.studio(folder=...)" in said
    beside = alert(one.gallery)
    assert "File exists. Not saved yet: 1 picture." in beside
    assert "could not save" not in beside
    press(one.view, "Save")
    assert "choose another folder" in alert(one.view)
    press(one.gallery, "Save all")
    assert "choose another folder" in alert(one.gallery)


def test_the_switch_turned_off_and_on_tries_again(place, full):
    one = panel(autosave=True)
    one.generate()
    assert "No space left" in read(one._caption)
    full.append("room")
    find(one, SWITCH).value = False
    find(one, SWITCH).value = True
    assert len(saved(place)) == 1
    assert alert(one.gallery) == ""


def test_what_is_deleted_is_owed_no_longer(place, full):
    one = panel(autosave=True)
    one.generate()
    one.gallery.delete(*one.gallery.pictures)
    assert alert(one.gallery) == ""
    full.append("room")
    one.gallery.autosave.take([])
    assert saved(place) == []


def test_the_switch_of_the_studio_is_remembered(place):
    assert gallery().autosave.on
    find(gallery(), SWITCH).value = False
    assert json.loads(remembered.path().read_text()) == {"autosave": False}
    one = studio()
    one.panel.generate()
    assert not one.gallery.autosave.on
    assert saved(place) == []
    one.gallery.autosave.on = True  # in code: not remembered
    assert not gallery().autosave.on


def test_what_others_remember_stays(place):
    remembered.path().parent.mkdir()
    remembered.path().write_text('{"theirs": [1]}')
    find(gallery(), SWITCH).value = False
    assert json.loads(remembered.path().read_text()) == {"theirs": [1], "autosave": False}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "could not be read"),
        ("[1]", "no JSON object"),
        ('{"autosave": "no"}', "'no' in"),
        ("", "could not be read"),
    ],
)
def test_settings_that_make_no_sense_are_said_and_the_switch_is_on(text, words):
    remembered.path().parent.mkdir()
    remembered.path().write_text(text)
    one = gallery()
    assert one.autosave.on
    assert words in status(one)


def test_settings_that_cannot_be_written_are_said(place):
    remembered.path().parent.write_text("in the way")
    one = gallery()
    find(one, SWITCH).value = False
    assert "could not be remembered" in status(one)
    assert not one.autosave.on


def test_where_the_settings_are(monkeypatch):
    monkeypatch.undo()
    assert remembered.path().name == "settings.json"
    assert "sdnb" in remembered.path().parts


def test_an_upload_is_not_saved_by_itself(place):
    Gallery(autosave=True).take(encoded(colour(size=(64, 64)), "PNG"), "photo.png")
    assert saved(place) == []


@pytest.mark.parametrize("chosen", [True, False])
def test_code_has_the_last_word(chosen):
    assert studio(autosave=chosen).gallery.autosave.on == chosen
