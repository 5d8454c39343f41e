"""Names that are taken once, by whoever is first, and temporary files that are left over."""

import errno
import os
import time
from pathlib import Path

import pytest

from sdnb.images import files

YEAR = 365 * 24 * 3600


@pytest.fixture
def without_links(monkeypatch):
    """A file system such as FAT."""

    def link(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)


def test_without_links_a_name_appears_with_its_bytes(tmp_path, without_links, monkeypatch):
    seen, rename = [], Path.replace

    def replace(self, target):
        seen.append([path.name for path in tmp_path.glob("*.png")])
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    assert files.write_new(tmp_path, ["a.png", "b.png"], b"one").name == "a.png"
    assert files.write_new(tmp_path, ["a.png", "b.png"], b"two").name == "b.png"
    assert seen == [[], ["a.png"]]
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {
        "a.png": b"one",
        "b.png": b"two",
    }


def test_without_links_a_write_that_fails_leaves_nothing(tmp_path, without_links, monkeypatch):
    def replace(self, target):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError, match="Input/output"):
        files.write_new(tmp_path, ["a.png"], b"one")
    assert list(tmp_path.iterdir()) == []


def left_over(folder, seconds):
    path = folder / ".sdnb-0123456789abcdef.tmp"
    path.write_bytes(b"half")
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


@pytest.mark.parametrize(("seconds", "there"), [(0, True), (60, True), (3600, False)])
@pytest.mark.parametrize("ahead", [-YEAR, 0, YEAR])
def test_a_clock_that_is_wrong_removes_nothing_new(tmp_path, monkeypatch, seconds, there, ahead):
    path, now = left_over(tmp_path, seconds), time.time()
    monkeypatch.setattr(time, "time", lambda: now + ahead)
    files.remove_leftovers(tmp_path)
    assert path.exists() == there
    assert len(list(tmp_path.iterdir())) == there


def test_a_pipe_among_them_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / ".sdnb-0123456789abcdef.tmp")
    os.utime(tmp_path / ".sdnb-0123456789abcdef.tmp", (0, 0))
    files.remove_leftovers(tmp_path)


def test_what_a_living_writer_holds_stays_however_old_it_seems(tmp_path):
    with files._temporary(tmp_path, b"at work") as path:
        os.utime(path, (0, 0))
        files.remove_leftovers(tmp_path)
        assert path.read_bytes() == b"at work"
    assert list(tmp_path.iterdir()) == []
