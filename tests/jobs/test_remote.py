"""Runs elsewhere: pools, a Dask cluster of two processes of which one is killed, their faults."""

import os
import pickle
import re
import shutil
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import psutil
import pytest
import torch
from dask.distributed import Client, Event, LocalCluster
from helpers import grids
from safetensors.torch import save_file

import sdnb
from sdnb import Library, images
from sdnb.engine.stages.autoencode import DecodeError
from sdnb.images.made import Made
from sdnb.images.result import Progress
from sdnb.jobs import remote, stop_signal, worker_side
from sdnb.jobs.remote import Remote
from sdnb.library.model_library import brought_by, joined
from sdnb.request import stop

PICTURE = np.zeros((8, 8, 3), np.uint8)
BASE = sdnb.Request("a red apple", seed=3, width=64, height=64, steps=20, cfg=4)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def pixels(image):
    return np.asarray(image).astype(int)


def paint(load, fingerprint, request, signal, files=()):
    """What a worker does, without a model."""
    (*_, at) = grids.make(request)
    png = images.encoded(at.result)
    return Made((png,), at.result.request, "painter", fingerprint, 3, 1.5, 0.25, ("a note",))


@pytest.mark.picture
def test_a_result_from_elsewhere_is_a_result(model, pool):
    job = Remote(pool, model.load_arguments, model.fingerprint).submit(BASE.but(steps=2, count=2))
    assert job.wait(60)
    assert job.state == "done", job.traceback
    here = sdnb.generate(model, job.result.request, progress=False)
    assert job.result.request == here.request == BASE.but(steps=2, count=2).resolved(model.settings)
    assert (job.result.model, job.result.fingerprint) == (model.name, model.fingerprint)
    for theirs, ours in zip(job.result.images, here.images, strict=True):
        assert np.abs(pixels(theirs) - pixels(ours)).max() <= 1
    assert job.progress.total == 4


def test_a_worker_loads_once_and_runs_one_at_a_time(pool, monkeypatch):
    loads, running, most = [], [], []

    there = {"one": "f", "two": "f"}  # what is on the disk

    class Model:
        def __init__(self, path):
            loads.append(path)
            self.path, self.fingerprint = path, there[path]

        def unload(self):
            loads.append(f"not {self.path}")

    def run(model, request):
        running.append(1)
        most.append(len(running))
        yield from grids.make(request, seconds=0.01)
        running.pop()

    monkeypatch.setattr("sdnb.engine.loading.load", Model)
    monkeypatch.setattr(
        "sdnb.engine.loading.recognise", lambda path, **_: SimpleNamespace(fingerprint=there[path])
    )
    monkeypatch.setattr("sdnb.engine.pipeline.run", run)
    monkeypatch.setattr(worker_side, "_held", {})
    one = Remote(pool, {"path": "one"})
    jobs = [one.submit(grids.BASE.but(seed=seed)) for seed in range(6)]
    assert all(job.wait(120) for job in jobs)
    assert {job.state for job in jobs} == {"done"}
    jobs = [one.of({"path": "two"}, print_).submit(grids.BASE) for print_ in "fg"]
    assert all(job.wait(120) for job in jobs)
    assert [job.state for job in jobs] == ["done", "failed"]
    assert "has another model at 'two' (fingerprint f, expected g)" in str(jobs[1].error)
    assert loads == ["one", "not one", "two"]
    assert max(most) == 1
    there["two"] = "g"  # someone has copied the right file there
    job = one.of({"path": "two"}, "g").submit(grids.BASE)
    assert job.wait(120)
    assert job.state == "done", job.traceback
    assert loads == ["one", "not one", "two", "not two", "two"]
    one.release()
    assert loads[-1] == "not two"
    assert worker_side._held == {}
    worker_side.release()  # nothing is there: nothing happens


@pytest.mark.process
def test_a_worker_of_another_configuration_refuses(pool, model, monkeypatch):
    monkeypatch.setattr(worker_side, "_held", {})
    load = model.load_arguments | {"config": {"noise": {"prediction": "v"}}}
    job = Remote(pool, load, model.fingerprint).submit(BASE.but(steps=1))
    assert job.wait(60)
    assert "has the same weights in another configuration at None (digest" in str(job.error)
    worker_side.release()


def test_a_worker_with_other_files_refuses(pool, monkeypatch, tmp_path):
    """A LoRA's tag, an embedding and a net have no digest in a request: it travels beside it."""
    here, there = (tmp_path / name for name in ("here", "there"))
    for folder, value in ((here, 0.0), (there, 1.0)):
        folder.mkdir()
        lora = {"lora_unet_x.lora_down.weight": torch.zeros(2, 768)}
        save_file(lora, folder / "fog.safetensors")
        save_file({"emb_params": torch.full((1, 768), value)}, folder / "bad.safetensors")
        net = {"controlnet_cond_embedding.conv_in.weight": torch.full((16, 3, 3, 3), value)}
        for name, weights in (
            ("edges", net),
            ("same", dict.fromkeys(net, torch.ones(16, 3, 3, 3))),
        ):
            save_file(weights, folder / f"{name}.safetensors")
    model = SimpleNamespace(fingerprint="f", library=Library(there))
    monkeypatch.setattr("sdnb.engine.loading.load", lambda **_: model)
    monkeypatch.setattr("sdnb.engine.pipeline.run", lambda _, request: grids.make(request))
    monkeypatch.setattr(worker_side, "_held", {})
    to = Remote(pool, {"path": "x", "library": [str(here)]})

    def error(**fields):
        job = to.submit(grids.BASE.but(**fields))
        assert job.wait(120)
        return str(job.error or "")

    assert error(prompt="a fox <lora:fog:0.5>") == ""
    words = error(prompt="a fox <lora:fog:0.5>", negative="bad, worse")
    assert re.search(
        r"has other files .* the embedding 'bad' \(sha256 \w{12} expected, \w{12} f", words
    )
    assert error(controls=sdnb.Control("same", PICTURE)) == ""
    words = error(controls=sdnb.Control("edges", PICTURE))
    assert re.search(r"the control 'edges' \(sha256 \w{12} expected, \w{12} found", words)
    (there / "fog.safetensors").unlink()
    model.library.refresh()
    assert re.search(r"the lora 'fog' \(sha256 \w{12} expected, none", error(loras="fog"))


def test_what_the_workers_model_brings_is_no_other_file(pool, monkeypatch, tmp_path):
    """The sender's library has other files of these names, which do not count there either."""
    for n, name in enumerate(("own/lora/fog", "own/embeddings/bad", "here/fog", "here/bad")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        key = "emb_params" if name.endswith("bad") else "lora_unet_x.lora_down.weight"
        save_file({key: torch.full((1, 768), float(n))}, tmp_path / f"{name}.safetensors")
    library = joined(brought_by([tmp_path / "own"]), None)
    model = SimpleNamespace(fingerprint="f", library=library)
    monkeypatch.setattr("sdnb.engine.loading.load", lambda **_: model)
    monkeypatch.setattr("sdnb.engine.pipeline.run", lambda _, request: grids.make(request))
    monkeypatch.setattr(worker_side, "_held", {})
    to = Remote(pool, {"path": "x", "library": [str(tmp_path / "here")]})
    job = to.submit(grids.BASE.but(prompt="a fox <lora:fog:0.5>", negative="bad"))
    assert job.wait(120)
    assert job.state == "done", job.traceback
    shutil.copy(tmp_path / "here/fog.safetensors", tmp_path / "here/rain.safetensors")
    job = to.submit(grids.BASE.but(loras="rain"))
    assert job.wait(120)
    assert re.search(r"the lora 'rain' \(sha256 \w{12} expected, none", str(job.error))


def test_a_grid_through_a_pool(pool, monkeypatch, tmp_path):
    monkeypatch.setattr(worker_side, "work", paint)
    grid = sdnb.sweep(grids.BASE, steps=[1, 2, 4], seed=[1, 2])
    grid.run(grids.model(), executor=pool, store=tmp_path, progress=False)
    assert grid.done == len(list(tmp_path.glob("*.png"))) == 6
    for cell in grid.cells:
        made = grid.pictures.made[cell.key]
        assert np.array_equal(pixels(made.image), pixels(grids.picture(made.request)))
        assert (made.seconds, made.steps, made.notes) == (1.5, 3, ("a note",))


class Breaking(Executor):
    """A pool whose only process dies at the third request."""

    def __init__(self):
        self.asked = 0

    def submit(self, function, *args):
        self.asked += 1
        if self.asked > 3:
            raise BrokenProcessPool("a process was terminated abruptly")
        future = Future()
        if self.asked < 3:
            future.set_result(function(*args))
        else:
            future.set_exception(BrokenProcessPool("a process was terminated abruptly"))
        return future


def test_a_broken_pool_keeps_what_is_finished(monkeypatch, tmp_path, pool):
    monkeypatch.setattr(worker_side, "work", paint)
    grid = sdnb.sweep(grids.BASE, steps=[1, 2, 4, 8])
    words = r"2 of 4 cells failed; made and kept: 2.*\n  steps=4; steps=8: BrokenProcessPool"
    with pytest.raises(RuntimeError, match=words):
        grid.run(grids.model(), executor=Breaking(), store=tmp_path, progress=False)
    assert grid.done == 2
    assert grid.run(grids.model(), executor=pool, store=tmp_path, progress=False).done == 4


def test_stopping_ends_what_has_not_begun(monkeypatch):
    gate = threading.Event()

    def slow(load, fingerprint, request, signal, files):
        gate.wait(120)
        return paint(load, fingerprint, request, signal)

    monkeypatch.setattr(worker_side, "work", slow)
    with ThreadPoolExecutor(1) as pool:
        there = Remote(pool)
        jobs = [there.submit(grids.BASE.but(seed=seed)) for seed in range(3)]
        there.shutdown()
        assert all(job.wait(60) for job in jobs[1:])
        gate.set()
        assert jobs[0].wait(60)
    assert [job.state for job in jobs] == ["done", "stopped", "stopped"]  # it was too late


@pytest.mark.parametrize("kind", ["pool", pytest.param("cluster", marks=pytest.mark.process)])
def test_breaking_off_keeps_what_workers_have_finished(kind, request, monkeypatch, tmp_path):
    """Though whoever fills the grid was busy with the first picture when the others came."""
    monkeypatch.setattr(worker_side, "work", paint)
    there = Remote(request.getfixturevalue(kind), resources={"GPU": 1} if kind == "cluster" else {})
    sent, submit = [], there.submit

    def noted(request, watch):
        sent.append(submit(request, watch))
        return sent[-1]

    monkeypatch.setattr(there, "of", lambda *_: SimpleNamespace(submit=noted))
    grid = sdnb.sweep(grids.BASE, seed=[1, 2, 3, 4, 5, 6])
    steps = grid.steps(grids.model(), executor=there, store=tmp_path)
    while next(steps).made is None:
        pass
    for job in sent:
        job.future.result(timeout=120)
    steps.close()
    assert grid.done == len(list(tmp_path.glob("*.png"))) == 6
    assert {job.state for job in sent} == {"done"}


@pytest.mark.process
def test_workers_of_a_cluster_give_their_models_back(cluster):
    def held():
        from sdnb.jobs import worker_side

        return len(worker_side._held)

    there = Remote(cluster, {"memory": "cpu"}, resources={"GPU": 1})
    job = there.submit(BASE.but(steps=1))
    assert job.wait(120)
    assert job.state == "done", job.traceback
    assert sum(cluster.run(held).values()) >= 1
    there.release()
    assert set(cluster.run(held).values()) == {0}


def test_processes_of_a_pool_hold_their_models_until_its_end():
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(TypeError, match=r"cannot be asked one by one: .* until its shutdown"),
    ):
        Remote(pool).release()


def test_a_run_that_is_stopped_ends_between_two_steps(monkeypatch):
    begun = threading.Event()

    def endless(model, request):
        while True:
            begun.set()
            yield Progress(1, 2, 0.0)

    monkeypatch.setattr("sdnb.engine.loading.load", lambda: SimpleNamespace(fingerprint="f"))
    monkeypatch.setattr("sdnb.engine.pipeline.run", endless)
    monkeypatch.setattr(worker_side, "_held", {})
    with ThreadPoolExecutor(1) as pool:  # its end waits for the run's
        job = Remote(pool).submit(grids.BASE)
        assert begun.wait(120)
        job.stop()
        assert job.wait(120)
    assert job.state == "stopped"


WORK = worker_side.work


def one_picture(model, request):
    """A run of several pictures of which the first is finished; then it fails, or never ends."""
    (*_, at) = grids.make(request.but(count=1))
    yield Progress(3, 9, 0.5, so_far=at.result)
    Path(request.negative).touch()
    if request.prompt == "fails":
        raise RuntimeError("the second picture failed")
    while True:
        stop.look()
        time.sleep(0.01)


def one_picture_of_several(load, fingerprint, request, signal, files):
    """What a worker does by that run."""
    model = SimpleNamespace(fingerprint="f")
    with (
        mock.patch("sdnb.engine.loading.load", return_value=model),
        mock.patch("sdnb.engine.pipeline.run", one_picture),
        mock.patch.object(worker_side, "_held", {}),
    ):
        return WORK(load, fingerprint, request, signal, files)


@pytest.mark.parametrize("kind", ["pool", pytest.param("cluster", marks=pytest.mark.process)])
@pytest.mark.parametrize("ends", ["stopped", "failed"])
def test_what_was_finished_comes_back(kind, ends, request, monkeypatch, tmp_path):
    """Of several pictures those that were, whether somebody stops the run or it fails."""
    monkeypatch.setattr(worker_side, "work", one_picture_of_several)
    there = Remote(request.getfixturevalue(kind), resources={"GPU": 1} if kind == "cluster" else {})
    begun = tmp_path / "begun"
    asked = grids.BASE.but(
        prompt="fails" if ends == "failed" else "a fox", negative=str(begun), count=3
    )
    job = there.submit(asked)
    end = time.monotonic() + 60
    while not begun.exists():
        assert time.monotonic() < end, job.traceback
        time.sleep(0.01)
    if ends == "stopped":
        job.stop()
    assert job.wait(120)
    assert (job.state, job.result) == (ends, None)
    assert str(job.error or "") == ("the second picture failed" if ends == "failed" else "")
    (made,) = job.so_far.images
    assert np.array_equal(pixels(made), pixels(grids.picture(job.so_far.request)))
    assert job.so_far.request.count == 1


def test_latents_of_a_failed_decoding_come_from_another_process():
    error = DecodeError("decoding failed", (torch.ones(4, 2, 2),))
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == "decoding failed"
    assert torch.equal(again.latents[0], error.latents[0])


def test_a_panic_elsewhere_is_the_jobs_error_and_the_pool_works_on(monkeypatch):
    class Panic(BaseException):
        pass

    def panic(load, fingerprint, request, signal, files):
        raise Panic("a panic")

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(worker_side, "work", panic)
        broken = Remote(pool).submit(grids.BASE)
        assert broken.wait(60)
        assert (broken.state, str(broken.error)) == ("failed", "a panic")
        monkeypatch.setattr(worker_side, "work", paint)
        after = Remote(pool).submit(grids.BASE)
        assert after.wait(60)
        assert after.state == "done"


def test_a_stop_signal_is_seen_in_another_process():
    signal = stop_signal.FileSignal()
    there = pickle.loads(pickle.dumps(signal))
    assert not there.is_set()
    signal.set()
    assert there.is_set()
    signal.drop()
    assert not signal.path.exists()


def until(signal, begun):
    """Work that ends when it is not wanted."""
    begun.set()
    stopped = stop_signal.watched(signal)
    while not stopped():
        time.sleep(0.01)
    return os.getpid()


@pytest.mark.process
def test_a_stop_signal_is_seen_in_a_cluster(cluster):
    signal, begun = stop_signal.signal_for(cluster), Event(client=cluster)
    future = cluster.submit(until, signal, begun, resources={"GPU": 1})
    assert begun.wait(120)
    assert not future.done()
    signal.set()
    assert future.result(timeout=120) != os.getpid()


class FakeClient:
    """What `Remote` needs of a Dask client whose workers have these resources."""

    __module__ = "distributed.client"

    def __init__(self, *workers):
        self.workers = {str(n): {"resources": has} for n, has in enumerate(workers)}
        self.future = Future()

    def submit(self, *_, **__):
        return self.future

    def scheduler_info(self):  # older versions take no number
        return {"address": "tcp://there", "workers": self.workers}


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        ((), "waiting for a worker: the Dask cluster at tcp://there has none; start one"),
        (({}, {"GPU": 0.5}), r"waiting for a worker with GPU=1: .* has 2 workers, and none has"),
    ],
)
def test_a_cluster_that_nothing_can_run_on_is_told_of(monkeypatch, workers, words):
    monkeypatch.setattr(remote, "_PATIENCE", 0.1)
    monkeypatch.setattr(stop_signal, "signal_for", lambda _: stop_signal.FileSignal())
    client, told = FakeClient(*workers), threading.Event()
    there = Remote(client, resources={"GPU": 1} if workers else None)

    def waited():
        job = there.submit(grids.BASE, lambda job: job.progress and told.set())
        look = there._look  # the warning comes after the watcher
        assert told.wait(60)
        look.join(60)
        return job

    with pytest.warns(RuntimeWarning, match=words):
        job = waited()
    assert (job.state, job.progress.waiting) == ("waiting", True)
    assert job.progress.where.startswith("waiting for a worker")
    client.future.set_result(paint(None, "f", grids.BASE, None))  # somebody started one
    assert job.wait(60)
    assert job.state == "done"


def test_a_cluster_with_a_worker_is_left_in_peace(monkeypatch):
    assert remote._missing(FakeClient({}), {}) == ""
    assert remote._missing(FakeClient({}, {"GPU": 1}), {"GPU": 1}) == ""


@pytest.mark.process
def test_a_real_cluster_without_workers_is_told_of():
    with (
        mock.patch.dict(os.environ),
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        assert remote._missing(client, {}).startswith("a worker: the Dask cluster at tcp://127")


def test_what_runs_nothing_is_refused(monkeypatch):
    with pytest.raises(TypeError, match=r"'tcp://x' runs nothing: .*pip install 'sdnb\[dask\]'"):
        Remote("tcp://x")
    with ProcessPoolExecutor(1) as pool:
        monkeypatch.setattr(pool, "_mp_context", SimpleNamespace(get_start_method=lambda: "fork"))
        with pytest.raises(ValueError, match="hangs in a fork: use"):
            Remote(pool)


@pytest.fixture(scope="module")
def cluster():
    with (
        mock.patch.dict(os.environ),  # Dask writes OMP_NUM_THREADS=1 into it, and leaves it there
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0",
            resources={"GPU": 1},
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        yield client


@pytest.mark.process
def test_two_processes_of_which_one_is_killed_make_the_pictures_of_a_local_run(
    cluster, model, tmp_path
):
    """Results come as they finish, none is lost, none is in the store twice."""
    grid = sdnb.sweep(BASE.but(steps=6), cfg=[2, 3, 4, 5, 6])
    workers = cluster.run(os.getpid)
    killed, seen = None, []
    for at in grid.steps(model, store=tmp_path, executor=Remote(cluster, resources={"GPU": 1})):
        if at.made:
            seen.append(at.done)
        if at.made and killed is None:
            killed = next(address for address, keys in cluster.processing().items() if keys)
            psutil.Process(workers[killed]).kill()
    assert seen == [1, 2, 3, 4, 5]
    rows = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert len(rows) == len(list(tmp_path.glob("*.png"))) == grid.done == 5
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as Dask gives a worker of one thread
    try:
        local = sdnb.sweep(BASE.but(steps=6), cfg=[2, 3, 4, 5, 6]).run(model, progress=False)
    finally:
        torch.set_num_threads(before)
    for cell in grid.cells:
        ours, theirs = (pixels(g.pictures.made[cell.key].image) for g in (local, grid))
        assert ours.std() > 5
        assert np.array_equal(ours, theirs)
    assert workers[killed] not in cluster.run(os.getpid).values()
