"""Jobs and where they run: order, stopping, failing, and what a watcher sees."""

import gc
import itertools
import threading
import time
import weakref
from functools import partial

import pytest

from sdnb.images.result import Progress
from sdnb.jobs.executor import DONE, FAILED, STOPPED, Inline, Job, Worker
from sdnb.request import Request, stop

REQUEST = Request("a cat", seed=1)


def steps(total, gate=None, fail_at=None, result="a result"):
    """A run of so many steps; each waits for the gate, and one may fail."""

    def make(request):
        yield Progress(0, total, 0.0)
        for step in range(1, total + 1):
            if gate is not None:
                gate.wait(60)
            if step == fail_at:
                raise ValueError("no such picture")
            yield Progress(step, total, step / 10)
        yield Progress(total, total, total / 10, result=(result, request))

    return make


@pytest.mark.parametrize("executor", [Inline, Worker])
def test_a_job_ends_with_its_result(executor):
    seen = []
    job = executor(steps(3)).submit(REQUEST, lambda job: seen.append((job.state, job.progress)))
    assert job.wait(60)
    assert (job.state, job.ended, job.error) == (DONE, True, None)
    assert job.result == ("a result", REQUEST)
    assert [state for state, _ in seen] == ["running"] * 5 + ["done"]
    assert [at.step for _, at in seen if at] == [0, 1, 2, 3, 3]


@pytest.mark.parametrize("executor", [Inline, Worker])
def test_a_failure_is_kept_and_shown_to_the_watcher(executor):
    seen = []
    job = executor(steps(3, fail_at=2)).submit(REQUEST, lambda job: seen.append(job.state))
    assert job.wait(60)
    assert (job.state, job.result) == (FAILED, None)
    assert str(job.error) == "no such picture"
    assert "in make" in job.traceback
    assert seen[-1] == "failed"


def test_stop_ends_within_a_step_and_closes_the_run():
    closed, gate = threading.Event(), threading.Event()

    def make(request):
        try:
            for step in itertools.count():
                yield Progress(step, 10**9, 0.0)
                gate.set()
                time.sleep(0.001)
        finally:
            closed.set()

    job = Worker(make).submit(REQUEST)
    assert gate.wait(60)
    job.stop()
    at = job.progress.step
    assert job.wait(60)
    assert job.state == STOPPED
    assert job.stopping
    assert closed.is_set()
    assert job.progress.step <= at + 2


def test_jobs_run_one_after_the_other_in_their_order():
    running, most, order = [], [], []

    def make(request):
        running.append(1)
        most.append(len(running))
        order.append(request.seed)
        yield Progress(0, 1, 0.0)
        time.sleep(0.002)
        running.pop()
        yield Progress(1, 1, 0.0, result=request)

    worker = Worker(make)
    jobs = [worker.submit(REQUEST.but(seed=seed)) for seed in range(20)]
    assert all(job.wait(60) for job in jobs)
    assert order == list(range(20))
    assert max(most) == 1
    assert worker.jobs == ()


def test_a_waiting_job_that_is_stopped_ends_at_once_and_never_runs():
    began, gate, seen = [], threading.Event(), []

    def make(request):
        began.append(request)
        yield from steps(1, gate)(request)

    worker = Worker(make)
    first = worker.submit(REQUEST)
    job = worker.submit(REQUEST.but(seed=2), lambda job: seen.append(job.state))
    job.stop()
    job.stop()
    assert (job.state, job.wait(0), seen) == (STOPPED, True, [STOPPED])
    assert worker.jobs == (first,)
    last = worker.submit(REQUEST.but(seed=3))
    gate.set()
    assert last.wait(60)
    assert [request.seed for request in began] == [1, 3]


def test_a_job_fails_alone():
    def make(request):
        if request.seed == 0:
            raise MemoryError("CUDA out of memory")
        yield Progress(1, 1, 0.0, result=request)

    worker = Worker(make)
    jobs = [worker.submit(REQUEST.but(seed=seed)) for seed in range(2)]
    assert all(job.wait(60) for job in jobs)
    assert [job.state for job in jobs] == [FAILED, DONE]


def test_a_watcher_that_fails_ends_its_job_and_no_other():
    def watch(job):
        raise RuntimeError("the panel is gone")

    worker = Worker(steps(2))
    broken, whole = worker.submit(REQUEST, watch), worker.submit(REQUEST)
    assert broken.wait(60)
    assert whole.wait(60)
    assert (broken.state, whole.state) == (FAILED, DONE)
    assert "the panel is gone" in broken.traceback


def test_shutdown_stops_everything_and_takes_no_more():
    gate = threading.Event()
    worker = Worker(steps(2, gate))
    jobs = [worker.submit(REQUEST.but(seed=seed)) for seed in range(3)]
    worker.shutdown()
    gate.set()
    assert all(job.wait(60) for job in jobs)
    assert [job.state for job in jobs] == [STOPPED] * 3
    with pytest.raises(RuntimeError, match="shut down"):
        worker.submit(REQUEST)


def test_a_watcher_that_fails_at_the_end_loses_no_result():
    def watch(job):
        if job.state == DONE:
            raise RuntimeError("the panel is gone")

    job = Worker(steps(2)).submit(REQUEST, watch)
    assert job.wait(60)
    assert (job.state, job.result) == (FAILED, ("a result", REQUEST))
    assert str(job.error) == "the panel is gone"


@pytest.mark.parametrize("how", ["shut down", "dropped"])
@pytest.mark.slow
def test_a_workers_thread_ends_and_holds_nothing(how):
    class Model:
        pass

    def run(model, request):
        yield Progress(1, 1, 0.0, result=model)

    model = Model()
    worker = Worker(partial(run, model))
    job = worker.submit(REQUEST)
    assert job.wait(60)
    thread, gone = worker._thread, (weakref.ref(worker), weakref.ref(model), weakref.ref(job))
    if how == "shut down":
        worker.shutdown()
        thread.join(60)
    del worker, model, job
    thread.join(60)
    assert not thread.is_alive()
    gc.collect()
    assert [reference() for reference in gone] == [None] * 3


def test_an_interrupt_goes_on_to_the_caller():
    def make(request):
        yield Progress(0, 1, 0.0)
        raise KeyboardInterrupt

    job = Job(REQUEST)
    with pytest.raises(KeyboardInterrupt):
        job.run(make)
    assert job.state == FAILED
    assert job.ended


class Panic(BaseException):
    """What pyo3 raises where Rust panics: no Exception."""


@pytest.mark.parametrize("error", [Panic("a panic"), SystemExit(), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["run", "watcher", "both"])
def test_nothing_that_a_job_raises_ends_the_workers_thread(error, where):
    def make(request):
        yield Progress(0, 1, 0.0)
        if request.seed == 0 and where != "watcher":
            raise error
        yield Progress(1, 1, 0.0, result=request)

    def watch(job):
        if where != "run":
            raise error

    worker = Worker(make)
    broken = worker.submit(REQUEST.but(seed=0), watch)
    after = worker.submit(REQUEST)
    assert broken.wait(60)
    assert after.wait(60)
    assert (broken.state, broken.error, after.state) == (FAILED, error, DONE)
    assert worker._thread.is_alive()


def test_a_watcher_may_look_at_a_worker_that_is_shut_down():
    gate, seen = threading.Event(), []
    worker = Worker(steps(1, gate))
    running = worker.submit(REQUEST)
    worker.submit(REQUEST, lambda job: seen.append((job.state, worker.jobs)))
    worker.shutdown()
    assert seen == [(STOPPED, (running,))]
    gate.set()
    assert running.wait(60)


def test_a_workers_jobs_do_not_hear_who_began_its_thread():
    """A thread takes over the context of the first who submits, and with it what stops that one."""
    begun, gate = threading.Event(), threading.Event()

    def make(request):
        begun.set()
        gate.wait(60)
        stop.look()
        yield Progress(1, 1, 0.1, result="a result")

    worker = Worker(make)
    with stop.heard(gate.is_set):
        job = worker.submit(REQUEST)
        begun.wait(60)
        gate.set()
        assert job.wait(60)
    assert (job.state, job.result) == (DONE, "a result")
    worker.shutdown()
