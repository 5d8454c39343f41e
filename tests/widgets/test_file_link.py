"""The links beside Save: each brings the bytes of the file that was written."""

import io
import re
import zipfile
from base64 import b64decode

import ipywidgets as widgets
from helpers import grids
from helpers.fakes import Model, make, until
from helpers.pictures import colour, encoded
from helpers.widget_hands import called, find, press

import sdnb
from sdnb import images
from sdnb.jobs.executor import Inline
from sdnb.request import Request, Settings
from sdnb.widgets import file_link as links
from sdnb.widgets import result_view
from sdnb.widgets.file_link import file_link, files_link
from sdnb.widgets.gallery.gallery import Gallery
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.grid.grid_view import GridView
from sdnb.widgets.panel import Panel
from sdnb.widgets.studio import Studio

LINK = re.compile(
    r'<a [^>]*download="([^"]*)" href="data:([^;]*);base64,([^"]*)"><i [^>]*></i>([^<]*)</a>'
)


def linked(html):
    """The name, the type, the bytes and the words of the only link."""
    ((name, kind, data, words),) = LINK.findall(html)
    return name, kind, b64decode(data), words


def test_a_link_brings_the_bytes_under_the_name():
    assert linked(file_link("a.png", b"\0\xff")) == ("a.png", "image/png", b"\0\xff", "Download")
    name, kind, *_ = linked(file_link('"><script>.x-y', b""))
    assert (name, kind) == ("&quot;&gt;&lt;script&gt;.x-y", "application/octet-stream")


def test_several_files_are_one_zip(tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "b.jpg"]
    for path in paths:
        path.write_bytes(path.name.encode() * 100)
    name, kind, data, words = linked(files_link(paths))
    assert (name, kind, words) == ("sdnb-pictures.zip", "application/zip", "Download all")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {n: archive.read(n) for n in archive.namelist()} == {
            path.name: path.read_bytes() for path in paths
        }
    assert linked(files_link(paths[:1]))[2] == paths[0].read_bytes()


def test_what_is_too_large_for_a_page_has_no_link(tmp_path, monkeypatch):
    monkeypatch.setattr(links, "_MOST", 9)
    (tmp_path / "a").write_bytes(bytes(10))
    assert files_link([tmp_path / "a"]) == files_link([]) == ""


def test_the_gallerys_open_picture_is_saved_and_downloaded_under_the_name_of_its_file(tmp_path):
    gallery = Gallery(tmp_path / "out")
    link = gallery._opened_picture.link
    *_, last = make(Request("a cat", seed=5, count=2).resolved(Settings(64, 64, 1)))
    gallery.add(last.result)
    gallery.choose(gallery.pictures[1])
    name, kind, data, words = linked(link.value)
    assert (name, kind, words) == ("sdnb-5.png", "image/png", "Download")
    assert images.read(data) == gallery.pictures[1].request
    press(gallery, "Save")
    (path,) = gallery.folder.glob("*.png")
    said = gallery._opened_picture.said
    assert f"Saved as {path}" in said.value  # beside its buttons
    assert "<a " not in said.value  # one link is enough
    assert gallery._words.above.value == ""
    assert linked(link.value) == (path.name, "image/png", path.read_bytes(), "Download")
    gallery.choose(None)
    gallery.save_one(gallery.pictures[0])  # by its key
    assert linked(gallery._words.above.value)[0] == gallery.pictures[0].saved.name
    jpeg = encoded(colour(1), "JPEG")
    gallery.take(jpeg, "photo.jpg")  # as it was, and not as a PNG
    assert linked(link.value)[:3] == ("photo.jpg", "image/jpeg", jpeg)
    press(gallery, "Save all")
    with zipfile.ZipFile(io.BytesIO(linked(gallery._words.above.value)[2])) as archive:
        assert sorted(archive.namelist()) == sorted(p.name for p in gallery.folder.iterdir())
    gallery.choose(None)
    assert link.value == ""


def test_a_picture_of_the_folder_is_downloaded_byte_for_byte(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(encoded(colour(1), "JPEG"))
    gallery = Gallery(tmp_path, opened=True)
    gallery.choose(gallery.pictures[0])
    name, _, data, _ = linked(gallery._opened_picture.link.value)
    assert (name, data) == ("photo.jpg", (tmp_path / "photo.jpg").read_bytes())


def test_a_picture_of_live_is_downloaded_once_it_stays(monkeypatch):
    monkeypatch.setattr(result_view, "_PAUSE", 0.05)
    view = result_view.ResultView(widgets.Image(), lambda _: "", lambda _: ("", ""))
    first, second = (
        GalleryPicture(list(make(Request(seed=seed).resolved(Settings(64, 64, 1))))[-1].result)
        for seed in (5, 6)
    )
    view.show_live(first)
    view.show_live(second)  # at once: the first one needs no file
    assert view._link.value == ""
    until(lambda: view._link.value)
    name, _, data, words = linked(view._link.value)
    assert (name, words) == ("sdnb-6.png", "Download")
    assert images.read(data).seed == 6


def test_an_opened_cell_of_a_grid_is_downloaded_with_its_settings(tmp_path):
    grid = sdnb.sweep(grids.BASE, steps=[1, 2], seed=[5, 6])
    made = GridView(grid, grids.model(), executor=Inline(grids.make), folder=tmp_path / "kept")
    made._table.click(3)
    link = made._detail._link
    assert link.value == ""  # there is no picture yet
    made.run()
    assert made.wait(60)
    made._table.click(3)
    name, kind, data, words = linked(link.value)
    assert (name, kind, words) == ("sdnb-6.png", "image/png", "Download")
    assert images.read(data).seed == 6
    press(made, "Save")
    (path,) = (tmp_path / "kept").glob("*.png")
    assert linked(link.value)[:3] == (path.name, "image/png", path.read_bytes())


def test_the_galleries_open_picture_has_what_a_result_has(tmp_path):
    """By the same words and in the same order; what is in the panel can be seen there."""
    panel = Panel(Model(), executor=Inline(make), gallery=None)
    panel.request = Request("a cat", seed=5, count=2)
    panel.generate()
    panel.gallery.choose(panel.gallery.pictures[0])
    names = ["Save", "Compare", "Use its seed", "Use as picture", "Save sheet", "to Control"]
    for place in (panel.view, panel.gallery):
        assert [called(place, name) != [] for name in names] == [True] * len(names)
    press(panel.gallery, "Use its seed")
    assert (panel.request.seed, panel.request.count) == (6, 1)
    assert "The seed is 6 now, and Pictures is 1." in panel.gallery._opened_picture.said.value
    find(panel.form.seed.widget, "Seed").value = "9"
    assert panel.gallery._opened_picture.said.value == ""  # it is true no longer
    press(panel.gallery, "Use as picture")
    assert images.open(panel.request.image).tobytes() == panel.result.images[1].tobytes()


def test_a_photograph_has_no_seed_to_use(tmp_path):
    studio = Studio(Model(), executor=Inline(make), folder=tmp_path)
    studio.gallery.take(encoded(colour(1), "JPEG"), "photo.jpg")
    studio.request = Request(seed=3)
    press(studio.gallery, "Use its seed")
    assert "It brings no settings" in studio.gallery._opened_picture.said.value
    assert studio.request.seed == 3
