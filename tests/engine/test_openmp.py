"""Whoever has computed gives back the threads of OpenMP, so that another's pool stays quick."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

import sdnb
from sdnb.engine import openmp

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there it is libgomp")


@pytest.fixture(autouse=True)
def two():
    """A pool has two threads, on whatever machine and in whatever process of tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threads():
    return len(list(Path("/proc/self/task").iterdir()))


def compute():
    return float(torch.ones(3_000_000).add_(1).sum())


def in_thread(work):
    """What `work` gives in a thread of its own, which stays until the end."""
    found, end = [], threading.Event()
    thread = threading.Thread(target=lambda: (found.append(work()), end.wait(30)))
    thread.start()
    while not found and thread.is_alive():
        thread.join(0.01)
    end.set()
    thread.join()
    return found[0]


def counts():
    """How many threads the pool of this thread adds, and how many stay afterwards."""
    before = threads()
    with openmp.borrowed():
        compute()
        during = threads() - before
    return during, threads() - before


def test_the_pool_of_a_thread_ends_with_the_block():
    during, after = in_thread(counts)
    assert during >= 1
    assert after <= 0


def test_an_error_ends_it_too_and_the_next_loop_makes_another():
    @openmp.borrowed()
    def fails():
        raise ValueError(compute())

    def goes_on():
        with pytest.raises(ValueError, match="6000000"):
            fails()
        before = threads()
        return compute(), threads() - before

    total, more = in_thread(goes_on)
    assert total == 6_000_000
    assert more >= 1


@pytest.mark.picture
def test_a_run_and_a_load_leave_no_pool():
    def makes():
        before = threads()
        model = sdnb.load("tiny", "cpu")
        loaded = threads() - before
        sdnb.txt2img(model, "a cat", width=64, height=64, steps=1, progress=False)
        return loaded, threads() - before

    assert max(in_thread(makes)) <= 0  # one of an earlier test may end meanwhile


@pytest.mark.parametrize(("given", "expected"), [(None, "5000"), ("77", "77")])
def test_threads_wait_for_a_moment_only_but_as_long_as_somebody_says(given, expected):
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    if given:
        environment["GOMP_SPINCOUNT"] = given
    program = "import os, sdnb; sdnb.load; print(os.environ['GOMP_SPINCOUNT'])"
    said = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == expected
