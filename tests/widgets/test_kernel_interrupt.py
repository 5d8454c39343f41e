"""An interrupt of a real kernel: of the cell that runs, and of panels and grids while none runs."""

import signal
import textwrap
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

from sdnb.widgets import lifetime

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("interruptible")]

SETUP = f"""
    import os, sys, threading, time
    sys.path.insert(0, {str(Path(__file__).parents[1])!r})
    import sdnb
    from helpers import fakes
    from sdnb.jobs.executor import Worker
    from sdnb.request import stop

    def endless(request):
        while True:
            stop.look()
            time.sleep(0.01)
            yield from ()

    def until(true, seconds=60):
        end = time.monotonic() + seconds
        while not true() and time.monotonic() < end:
            time.sleep(0.01)
        assert true()

    model = fakes.Model()
    panel = sdnb.Panel(model, executor=Worker(endless))
    grid = sdnb.sweep(sdnb.Request("a fox"), seed=[1, 2])
    view = sdnb.GridView(grid, model, executor=Worker(endless))
"""


@pytest.fixture(scope="module")
def kernel():
    manager, client = start_new_kernel(kernel_name="python3", extra_arguments=[])
    run(client, SETUP)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(client, code):
    """Run a cell; its error's name, if it had one."""
    reply = client.execute_interactive(
        textwrap.dedent(code), timeout=60, output_hook=lambda _: None
    )
    return reply["content"].get("ename", "")


def check(client, code):
    """Run a cell that must have no error."""
    assert run(client, code) == "", code


BEGIN = """
    jobs = [panel.submit(sdnb.Request("a cat", seed=seed)) for seed in (1, 2)]
    view.run()
    until(lambda: jobs[0].state == "running" and view.running)
"""


def test_between_cells_it_stops_panels_and_grids(kernel):
    manager, client = kernel
    for _ in range(2):  # it is heard again
        check(client, BEGIN)
        manager.interrupt_kernel()
        check(client, "until(lambda: all(job.ended for job in jobs) and not view.running)")
        check(client, 'assert [job.state for job in jobs] == ["stopped"] * 2 and not panel.running')


def test_in_a_cell_it_is_the_cells_own(kernel):
    _, client = kernel
    check(client, BEGIN)
    check(client, "threading.Timer(0.5, os.kill, (os.getpid(), 2)).start()")
    assert run(client, "time.sleep(30)") == "KeyboardInterrupt"
    check(client, 'assert jobs[0].state == "running" and view.running')
    check(client, "panel.stop(); view.stop()")
    check(client, "until(lambda: all(job.ended for job in jobs) and not view.running)")


class Owner:
    def stop(self):
        raise AssertionError("nobody was interrupted")


def test_outside_a_kernel_interrupts_stay_as_they_are():
    before = signal.getsignal(signal.SIGINT)
    lifetime.tie_to_interrupt(Owner())
    assert signal.getsignal(signal.SIGINT) is before
    assert not lifetime._listening
