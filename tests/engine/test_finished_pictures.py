"""Of several pictures each is told when it is finished, and none is lost by a stop or an error.

Truth are the pictures of the whole run, and those of a request for each alone.
"""

import numpy as np
import pytest

import sdnb
from sdnb.engine.stages import autoencode
from sdnb.jobs.executor import Job

pytestmark = pytest.mark.slow

THREE = sdnb.Request("a red apple", width=64, height=64, steps=2, seed=5, cfg=4, count=3)


@pytest.fixture(scope="module")
def model():
    return sdnb.load(memory="cpu", precision="full")


@pytest.fixture(scope="module")
def whole(model):
    return sdnb.generate(model, THREE, progress=False)


def same(some, others):
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def stopped_after(model, count):
    """A job that is stopped when so many pictures are finished."""

    def watch(job):
        if job.so_far is not None and len(job.so_far.images) == count:
            job.stop()

    job = Job(THREE, watch)
    job.run(lambda request: sdnb.run(model, request))
    return job


def test_each_pass_tells_what_is_finished(model, whole):
    steps = list(sdnb.run(model, THREE))
    told = [at.so_far for at in steps if at.so_far is not None]
    assert [len(result.images) for result in told] == [1, 2]
    assert [at.step for at in steps if at.so_far is not None] == [2, 4]
    for count, result in enumerate(told, start=1):
        assert same(result.images, whole.images[:count])
        assert result.request == whole.request.but(count=count)
        assert len(result.latents) == count
    assert same(steps[-1].result.images, whole.images)
    assert steps[-1].so_far is None


def test_one_picture_has_nothing_before_it(model):
    assert all(at.so_far is None for at in sdnb.run(model, THREE.but(count=1)))


@pytest.mark.parametrize("count", [1, 2])
def test_a_stop_keeps_what_is_finished(model, whole, count):
    job = stopped_after(model, count)
    assert (job.state, job.result) == ("stopped", None)
    assert same(job.so_far.images, whole.images[:count])
    again = sdnb.generate(model, job.so_far.request, progress=False)
    assert same(again.images, job.so_far.images)


def test_an_error_keeps_what_is_finished(model, whole, monkeypatch):
    decode, calls = autoencode.decode_all, []

    def second_fails(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("no more")
        return decode(*arguments)

    monkeypatch.setattr(autoencode, "decode_all", second_fails)
    job = Job(THREE)
    job.run(lambda request: sdnb.run(model, request))
    assert (job.state, str(job.error)) == ("failed", "no more")
    assert same(job.so_far.images, whole.images[:1])
