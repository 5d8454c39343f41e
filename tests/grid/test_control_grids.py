"""Grids over a control that are run, here and by workers, with networks of random weights."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from helpers import tiny_controls as tiny
from oracles import tiny_pipeline
from PIL import Image

import sdnb
from sdnb.jobs import worker_side
from sdnb.jobs.remote import Remote

pytestmark = pytest.mark.picture

UNET = tiny_pipeline.CONFIG.unet
NET = replace(tiny.NET, unet=UNET)
HINTS = [
    Image.fromarray(np.random.default_rng(n).integers(0, 256, (64, 64, 3), np.uint8))
    for n in (1, 2)
]
BASE = sdnb.Request(
    "a red fox", controls=sdnb.Control("canny", HINTS[0], scale=0.8), width=64, height=64, steps=2,
    seed=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model, and the same nets in two libraries, under other names in the second."""
    root = tmp_path_factory.mktemp("nets")
    tiny_pipeline.build().save_pretrained(root / "model")
    for library, names in (("here", ("canny", "sketch")), ("there", ("edges", "lines"))):
        (root / library).mkdir()
        path = tiny.written("cropped", root / library, tiny.weights(NET), {}, NET)
        path.rename(root / library / f"{names[0]}.safetensors")
        path, _ = tiny.t2i("its own", root / library, replace(tiny.FULL, channels=UNET.channels))
        path.rename(root / library / f"{names[1]}.safetensors")
    return root


@pytest.fixture(scope="module")
def model(folders):
    return sdnb.load(folders / "model", library=folders / "here")


def pixels(image):
    return np.asarray(image).astype(int)


def distinct(pictures):
    return len({picture.tobytes() for picture in pictures})


def test_each_cell_is_the_picture_of_its_request_and_every_axis_counts(model):
    grid = sdnb.sweep(
        BASE, control_net=["canny", "sketch"], control_hint=HINTS, control_scale=[0, 0.8],
    )  # fmt: skip
    grid.run(model, progress=False)
    made = [grid.pictures.made[cell.key] for cell in grid.cells]
    for cell, its in zip(grid.cells[1::3], made[1::3], strict=True):
        alone = sdnb.generate(model, cell.request, progress=False)
        assert its.image.tobytes() == alone.image.tobytes()
        assert its.request.controls == alone.request.controls
    assert distinct(its.image for its in made) == 1 + 4  # at scale 0 all are one


def test_a_range_of_steps_is_an_axis(model):
    grid = sdnb.sweep(BASE, control_start=[0, 0.5], control_end=[0.5, 1])
    grid.run(model, progress=False)
    assert distinct(grid.pictures.made[cell.key].image for cell in grid.cells) == 2
    (first, _), (second, _) = grid.cells[:2], grid.cells[2:]
    pictures = [grid.pictures.made[cell.key].image for cell in (first, second)]
    assert np.abs(pixels(pictures[0]) - pixels(pictures[1])).mean() > 0.1


def test_workers_find_nets_by_name_and_by_digest(model, folders, monkeypatch):
    """A net that has another name there is found by its digest, which a result's request has, once
    it was used there.
    """
    monkeypatch.setattr(worker_side, "_held", {})
    grid = sdnb.sweep(BASE, control_net=["canny", "sketch"])
    with ThreadPoolExecutor(2) as pool:
        grid.run(model, executor=pool, progress=False)
        truth = [sdnb.generate(model, cell.request, progress=False) for cell in grid.cells]
        for cell, its in zip(grid.cells, truth, strict=True):
            found = grid.pictures.made[cell.key]
            assert np.abs(pixels(found.image) - pixels(its.image)).max() <= 1
            assert found.request.controls == its.request.controls
        worker_side.release()
        there = model.load_arguments | {"library": [str(folders / "there")]}
        to = Remote(pool, there, model.fingerprint)
        for name, its in zip(("edges", "lines"), truth, strict=True):
            (control,) = its.request.controls
            renamed = replace(control, net=name, sha256=None)
            for given in (renamed, control):
                job = to.submit(its.request.but(controls=given))
                assert job.wait(60)
                assert job.state == "done", job.error
            assert job.result.request == its.request
            assert np.abs(pixels(job.result.image) - pixels(its.image)).max() <= 1
        job = to.submit(BASE)
        assert job.wait(60)
        assert "canny" in str(job.error)
        worker_side.release()
