"""Results to files and back: nothing lost, nothing replaced, errors that say what to do."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.pictures import SETTINGS, Result, chunk, colour, result
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import sdnb
from sdnb import images
from sdnb.images import files
from sdnb.request import CONTENTS, ETA_SAMPLERS, SAMPLERS, SCHEDULES, Request

PICTURES = [images.picture(colour(seed, size)) for seed, size in ((1, (64, 64)), (2, (70, 90)))]


@st.composite
def resolved_requests(draw):
    image = draw(st.none() | st.sampled_from(PICTURES))
    count = draw(st.integers(1, 3))
    sampler, schedule = draw(st.sampled_from(SAMPLERS)), draw(st.sampled_from(SCHEDULES))
    few = schedule == "lcm"  # which has 50 levels, and fewer below strength 1
    return Request(
        prompt=draw(st.text()),
        negative=draw(st.text()),
        width=64,
        height=draw(st.sampled_from([64, 8192])),
        steps=1 if few else draw(st.integers(1, 1000)),
        cfg=draw(st.floats(0, allow_nan=False, allow_infinity=False)),
        sampler=sampler,
        schedule=schedule,
        eta=draw(st.none() | st.floats(0, 1)) if sampler in ETA_SAMPLERS else 0,
        seed=draw(st.integers(0, 2**63 - 1 - count)),
        count=count,
        image=image,
        strength=draw(st.floats(0.1 if few else 0, 1)),
        mask=draw(st.none() | st.sampled_from(PICTURES)) if image else None,
        invert=draw(st.booleans()),
        feather=draw(st.floats(0, 512)),
        content=draw(st.sampled_from(CONTENTS)),
        padding=draw(st.none() | st.integers(0, 4096)),
    ).resolved(SETTINGS)


@given(resolved_requests(), st.text(), st.lists(st.text(), max_size=3))
@pytest.mark.slow
def test_what_is_saved_is_read_back(request_, model, notes):
    finished = Result(
        tuple(colour(i) for i in range(request_.count)), request_, model, notes=tuple(notes)
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = images.save(finished, folder)
        assert len(set(paths)) == request_.count
        for i, path in enumerate(paths):
            alone = request_.but(seed=request_.seed + i, count=1)
            assert images.read(path) == alone
            saved = images.inspect(str(path))
            assert (saved.model, saved.fingerprint, saved.seconds) == (
                model,
                finished.fingerprint,
                1.25,
            )
            assert (saved.notes, saved.version) == (tuple(notes), sdnb.__version__)
            assert np.array_equal(np.asarray(Image.open(path)), np.asarray(finished.images[i]))
            if not request_.image:
                assert images.read(path.read_bytes()) == alone


def test_a_png_carries_both_texts_and_plain_ascii_is_plain_to_any_reader(tmp_path):
    (path,) = images.save(result("a cat, sitting", negative="dog"), tmp_path)
    texts = Image.open(path).text
    assert set(texts) == {"sdnb", "parameters"}
    assert texts["parameters"] == (
        "a cat, sitting\nNegative prompt: dog\nSteps: 25, Sampler: DDIM, CFG scale: 7.5, Seed: 7, "
        "Size: 64x64, Model hash: 0123456789, Model: tiny, RNG: CPU, "
        f"Version: sdnb {sdnb.__version__}"
    )
    about = json.loads(texts["sdnb"])
    assert about["request"]["prompt"] == "a cat, sitting"
    assert about["model"] == {"name": "tiny", "fingerprint": "0123456789abcdef"}
    assert b"tEXtparameters\0a cat" in path.read_bytes()


@pytest.mark.parametrize("prompt", ["une forêt", "猫", "\U0001f431", "a\0b", "a\r\nb\u2028c"])
def test_text_beyond_latin_1_is_utf_8_in_the_file(prompt, tmp_path):
    (path,) = images.save(result(prompt), tmp_path)
    assert images.read(path).prompt == prompt
    data = path.read_bytes()
    if prompt in ("猫", "\U0001f431"):
        assert b"iTXtsdnb\0" in data
        assert b"iTXtparameters\0" in data
        assert prompt.encode("utf-8") in data


def test_a_png_says_that_its_colours_are_srgb(tmp_path):
    (path,) = images.save(result(), tmp_path)
    data = path.read_bytes()
    place = data.index(chunk(b"sRGB", b"\0"))  # 0: perceptual (PNG specification, 11.3.3.5)
    assert data.index(b"IHDR") < place < data.index(b"IDAT")


def test_inputs_are_kept_once_by_their_content(tmp_path):
    finished = result(image=PICTURES[0], mask=PICTURES[1], count=2)
    images.save(finished, tmp_path)
    images.save(finished, tmp_path)
    kept = sorted((tmp_path / "inputs").iterdir())
    assert [path.stem for path in kept] == sorted(map(images.sha256, PICTURES))
    assert {hashlib.sha256(path.read_bytes()).hexdigest() for path in kept} == {
        p.stem for p in kept
    }
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_a_damaged_input_is_made_whole_by_saving_and_refused_by_reading(tmp_path):
    finished = result(image=PICTURES[0])
    (path,) = images.save(finished, tmp_path)
    kept = tmp_path / "inputs" / f"{images.sha256(PICTURES[0])}.png"
    kept.write_bytes(PICTURES[1])
    with pytest.raises(ValueError, match="changed") as caught:
        images.read(path)
    assert kept.stem in str(caught.value)
    images.save(finished, tmp_path)
    assert images.read(path) == finished.request


def test_a_request_is_read_without_inputs_that_are_missing(tmp_path):
    """As an uploaded file is: all that it tells is there, and what it does not tell is said."""
    control = sdnb.Control("canny", image=PICTURES[1])
    fields = {"image": PICTURES[0], "mask": PICTURES[1], "strength": 0.4, "feather": 3.0}
    finished = result(**fields, controls=[control, sdnb.Control("depth")])
    (path,) = images.save(finished, tmp_path)
    saved = images.inspect(path.read_bytes(), partly=True)
    alone = finished.request.but(image=None, mask=None, controls=[sdnb.Control("depth")])
    assert saved.request == alone
    assert saved.strength_told
    assert [note.split(" is not")[0] for note in saved.notes[-3:]] == [
        "The picture that this one was made from", "Its mask", "A picture of its control",
    ]  # fmt: skip
    assert images.inspect(path, partly=True).request == finished.request
    (tmp_path / "inputs" / f"{images.sha256(PICTURES[0])}.png").unlink()
    there = images.inspect(path, partly=True)
    assert there.request == finished.request.but(image=None, mask=None)


def test_a_missing_input_is_named(tmp_path):
    (path,) = images.save(result(image=PICTURES[0]), tmp_path)
    digest = images.sha256(PICTURES[0])
    with pytest.raises(ValueError, match=r"read it by its path") as caught:
        images.read(path.read_bytes())
    assert digest in str(caught.value)
    (tmp_path / "inputs" / f"{digest}.png").unlink()
    with pytest.raises(FileNotFoundError, match=digest):
        images.read(path)


# Names


def test_numbers_go_on_and_names_speak(tmp_path):
    first = images.save(result("picture of:1 small:0.5 Cat!", count=2), tmp_path / "new" / "folder")
    assert [path.name for path in first] == [
        "00001-7-picture-of-small-cat.png",
        "00002-8-picture-of-small-cat.png",
    ]
    (tmp_path / "new" / "folder" / "00041-x.png").touch()
    (tmp_path / "new" / "folder" / "notes-00099-.png").touch()
    (third,) = images.save(result(""), tmp_path / "new" / "folder")
    assert third.name == "00042-7.png"


def test_a_name_that_is_given_is_never_replaced(tmp_path):
    paths = [
        *images.save(result(count=2), tmp_path, "castle"),
        *images.save(result(), tmp_path, "castle.png"),
    ]
    assert [path.name for path in paths] == ["castle.png", "castle-2.png", "castle-3.png"]


def test_a_folder_that_is_called_like_a_picture_is_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = ("cat.png", tmp_path / "new" / "Cat.PNG", "./cat.png")
    paths = [path for where in asked for path in images.save(result(), where)]
    assert paths == [Path("cat.png"), tmp_path / "new" / "Cat.png", Path("cat-2.png")]
    assert all(path.is_file() for path in paths)
    (tmp_path / "folder.png").mkdir()
    assert images.save(result(), "folder.png", "a") == [Path("folder.png/a.png")]
    assert images.save(result(), "folder.png")[0].parent == Path("folder.png")
    with pytest.raises(ValueError, match=r"only a PNG carries .* 'dog' is one"):
        images.save(result(), "dog.jpg")
    assert not Path("dog.jpg").exists()


@given(st.text(), st.integers(0, 2**62))
@pytest.mark.slow
def test_names_are_safe_on_every_system(prompt, seed):
    with tempfile.TemporaryDirectory() as folder:
        (path,) = images.save(result(prompt, seed=seed), folder)
        assert path.parent == Path(folder)
        assert len(path.name.encode("utf-8")) < 255
        assert files.checked_stem(path.name) == path.stem
        assert images.read(path).prompt == prompt


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a/b", ["'/'", "folder"]), ("..\\a", ["'\\\\'"]), ("a:b", ["':'"]), ("a?", ["'?'"]),
        ("a\0", [r"\x00"]), ("", ["empty"]), (".png", ["empty"]), ("..", ["point"]),
        ("a ", ["space"]), ("a..png", ["point"]), ("CON", ["Windows", "'picture'"]),
        ("nul.png", ["Windows"]), ("com1.a", ["Windows"]), ("LPT³", ["Windows"]),
        ("x" * 300, ["200 bytes"]), ("猫" * 90, ["200 bytes"]), ("cat.jpg", ["only a PNG"]),
    ],
)  # fmt: skip
def test_a_name_that_is_none_is_refused_before_anything_is_written(name, words, tmp_path):
    with pytest.raises(ValueError, match="name=") as caught:
        images.save(result(), tmp_path / "folder", name)
    assert all(word in str(caught.value) for word in words), caught.value
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("name", ["v1.5 castle", "console", "com10", "猫", "a.b.png"])
def test_good_names_are_taken(name, tmp_path):
    (path,) = images.save(result(), tmp_path, name)
    assert path.name == name.removesuffix(".png") + ".png"
    assert path.is_file()


def test_a_name_must_be_text(tmp_path):
    with pytest.raises(TypeError, match="name=3"):
        images.save(result(), tmp_path, 3)


# Savers at the same time

SAVER = """
import sys
from helpers.pictures import result
from sdnb import images
for turn in range(8):
    images.save(result(count=2), sys.argv[1])
    images.save(result(), sys.argv[1], "same")
"""


def check_whole(folder, count):
    paths = list(folder.glob("*.png"))
    assert len(paths) == count
    for path in paths:
        with Image.open(path) as image:
            image.load()
        assert images.read(path).prompt == "a cat"
    assert not list(folder.glob(".sdnb-*"))


@pytest.mark.process
def test_processes_that_save_at_once_lose_nothing(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", SAVER, str(tmp_path)]
    running = [subprocess.Popen(command, env=environment) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    check_whole(tmp_path, 3 * 8 * 3)


@pytest.mark.parametrize("links", [True, False])
def test_threads_that_save_at_once_lose_nothing(tmp_path, monkeypatch, links):
    if not links:  # a file system such as FAT

        def link(*_):
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", link)
    start = threading.Barrier(8)

    def work(_):
        start.wait()
        return [path for _ in range(5) for path in images.save(result(), tmp_path, "same")]

    with ThreadPoolExecutor(8) as pool:
        paths = [path for saved in pool.map(work, range(8)) for path in saved]
    assert len(set(paths)) == 40
    check_whole(tmp_path, 40)


def test_inputs_saved_at_once_are_whole(tmp_path):
    finished = result(image=PICTURES[0])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: images.save(finished, tmp_path), range(16)))
    assert all(images.read(path) == finished.request for path in tmp_path.glob("*.png"))
    assert len(list(tmp_path.glob("*.png"))) == 16


# What goes wrong


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "taken").write_text("x")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(OSError, match=r"in memory, in result\.images") as caught:
            images.save(result(), folder)
        assert repr(str(folder)) in str(caught.value)
    assert (tmp_path / "taken").read_text() == "x"


def test_a_full_disk_keeps_what_was_saved_and_says_where_the_rest_is(tmp_path, monkeypatch):
    finished = result(count=3)
    writes = []

    def fsync(_):  # where a disk that allocates late says that it is full
        writes.append(1)
        if len(writes) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as caught:
        images.save(finished, tmp_path)
    assert caught.value.errno == errno.ENOSPC
    message = str(caught.value)
    assert "saved: 1 of 3 pictures (last: 00001-7-a-cat.png)" in message
    assert "all 3 are still in memory, in result.images: make room there, or save to" in message
    assert [path.name for path in tmp_path.iterdir()] == ["00001-7-a-cat.png"]
    assert images.read(tmp_path / "00001-7-a-cat.png") == finished.request.but(count=1)


def test_a_read_only_folder(tmp_path, monkeypatch):
    def link(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    def refuse(path, mode="r", **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "link", link)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError, match=r"Permission denied.*result\.images") as caught:
        images.save(result(), tmp_path)
    monkeypatch.undo()
    assert "choose another folder, as result.save(folder)" in str(caught.value)
    assert "room" not in str(caught.value)  # of which there is enough
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_while_saving_leaves_nothing_half(tmp_path, monkeypatch):
    def fsync(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(KeyboardInterrupt):
        images.save(result(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_request_that_is_open_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="not resolved"):
        images.save(replace(result(), request=Request("a cat")), tmp_path)
    assert list(tmp_path.glob("*.png")) == []
