"""A grid's folder: resumed after anything, and refused where it is another grid's."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import fill_a_grid, grids
from PIL import Image
from safetensors.torch import save_file

import sdnb
from sdnb import Library, images
from sdnb.grid.store import Store
from sdnb.jobs.executor import Inline
from sdnb.library import named
from sdnb.request import Settings

TESTS = Path(__file__).parents[1]  # where `helpers` is found


def sweep(**varied):
    return sdnb.sweep(grids.BASE, **varied)


class Counted(Inline):
    """An executor that remembers what it was asked for."""

    def __init__(self, make=grids.make):
        super().__init__(make)
        self.asked = []

    def submit(self, request, watch=None):
        self.asked.append(request)
        return super().submit(request, watch)


def run(grid, store, executor=None, **options):
    model = options.pop("model", None) or grids.model()
    return grid.run(model, store=store, executor=executor or Counted(), progress=False, **options)


def assert_whole(grid, store):
    """Every cell is the picture of its request, in the grid and as a file that says so."""
    assert grid.done == len(grid)
    for cell in grid.cells:
        made = grid.pictures.made[cell.key]
        wanted = cell.request.resolved(Settings(width=64, height=64))
        assert np.array_equal(np.asarray(made.image), np.asarray(grids.picture(wanted)))
        assert made.path.read_bytes() == made.png
        assert images.read(made.path) == made.request == wanted
        assert (made.seconds, made.peak, made.steps) == (1.5, 0.25, 3)
    assert len(list(Path(store).glob("*.png"))) == len(grid)


@pytest.mark.process
def test_a_killed_process_loses_at_most_the_cell_in_hand(tmp_path):
    """SIGKILL at twenty random moments: nothing is torn, what was there stays, the rest comes."""
    command = [sys.executable, "-m", "helpers.fill_a_grid"]
    chance = random.Random(6)
    finished, longest = 0, 0.06
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen(command, cwd=TESTS, **pipes) as process:
        for _ in range(20):
            process.stdin.write(f"{tmp_path}\n")
            number = int(process.stdout.readline())
            time.sleep(chance.uniform(0, longest))
            os.kill(number, signal.SIGKILL)
            assert process.stdout.readline() == "killed\n"
            grid = sweep(**fill_a_grid.AXES)
            there = Store(tmp_path, grid.base, grid.axes).finished(grid.cells)
            assert len(there) == len(list(tmp_path.glob("*.png"))) >= finished
            assert all(made.image.size == (64, 64) for made in there.values())
            finished = len(there)
            longest *= 1 if finished else 1.5  # a busy machine makes nothing so soon
            if finished > len(grid) // 2:  # a quick disk: leave enough to do for the next one
                for path in sorted(tmp_path.glob("*.png"))[:finished:2]:
                    path.unlink()
                finished -= -(-finished // 2)
    assert 0 < finished < len(grid)
    executor = Counted()
    grid = run(sweep(**fill_a_grid.AXES), tmp_path, executor)
    assert len(executor.asked) == len(grid) - finished
    assert_whole(grid, tmp_path)


def test_running_again_makes_only_what_is_missing(tmp_path):
    first = Counted()
    run(sweep(steps=[1, 2], cfg=[2, 4]), tmp_path, first)
    assert len(first.asked) == 4
    again = Counted()
    grid = run(sweep(steps=[1, 2], cfg=[2, 4]), tmp_path, again)
    assert again.asked == []
    assert_whole(grid, tmp_path)
    more = Counted()  # values may be added, in any order
    grid = run(sweep(steps=[4, 2, 1], cfg=[2, 4]), tmp_path, more)
    assert [request.steps for request in more.asked] == [4, 4]
    assert_whole(grid, tmp_path)


def test_a_grid_of_controls_is_resumed(tmp_path):
    one, other = (Image.new("RGB", (8, 8), colour) for colour in ("white", "red"))
    control = sdnb.Control("canny", one, prepare="canny")
    base = grids.BASE.but(controls=(control, sdnb.Control("tile", other)))
    for varied in ({"control_hint": ("canny", [one, other])}, {"controls": [(), control]}):
        grid = sdnb.sweep(base, **varied)
        folder = tmp_path / "-".join(varied)
        assert_whole(run(grid, folder), folder)
        executor = Counted()
        assert run(sdnb.sweep(base, **varied), folder, executor).done == 2
        assert executor.asked == []


def test_what_was_made_without_a_store_is_put_there(tmp_path):
    grid = run(sweep(steps=[1, 2]), None)
    executor = Counted()
    run(grid, tmp_path, executor)
    assert executor.asked == []
    assert_whole(grid, tmp_path)


def test_damage_is_made_again(tmp_path):
    grid = run(sweep(steps=[1, 2, 4]), tmp_path)
    torn, gone, _ = (grid.pictures.made[cell.key].path for cell in grid.cells)
    torn.write_bytes(torn.read_bytes()[:100])
    gone.unlink()
    with (tmp_path / "rows.jsonl").open("ab") as rows:
        rows.write(b'{"key": "half a ro')  # a process died in the middle
    executor = Counted()
    grid = run(sweep(steps=[1, 2, 4]), tmp_path, executor)
    assert [request.steps for request in executor.asked] == [1, 2]
    assert_whole(grid, tmp_path)
    assert run(sweep(steps=[1, 2, 4]), tmp_path, executor).done == 3
    assert len(executor.asked) == 2


def test_two_processes_fill_one_store_and_no_cell_is_there_twice(tmp_path):
    """The other one finishes this cell while we make it: theirs is taken, ours dropped."""
    other = sweep(steps=[1, 2])

    def slow(request):
        run(other, tmp_path)
        yield from grids.make(request)

    executor = Counted(slow)
    grid = run(sweep(steps=[1, 2]), tmp_path, executor)
    assert len(executor.asked) == 1  # the second was there when its turn came
    assert_whole(grid, tmp_path)
    (one, two), (first, second) = (
        [g.pictures.made[cell.key] for cell in g.cells] for g in (grid, other)
    )
    assert (one.path, two.path) == (first.path, second.path)


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch, fill_disk):
    fill_disk(3)
    grid = sweep(steps=[1, 2, 4])
    words = r"could not keep steps=4 .*No space left.*picture is still in the grid"
    with pytest.raises(OSError, match=words) as caught:
        run(grid, tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert grid.done == 3
    monkeypatch.undo()
    executor = Counted()
    assert_whole(run(grid, tmp_path, executor), tmp_path)
    assert executor.asked == []


@pytest.mark.parametrize(
    ("base", "varied", "words"),
    [
        (grids.BASE.but(seed=8), {}, "seed=7 there, 8 here.*left out is drawn again"),
        (grids.BASE.but(prompt="a dog"), {}, "prompt='a castle:1 thick fog:2' there, 'a dog' here"),
        (grids.BASE.but(cfg=3), {}, "cfg=open there, 3.0 here"),
        (grids.BASE, {"cfg": [1]}, "axes steps there, steps x cfg here"),
    ],
)
def test_a_store_of_other_settings_is_refused_in_words(tmp_path, base, varied, words):
    run(sweep(steps=[1, 2]), tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(ValueError, match=f"made by other settings: .*{words}"):
        run(sdnb.sweep(base, steps=[1, 2], **varied), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_store_of_another_model_is_refused(tmp_path):
    grid = run(sweep(steps=[1, 2]), tmp_path)
    other = grids.model("e" * 64)
    with pytest.raises(ValueError, match=r"store=.* was made by another model: steps=1 by painter"):
        run(sweep(steps=[1, 2]), tmp_path, model=other)
    with pytest.raises(ValueError, match="this grid was made by another model"):
        run(grid, None, model=other)


def test_a_store_of_another_configuration_is_refused(tmp_path):
    """The digits after the hyphen; those of an earlier version, without, are resumed."""
    made = partial(grids.make, fingerprint=f"{grids.FINGERPRINT}-12345678")
    grid = run(sweep(steps=[1]), tmp_path, Counted(made))
    same, other = (grids.model(f"{grids.FINGERPRINT}-{used}") for used in ("12345678", "9abcdef0"))
    words = "made by the same weights in another configuration: steps=1 by painter .*1234.*9abc"
    for again, store in ((sweep(steps=[1]), tmp_path), (grid, None)):
        with pytest.raises(ValueError, match=words):
            run(again, store, model=other)
    executor = Counted()
    run(sweep(steps=[1]), tmp_path, executor, model=same)
    run(sweep(steps=[1]), tmp_path, executor, model=grids.model(grids.FINGERPRINT))
    assert executor.asked == []


def test_an_earlier_version_s_store_is_resumed(tmp_path):
    run(sweep(steps=[1, 2]), tmp_path)
    executor = Counted()
    grid = run(
        sweep(steps=[1, 2]), tmp_path, executor, model=grids.model(f"{grids.FINGERPRINT}-12345678")
    )
    assert executor.asked == []
    assert_whole(grid, tmp_path)


def test_pictures_of_other_settings_of_the_model_are_refused(tmp_path):
    """A request that leaves steps and schedule open asks for another picture then."""

    def make(request):
        assert request.steps == 3  # what is sent leaves nothing open
        return grids.make(request)

    three, five = grids.model(steps=3), grids.model(steps=5, schedule="trailing")
    grid = run(sweep(cfg=[2, 3]), tmp_path, Counted(make), model=three)
    words = r"settings were others: cfg=2 with steps=3 there, 5 here; schedule=uniform there, trail"
    for again, store in ((sweep(cfg=[2, 3]), tmp_path), (grid, None)):
        with pytest.raises(ValueError, match=words):
            run(again, store, model=five)
    assert run(sweep(cfg=[2, 3]), tmp_path, Counted(make), model=three).done == 2


def test_another_model_beside_us_is_refused_in_mid_run(tmp_path):
    """Another process fills the folder with another model while this one is at work."""

    def slow(request):
        if request.steps == 1:
            theirs = Counted(partial(grids.make, fingerprint="e" * 64))
            run(sweep(steps=[2]), tmp_path, theirs, model=grids.model("e" * 64))
        yield from grids.make(request)

    grid = sweep(steps=[1, 2])
    with pytest.raises(ValueError, match="made by another model: steps=2 by painter"):
        run(grid, tmp_path, Counted(slow))
    assert grid.done == 1


def test_a_cell_is_found_whatever_its_values_are_called(tmp_path):
    """Two pictures of one size are "1: 64x64" and "2: 64x64", one alone is "64x64"."""
    one, two = (images.picture(Image.new("RGB", (64, 64), colour)) for colour in ("red", "blue"))
    run(sweep(image=[one]), tmp_path)
    executor = Counted()
    grid = run(sweep(image=[two, one]), tmp_path, executor)
    assert [request.image for request in executor.asked] == [two]
    assert grid.done == len(list(tmp_path.glob("*.png"))) == 2
    run(sweep(image=[two]), tmp_path, executor)
    assert len(executor.asked) == 1
    assert len(list(tmp_path.glob("*.png"))) == 2


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("done")
    with pytest.raises(ValueError, match=r"holds other things \(thesis.txt\) and no grid"):
        run(sweep(steps=[1]), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_description_is_said(tmp_path, text):
    run(sweep(steps=[1]), tmp_path)
    (tmp_path / "grid.json").write_text(text)
    with pytest.raises(ValueError, match=r"grid.json' is damaged"):
        run(sweep(steps=[1]), tmp_path)
    (tmp_path / "grid.json").write_text(json.dumps({"format": 9, "base": {}, "axes": []}))
    with pytest.raises(ValueError, match="another version of sdnb"):
        run(sweep(steps=[1]), tmp_path)


@pytest.fixture
def folder(tmp_path):
    """A library of one LoRA and one embedding."""
    loras, embeddings = (tmp_path / "webui" / name for name in ("models/Lora", "embeddings"))
    for where in (loras, embeddings):
        where.mkdir(parents=True)
    rewrite(loras / "fog.safetensors", "lora_unet_x.lora_down.weight", 1)
    rewrite(embeddings / "bad.safetensors", "emb_params", 1)
    return tmp_path / "webui"


def rewrite(path, key, value):
    save_file({key: torch.full((2, 768), float(value))}, path)
    os.utime(path, ns=(value, value))


def with_files(library):
    """Runs whose results say which files they used."""

    def make(request):
        for at in grids.make(request):
            result = at.result and replace(at.result, files=named(request, library))
            yield replace(at, result=result)

    return Counted(make)


@pytest.mark.parametrize(
    ("path", "key", "words"),
    [
        ("models/Lora/fog.safetensors", "lora_unet_x.lora_down.weight", "the lora 'fog'"),
        ("embeddings/bad.safetensors", "emb_params", "the embedding 'bad'"),
    ],
)
def test_another_file_of_a_name_is_refused(folder, tmp_path, path, key, words):
    """As another checkpoint is, although the request has no digest."""
    library, store = Library(folder), tmp_path / "store"
    model = grids.model()
    model.library = library
    grid = sdnb.sweep(grids.BASE.but(prompt="a fox <lora:fog:0.5>", negative="Bad"), steps=[1, 2])
    run(grid, store, with_files(library), model=model)
    rows = [json.loads(line) for line in (store / "rows.jsonl").read_text("utf-8").splitlines()]
    kept = [(file["kind"], file["name"], len(file["sha256"])) for file in rows[0]["files"]]
    assert kept == [("lora", "fog", 64), ("embedding", "bad", 64)]
    again = Counted()
    run(sdnb.sweep(grid.base, steps=[1, 2]), store, again, model=model)
    assert again.asked == []
    rewrite(folder / path, key, 2)
    match = (
        rf"store=.* made with other files: steps=1 with {words} \(sha256 \w{{12}} exp.* Give those"
    )
    with pytest.raises(ValueError, match=match):
        run(sdnb.sweep(grid.base, steps=[1, 2]), store, again, model=model)
    for row in rows:  # as they were before rows had files
        del row["files"]
    (store / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    run(sdnb.sweep(grid.base, steps=[1, 2]), store, again, model=model)
    assert again.asked == []
