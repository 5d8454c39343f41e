"""`sdnb lab`: the working copy is made, kept up to date, and never overwritten once it is yours."""

import json

import pytest

from sdnb import assets
from sdnb.__main__ import main
from sdnb.cli import lab


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A small stand-in for the notebooks that come with sdnb."""
    folder = tmp_path / "package" / "notebooks"
    (folder / "images").mkdir(parents=True)
    (folder / ".ipynb_checkpoints").mkdir()
    for name in ("01-txt2img.ipynb", "02-more.ipynb", "images/a.png", ".ipynb_checkpoints/x.ipynb"):
        (folder / name).write_text(f"first {name}", encoding="utf-8")
    monkeypatch.setattr(assets, "notebooks", lambda: folder)
    return folder


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "mine"


def contents(folder):
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != lab.RECORD)
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in found}


def test_everything_is_copied_and_said(source, folder):
    said = lab.copy_notebooks(folder)
    names = ("01-txt2img.ipynb", "02-more.ipynb", "images/a.png")
    assert contents(folder) == {name: f"first {name}" for name in names}
    assert said == [f"The notebooks are in {folder}"]


def test_an_untouched_copy_follows_an_update(source, folder):
    lab.copy_notebooks(folder)
    (source / "02-more.ipynb").write_text("second", encoding="utf-8")
    lab.copy_notebooks(folder)
    assert contents(folder)["02-more.ipynb"] == "second"


def test_a_changed_copy_stays_and_is_named(source, folder):
    lab.copy_notebooks(folder)
    (folder / "02-more.ipynb").write_text("mine", encoding="utf-8")
    for update in ("first 02-more.ipynb", "second", "third"):
        (source / "02-more.ipynb").write_text(update, encoding="utf-8")
        said = lab.copy_notebooks(folder)
        assert contents(folder)["02-more.ipynb"] == "mine"
        assert said[0].startswith("02-more.ipynb: changed by you")
    (folder / "02-more.ipynb").unlink()
    assert len(lab.copy_notebooks(folder)) == 1
    assert contents(folder)["02-more.ipynb"] == "third"


def test_a_file_that_was_there_before_stays(source, folder):
    folder.mkdir()
    (folder / "01-txt2img.ipynb").write_text("somebody's", encoding="utf-8")
    assert "changed by you" in lab.copy_notebooks(folder)[0]
    assert contents(folder)["01-txt2img.ipynb"] == "somebody's"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"02-more.ipynb": 5}'])
def test_an_unreadable_record_overwrites_nothing(text, source, folder):
    lab.copy_notebooks(folder)
    (folder / "02-more.ipynb").write_text("mine", encoding="utf-8")
    (folder / lab.RECORD).write_text(text, encoding="utf-8")
    (source / "02-more.ipynb").write_text("second", encoding="utf-8")
    lab.copy_notebooks(folder)
    assert contents(folder)["02-more.ipynb"] == "mine"


def test_sdnbs_own_notebooks_are_refused(source, capsys):
    assert main(["lab", "--dir", str(source), "--no-browser"]) == 2
    assert "holds sdnb's own notebooks" in capsys.readouterr().err


def test_a_folder_that_is_a_file_is_refused(source, tmp_path, capsys):
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["lab", "--dir", str(tmp_path / "file"), "--no-browser"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.process
def test_what_jupyterlab_is_told(source, folder, monkeypatch):
    from jupyterlab.labapp import LabApp

    told = []
    monkeypatch.setattr(LabApp, "launch_instance", told.extend)
    line = ["lab", "--dir", str(folder), "--no-browser", "--port", "9001", "--ip", "127.0.0.1"]
    assert main([*line, "--", "--LabApp.expose_app_in_browser=True"]) == 0
    assert f"--ServerApp.root_dir={folder}" in told
    assert "--ServerApp.open_browser=False" in told
    assert "--ServerApp.port=9001" in told
    assert "--ServerApp.ip=127.0.0.1" in told
    assert "--LabApp.default_url=/lab/tree/01-txt2img.ipynb" in told
    assert told[-1] == "--LabApp.expose_app_in_browser=True"


def test_the_first_notebook_is_one_of_ours():
    assert (assets.notebooks() / lab.FIRST).is_file()


def test_the_record_names_what_was_copied(source, folder):
    lab.copy_notebooks(folder)
    record = json.loads((folder / lab.RECORD).read_text(encoding="utf-8"))
    assert sorted(record) == ["01-txt2img.ipynb", "02-more.ipynb", "images/a.png"]
