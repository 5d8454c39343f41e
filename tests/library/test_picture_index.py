"""What pictures tell is read once, and again when a file changes."""

import json
import os

import pytest
from helpers.pictures import result
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from sdnb import images
from sdnb.images import glance
from sdnb.library import known, picture_index
from sdnb.library.picture_index import PictureIndex


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(known, "path", lambda: tmp_path / "cache" / "library.json")
    folder = tmp_path / "pictures"
    for seed in range(4):
        images.save(result(f"fox {seed}", seed=seed), folder)
    return folder


def listed(folder):
    return {path: known.stamp(path) for path in sorted(folder.rglob("*.png"))}


def read(folder):
    index = PictureIndex(folder)
    there = listed(folder)
    seen = [index.read(path, stamp) for path, stamp in there.items()]
    assert index.remember(list(there)) == ""
    return seen


def test_the_second_time_no_file_is_opened(folder, monkeypatch):
    first = read(folder)
    assert [seen.prompt for seen in first] == [f"fox {seed}" for seed in range(4)]
    monkeypatch.setattr(glance, "of_file", None)  # which would read one
    assert read(folder) == first


@how(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from("wdxc"), st.integers(0, 5)), max_size=12))
def test_whatever_happens_to_files_it_tells_what_is_there(tmp_path_factory, turns):
    """Against reading every header anew: files are written, removed, damaged and renamed between
    two looks.
    """
    folder = tmp_path_factory.mktemp("any")
    for at, (what, number) in enumerate(turns):
        path = folder / f"{number}.png"
        if what == "w":
            path.unlink(missing_ok=True)
            images.save(result(f"turn {at}"), folder, path.name)
        elif what == "d":
            path.unlink(missing_ok=True)
        elif what == "x" and path.exists():
            path.write_bytes(path.read_bytes()[: 40 + at])
        elif what == "c" and path.exists():
            path.rename(folder / f"{number + 10}.png")
        assert read(folder) == [glance.of_file(path) for path in listed(folder)]


def test_only_what_is_there_is_kept(folder):
    read(folder)
    next(iter(listed(folder))).unlink()
    read(folder)
    kept = json.loads(PictureIndex(folder).path.read_text())
    assert sorted(kept["pictures"]) == [path.name for path in listed(folder)]


@pytest.mark.parametrize(
    "damage",
    ["", "{}", "[1]", '{"version": 1, "pictures": {"a.png": [1]}}', '{"version": 0, "pictures": 3}',
     '{"version": 1, "pictures": 3}'],
)  # fmt: skip
def test_a_damaged_cache_is_read_as_none(folder, damage):
    first = read(folder)
    PictureIndex(folder).path.write_text(damage)
    assert read(folder) == first


def test_a_cache_that_cannot_be_written_is_said(folder, tmp_path):
    (tmp_path / "cache").write_text("in the way")
    index = PictureIndex(folder)
    assert "could not be kept" in index.remember(list(listed(folder)))


def test_a_moved_folder_is_read_anew_and_old_caches_go(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(picture_index, "_FOLDERS", 2)
    for number in range(3):
        other = tmp_path / f"moved-{number}"
        folder.rename(other)
        assert len(read(other)) == 4
        kept = PictureIndex(other).path
        os.utime(kept, (number, number))
        folder = other
    assert len(list(kept.parent.glob("*.json"))) == 2
