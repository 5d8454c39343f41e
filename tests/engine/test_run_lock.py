"""One run of a model at a time: other threads wait, the same thread is told, and nothing is held
by a run that has ended, however it ended.
"""

import _thread
import gc
import os
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest

import sdnb
from sdnb.engine import pipeline, run_lock
from sdnb.engine.memory import Graphed
from sdnb.engine.run_lock import PATIENCE, RunLock
from sdnb.engine.stages import unet_passes
from sdnb.jobs.executor import Worker

APPLE = sdnb.Request("a red apple", width=64, height=64, steps=4, seed=1, cfg=4)
CAR = APPLE.but(prompt="a blue car", seed=2)


@pytest.fixture(scope="module")
def model():
    return sdnb.load(memory="cpu", precision="full")


def pixels(result):
    return np.asarray(result.image).astype(int)


def truth(model, request):
    return pixels(sdnb.generate(model, request, progress=False))


class Replayed(Graphed):
    """A CUDA graph on a CPU: a replay calls the function, on the graph's own inputs."""

    def _record(self, tensors, shapes):
        self.forget()
        self._inputs, self._shapes = [t.clone() for t in tensors], shapes
        self._output = self.function(*self._inputs).clone()
        self._graph = self

    def replay(self):
        self._output.copy_(self.function(*self._inputs))


@pytest.fixture
def graphs(model, monkeypatch):
    """Steps as they run on a card: the prompt's keys and values lie in buffers of the model."""

    def graph(passes, kind):
        return passes.model.weights.graph(passes._key(kind), lambda: passes._function(kind))

    monkeypatch.setattr("sdnb.engine.weights.Graphed", Replayed)
    monkeypatch.setattr("sdnb.engine.stages.unet_passes.Graphed", Replayed)
    monkeypatch.setattr(unet_passes.UNetPasses, "_graph", graph)
    yield
    model.weights.forget_graph()


def seen(job, what, seconds=60):
    """Wait until `what` is true of the job, or it has ended."""
    end = time.monotonic() + seconds
    while not (what(job) or job.ended):
        assert time.monotonic() < end, job
        time.sleep(0.005)
    return not job.ended


def waits(job):
    return job.progress is not None and job.progress.waiting


@pytest.mark.picture
def test_a_run_in_another_thread_waits_and_no_prompts_mix(model, graphs):
    apple, car = truth(model, APPLE), truth(model, CAR)
    assert np.abs(apple - car).max() > 100
    steps = sdnb.run(model, APPLE)
    assert [next(steps).step for _ in range(3)] == [0, 1, 2]
    worker = Worker(partial(sdnb.run, model))
    job = worker.submit(CAR)
    assert seen(job, waits)
    assert job.progress.where == "waiting for another run of this model"
    (*_, last) = steps
    assert job.wait(120)
    assert np.array_equal(pixels(last.result), apple)
    assert np.array_equal(pixels(job.result), car)
    worker.shutdown()


@pytest.mark.picture
def test_a_second_run_in_the_same_thread_is_told_what_to_do(model, graphs):
    apple = truth(model, APPLE)
    steps, other = sdnb.run(model, APPLE), sdnb.run(model, CAR)
    next(steps)  # a run that was made and not begun holds nothing
    for second in (other, pipeline.run_together(model, [CAR, APPLE])):
        with pytest.raises(RuntimeError, match=r"half-way in this thread.*steps\.close\(\)"):
            next(second)
    (*_, last) = steps
    assert np.array_equal(pixels(last.result), apple)


def ended(how, steps, model):
    """End a run that is half-way."""
    if how == "closed":
        steps.close()
    elif how == "failed":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(model.unet, "forward", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                next(steps)
    elif how == "its last step":
        while next(steps).result is None:
            pass
    else:  # dropped in another thread
        bag = [steps]
        steps = None
        thread = threading.Thread(target=bag.clear)
        thread.start()
        thread.join()
        gc.collect()


@pytest.mark.parametrize("how", ["closed", "failed", "its last step", "collected elsewhere"])
@pytest.mark.picture
def test_however_a_run_ends_the_next_one_begins(model, how):
    bag = [sdnb.run(model, APPLE)]
    next(bag[0])
    next(bag[0])
    ended(how, bag.pop(), model)
    assert truth(model, CAR).std() > 5


@pytest.mark.picture
def test_a_waiting_run_can_be_stopped_and_leaves_its_place(model):
    with model.run_lock.ask() as turn:
        assert turn.come()
        worker = Worker(partial(sdnb.run, model))
        job, next_one = worker.submit(APPLE), worker.submit(CAR)
        assert seen(job, waits)
        job.stop()
        assert job.wait(120)
        assert job.state == "stopped"
    assert next_one.wait(120)
    assert next_one.state == "done"
    worker.shutdown()


@pytest.mark.picture
def test_decoding_is_a_part_of_a_run_and_waits_for_another_threads(model):
    steps = sdnb.run(model, APPLE)
    next(steps)
    latent = next(steps).latent[0]
    (inside,) = sdnb.decode(model, [latent])
    found = []
    thread = threading.Thread(target=lambda: found.extend(sdnb.decode(model, [latent])))
    thread.start()
    thread.join(2 * PATIENCE)
    assert not found
    steps.close()
    thread.join(30)
    assert found[0].tobytes() == inside.tobytes()


@pytest.mark.picture
def test_unload_waits_for_another_thread_and_tells_a_run_of_its_own():
    model = sdnb.load(memory="cpu", precision="full")
    steps = sdnb.run(model, APPLE)
    next(steps)
    thread = threading.Thread(target=model.unload)
    thread.start()
    thread.join(2 * PATIENCE)
    assert thread.is_alive()
    next(steps)
    model.unload()
    for late in (steps, sdnb.run(model, APPLE)):
        with pytest.raises(ValueError, match="this model was unloaded"):
            next(late)
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_waiting():
    turns, had = RunLock(), threading.Event()
    end = threading.Event()

    def hold():
        with turns.ask() as turn:
            turn.wait()
            had.set()
            end.wait(120)

    thread = threading.Thread(target=hold)
    thread.start()
    assert had.wait(120)
    threading.Timer(0.05, _thread.interrupt_main).start()
    try:
        with pytest.raises(KeyboardInterrupt), turns.ask() as turn:
            turn.wait()
    finally:
        end.set()
    thread.join(30)
    with turns.ask() as turn:
        assert turn.come()


def test_many_threads_take_turns_in_their_order():
    turns, inside, order, most = RunLock(), [], [], []

    def take(name):
        with turns.ask() as turn:
            assert turn.come(30)
            inside.append(name)
            most.append(len(inside))
            order.append(name)
            time.sleep(0.002)
            inside.remove(name)

    with turns.ask() as turn:
        assert turn.come()
        threads = [threading.Thread(target=take, args=(name,)) for name in range(8)]
        for place, thread in enumerate(threads, 2):
            thread.start()
            while len(turns._line) < place:
                time.sleep(0.001)
    for thread in threads:
        thread.join(30)
    assert order == list(range(8))
    assert max(most) == 1


def test_a_process_forked_from_one_with_a_model_is_told(monkeypatch):
    monkeypatch.setattr(run_lock, "_process", os.getpid() + 1)
    with pytest.raises(RuntimeError, match=r"was forked from one that had .*spawn"):
        sdnb.load()
    with pytest.raises(RuntimeError, match="was forked"), RunLock().ask():
        pass


FORKED = """
import os, signal, sdnb
model = sdnb.load(memory="cpu")
request = sdnb.Request("a cat", width=64, height=64, steps=1)
sdnb.generate(model, request, progress=False)
if os.fork():
    raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
signal.alarm(60)  # it hung
try:
    sdnb.generate(model, request, progress=False)
except RuntimeError as error:
    os._exit(7 if "forked" in str(error) else 1)
"""


@pytest.mark.process
def test_a_run_in_a_forked_child_ends_in_words():
    assert subprocess.run([sys.executable, "-c", FORKED], check=False).returncode == 7
