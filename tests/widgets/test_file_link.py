"""The links beside Save: each brings the bytes of the file that was written."""

import io
import re
import zipfile
from base64 import b64decode

from helpers.fakes import make
from helpers.pictures import colour, encoded
from helpers.widget_hands import press

from sdnb.request import Request, Settings
from sdnb.widgets import file_link as links
from sdnb.widgets.file_link import file_link, files_link
from sdnb.widgets.gallery import Gallery

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
    monkeypatch.setattr(links, "_MOST_ZIPPED", 9)
    (tmp_path / "a").write_bytes(bytes(10))
    assert files_link([tmp_path / "a"]) == files_link([]) == ""


def test_the_gallerys_save_says_where_the_file_is_and_links_it(tmp_path):
    gallery = Gallery(tmp_path / "out")
    *_, last = make(Request("a cat", seed=5, count=2).resolved(Settings(64, 64, 1)))
    gallery.add(last.result)
    gallery.choose(gallery.pictures[1])
    press(gallery, "Save")
    (path,) = gallery.folder.glob("*.png")
    assert f"Saved as {path}" in gallery._message.value
    assert linked(gallery._message.value)[:3] == (path.name, "image/png", path.read_bytes())
    jpeg = encoded(colour(1), "JPEG")
    gallery.take(jpeg, "photo.jpg")  # as it was, and not as a PNG
    press(gallery, "Save")
    assert linked(gallery._message.value)[:3] == ("photo.jpg", "image/jpeg", jpeg)
    press(gallery, "Save all")
    with zipfile.ZipFile(io.BytesIO(linked(gallery._message.value)[2])) as archive:
        assert sorted(archive.namelist()) == sorted(p.name for p in gallery.folder.iterdir())
