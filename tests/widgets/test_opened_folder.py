"""A gallery opens its folder: what is there is shown, read when it is looked at, and put away."""

import os
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.fakes import Model, make, until
from helpers.pictures import colour, encoded
from helpers.widget_hands import alert, called, press, read, thumbs

from sdnb import images
from sdnb.images.result import Progress
from sdnb.images.saved import place_of
from sdnb.jobs.executor import Inline
from sdnb.request import Request, Settings
from sdnb.widgets.gallery import file_picture, gallery_picture, opened_folder
from sdnb.widgets.gallery.gallery import Gallery
from sdnb.widgets.gallery.kept_gallery import saving_gallery
from sdnb.widgets.gallery.thumbnails import PAGE
from sdnb.widgets.panel import Panel
from sdnb.widgets.studio import Studio

pytestmark = pytest.mark.slow


def made(seed=0, **fields):
    *_, last = make(Request("a <cat>", seed=seed, **fields).resolved(Settings(64, 64, 1)))
    return last.result


def one_by_one(request):
    """A run that gives its pictures as they are finished."""
    *_, last = make(request)
    for count in range(1, request.count):
        some = replace(
            last.result, images=last.result.images[:count], request=request.but(count=count)
        )
        yield Progress(count, request.count, 0.1, so_far=some)
    yield Progress(request.count, request.count, 0.1, result=last.result)


def opened(folder):
    return Gallery(folder, opened=True)


@pytest.fixture
def folder(place):
    """Pictures of an earlier session: of seeds 1, 2 and 3, the last one the newest."""
    folder = place / "outputs"
    for seed in (1, 2, 3):
        path = made(seed, cfg=6.5).save(folder)[0]
        os.utime(path, (1000 + seed, 1000 + seed))
    return folder


def test_what_is_there_is_shown_the_newest_first(folder):
    (folder / "notes.txt").write_text("no picture")
    (folder / "more").mkdir()
    made(9).save(folder / "more")
    gallery = opened(folder)
    assert [p.request.seed for p in gallery.pictures] == [3, 2, 1]
    until(lambda: "being read" not in read(gallery))
    gallery.refresh()
    assert [slot.tooltip for slot in thumbs(gallery)] == [
        f"0000{seed}-{seed}-a-cat.png, a <cat>" for seed in (3, 2, 1)
    ]
    thumbs(gallery)[1].click()
    assert np.array_equal(gallery.chosen.image, made(2, cfg=6.5).image)
    assert "CFG 6.5" in read(gallery)
    assert gallery.results == []  # those that were made in this session


def test_pictures_of_a_batch_have_their_numbers_in_the_next_session(place):
    """Each was saved when it was finished, as one of those that were asked for."""
    folder = place / "outputs"
    panel = Panel(Model(), gallery=Gallery(folder, autosave=True), executor=Inline(one_by_one))
    panel.request = Request("a cat", seed=7, count=3)
    panel.generate()
    panel.form.change(seed=30, count=1)
    panel.generate()
    gallery = opened(folder)
    until(lambda: all(picture.thumb for picture in gallery.pictures))
    which = {picture.request.seed: picture.which for picture in gallery.pictures}
    assert which == {
        7: "picture 1 of 3", 8: "picture 2 of 3", 9: "picture 3 of 3", 30: "",
    }  # fmt: skip
    until(lambda: 'content: "3"' in gallery._thumbs._backgrounds.value)
    gallery.choose(next(p for p in gallery.pictures if p.request.seed == 8))
    assert "Opened from the gallery: picture 2 of 3 · seed 8" in read(gallery)
    assert not called(gallery, "Save sheet")  # the others of its run may be gone
    gallery.take(gallery.chosen.saved.read_bytes(), "sent-by-a-friend.png")
    assert gallery.chosen.which == "picture 2 of 3"


def test_a_thumbnail_reads_the_number_without_the_picture(folder, monkeypatch):
    path = images.save(made(5, count=2), folder)[1]
    monkeypatch.setattr(file_picture, "from_path", None)  # which would read it all
    picture = file_picture.FilePicture(path)
    assert picture.which == ""
    picture.read_thumb(96)
    assert picture.which == "picture 2 of 2"


@pytest.mark.parametrize("told", [[0, 3], [4, 3], [1, 10**9], [True, 2], "12", [1], None, {}])
def test_a_place_that_is_none_is_left_out(told):
    assert place_of(told) is None


def test_a_new_one_is_first_and_the_studio_goes_on(folder):
    studio = Studio(Model(), executor=Inline(make), folder=folder)
    assert studio.result is None
    studio.panel.generate()
    assert studio.result is studio.gallery.pictures[0].result
    assert len(studio.gallery.pictures) == 4
    assert len(list(folder.glob("*.png"))) == 4
    studio.send(studio.gallery.pictures[3], "img2img")
    assert studio.request.image == images.picture(made(1, cfg=6.5).image)
    studio.send(studio.gallery.pictures[3], "txt2img")
    assert (studio.request.seed, studio.request.cfg) == (1, 6.5)


def test_thumbnails_come_by_themselves_and_nothing_else_is_read(folder, monkeypatch):
    read = []
    monkeypatch.setattr(gallery_picture, "_told", read.append)
    gallery = opened(folder)
    until(lambda: gallery._thumbs._backgrounds.value.count("data:image/jpeg") == 3)
    assert read == []


def test_thousands_are_bounded_and_said(place, monkeypatch):
    monkeypatch.setattr(opened_folder, "MOST", PAGE + 6)
    png = encoded(colour(size=(8, 8)), "PNG")
    (place / "many").mkdir()
    for number in range(PAGE + 26):
        (place / "many" / f"{number:02d}.png").write_bytes(png)
        os.utime(place / "many" / f"{number:02d}.png", (number, number))
    gallery = opened(place / "many")
    words = [p.words for p in gallery.pictures]
    assert words == [f"{number:02d}.png" for number in range(PAGE + 25, 19, -1)]
    assert f"{PAGE + 6} pictures · page 1 of 2 · 20 older ones are only in" in read(gallery)
    until(lambda: gallery._thumbs._backgrounds.value.count("data:image/jpeg") == PAGE)
    assert not any(p.thumb for p in gallery.pictures[PAGE:])  # not before they are looked at
    press(gallery, "older")
    until(lambda: gallery._thumbs._backgrounds.value.count("data:image/jpeg") == 6)


def test_a_photograph_and_what_is_no_picture(folder):
    (folder / "photo.jpg").write_bytes(encoded(colour(size=(64, 48)), "JPEG"))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    gallery = opened(folder)
    until(lambda: gallery._thumbs._backgrounds.value.count("data:image/jpeg") == 4)
    shown = {slot.tooltip.split(":")[0]: slot for slot in thumbs(gallery)}
    assert "sdnb-damaged" in shown["broken.png"]._dom_classes
    # By its header, which is read first, and by its pixels.
    damaged = "broken.png: it is damaged or cut short; get the file again"
    assert shown["broken.png"].tooltip == damaged
    shown["photo.jpg"].click()
    assert gallery.chosen.image.size == (48, 64)
    assert "without settings" in read(gallery)
    shown["broken.png"].click()
    assert "broken.png" in alert(gallery)
    assert gallery.chosen.words == "photo.jpg"  # as before


def test_a_file_that_is_gone_is_said(folder):
    gallery = opened(folder)
    (folder / "00002-2-a-cat.png").unlink()
    thumbs(gallery)[1].click()
    assert "00002-2-a-cat.png" in alert(gallery)
    assert gallery.chosen is None
    gallery.delete(gallery.pictures[1])
    assert len(gallery.pictures) == 2


def test_a_file_that_was_replaced_is_read_again(folder):
    gallery = opened(folder)
    before = gallery.pictures[0].image
    path = gallery.pictures[0].saved
    path.unlink()
    made(77).save(folder, path.name)
    assert not np.array_equal(gallery.pictures[0].image, before)
    assert gallery.pictures[0].request.seed == 77


def test_only_a_few_stay_in_memory(folder):
    file_picture._looked_at.cache_clear()
    gallery = opened(folder)
    for seed in range(4, 12):
        made(seed).save(folder)
    gallery = opened(folder)
    assert len({p.image.tobytes() for p in gallery.pictures}) == 11
    assert file_picture._looked_at.cache_info().currsize == 4


def test_a_folder_that_cannot_be_opened_is_said(place):
    (place / "outputs").write_text("in the way")
    gallery = opened(place / "outputs")
    assert f"'{place / 'outputs'}' are not shown: Not a directory" in alert(gallery)
    assert gallery.pictures == []


def test_no_folder_is_no_error_and_none_is_made(place):
    assert opened(place / "outputs").pictures == []
    assert not (place / "outputs").exists()


def test_what_is_deleted_is_put_away_and_does_not_come_back(folder):
    gallery = opened(folder)
    thumbs(gallery)[0].click()
    press(gallery, "Delete")
    assert f"moved to {folder / 'deleted'}" in read(gallery)
    press(gallery, "Delete 1")
    assert [p.request.seed for p in opened(folder).pictures] == [2, 1]
    again = made(3, cfg=6.5).save(folder)[0]
    assert again.name == "00003-3-a-cat.png"
    gallery = opened(folder)
    gallery.delete(gallery.pictures[0])
    names = sorted(path.name for path in (folder / "deleted").iterdir())
    assert names == ["00003-3-a-cat-2.png", "00003-3-a-cat.png"]


def test_a_gallery_that_did_not_open_its_folder_leaves_files_where_they_are(folder):
    gallery = Gallery(folder, autosave=True, opened=False)
    gallery.add(made(4))
    gallery.delete(gallery.pictures[0])
    assert len(list(folder.glob("*.png"))) == 4
    assert not (folder / "deleted").exists()


# -- a cell that runs again -----------------------------------------------------------------------


@pytest.fixture
def cell(monkeypatch):
    """A cell of a notebook; calling it runs it again."""
    events = SimpleNamespace(register=lambda *_: None, unregister=lambda *_: None)
    parent = {"metadata": {"cellId": os.urandom(8).hex()}, "header": {"msg_id": "0"}}
    shell = SimpleNamespace(events=events, get_parent=lambda: parent)
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)

    def run(*makers):
        parent["header"]["msg_id"] += "0"
        return [maker() for maker in makers]

    return run


def a_panel():
    return Panel(Model(), executor=Inline(make))


def a_studio():
    return Studio(Model(), executor=Inline(make))


def test_a_studio_whose_cell_runs_again_keeps_its_gallery(cell, folder):
    (one,) = cell(a_studio)
    one.gallery.autosave.on = False
    one.panel.generate()
    one.gallery.pictures[0].kept = True
    (other,) = cell(a_studio)
    assert other.gallery is not one.gallery
    assert other.gallery.pictures == one.gallery.pictures
    assert len(other.gallery.pictures) == 4  # files are not there twice
    assert other.result is one.result
    assert len(thumbs(other.gallery)) == 4


def test_what_the_old_one_still_makes_comes_to_the_new_one(cell):
    (one,) = cell(a_panel)
    (other,) = cell(partial(saving_gallery, "outputs"))
    one.generate()
    assert len(other.pictures) == 1
    assert other.pictures[0].saved.exists()
    assert one.gallery.pictures == []


def test_each_of_a_cells_panels_keeps_its_own(cell):
    first, second = cell(a_panel, a_panel)
    first.generate()
    assert second.gallery.pictures == []
    again, other = cell(a_panel, Gallery)
    assert again.gallery.pictures == first.gallery.pictures
    assert other.pictures == []
    (third,) = cell(partial(saving_gallery, "outputs"))  # the cell was changed
    assert third.pictures == first.gallery.pictures


def test_another_folder_is_another_gallery(cell, place):
    (one,) = cell(partial(saving_gallery, place / "outputs"))
    one.add(made(1))
    (other,) = cell(partial(saving_gallery, place / "others"))
    assert other.pictures == []
