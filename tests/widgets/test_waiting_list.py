"""The queue as a list: what runs is skipped, what waits is taken out, the rest goes on."""

import pytest
from helpers.fakes import Model, gated, until
from helpers.widget_hands import beside, called, find, press, read

from sdnb.jobs.executor import RUNNING, Job, Worker
from sdnb.request import Request
from sdnb.widgets.panel import Panel
from sdnb.widgets.waiting_list import WaitingList, in_a_line

pytestmark = pytest.mark.slow


class Queue:
    """A panel that runs one request, at its first step, with others waiting."""

    def __init__(self, *prompts):
        self.gate, run = gated()
        self.panel = Panel(Model(), executor=Worker(run))
        self.jobs = [self._add(prompt) for prompt in prompts]
        self.gate.release()
        until(lambda: self.jobs[0].progress and self.jobs[0].progress.step == 1)

    def _add(self, prompt):
        self.panel.form.change(prompt=prompt)
        return self.panel.generate()

    @property
    def lines(self):
        return read(self.panel._queue.waiting).splitlines()

    def press(self, words, line=0):
        called(self.panel._queue.waiting, words)[line].click()

    def finish(self):
        for _ in range(40):
            self.gate.release()
        assert all(job.wait(60) for job in self.jobs)
        until(lambda: not self.panel.running)
        return [job.state for job in self.jobs]


@pytest.fixture
def queue():
    queue = Queue("a cat", "a dog", "an owl", "a fox")
    yield queue
    queue.panel.stop()
    queue.finish()


def test_it_is_hidden_while_nothing_waits():
    queue = Queue("a cat")
    assert not called(queue.panel, "Skip")
    assert queue.lines == []
    assert queue.finish() == ["done"]


def test_each_that_waits_has_a_line(queue):
    assert queue.lines == [
        "now: a cat · 64 × 64 · 5 steps", "a dog · 64 × 64 · 5 steps",
        "an owl · 64 × 64 · 5 steps", "a fox · 64 × 64 · 5 steps",
    ]  # fmt: skip
    assert queue.finish() == ["done"] * 4
    assert queue.lines == []


def test_one_is_taken_out_and_the_others_are_made(queue):
    queue.press("Remove", 1)
    assert [line.partition(" · ")[0] for line in queue.lines] == ["now: a cat", "a dog", "a fox"]
    assert beside(queue.panel, "Stop") == "next: after 3 others"
    assert queue.panel.progress.line.startswith("step ")  # what runs is shown as before
    assert queue.finish() == ["done", "done", "stopped", "done"]
    assert [r.request.prompt for r in queue.panel.results] == ["a cat", "a dog", "a fox"]


@pytest.mark.parametrize("button", ["Stop", "Skip"])
def test_the_one_that_runs_is_ended_and_the_next_one_runs(queue, button):
    press(queue.panel, button)
    assert find(queue.panel, "Stop").disabled
    assert queue.panel.progress.line.startswith("stopping")
    queue.gate.release()
    assert queue.jobs[0].wait(60)
    until(lambda: queue.lines[0].startswith("now: a dog"))
    assert queue.jobs[0].state == "stopped"
    assert not find(queue.panel, "Stop").disabled
    assert queue.finish() == ["stopped", "done", "done", "done"]


def test_all_that_wait_are_taken_out_and_what_runs_goes_on(queue):
    press(queue.panel, "Remove all")
    assert queue.lines == []
    assert beside(queue.panel, "Stop") == "next: after this picture"
    assert queue.panel.progress.line.startswith("step ")
    assert queue.finish() == ["done", "stopped", "stopped", "stopped"]
    assert queue.panel.progress.line == ""


def test_a_click_that_comes_late_meets_no_other_job(queue):
    """A button that was in the page when its job began, was removed or was done."""
    skip, remove = called(queue.panel, "Skip")[0], called(queue.panel, "Remove")[0]
    press(queue.panel, "Stop")
    queue.gate.release()
    until(lambda: queue.jobs[1].state == "running")
    skip.click()
    assert not queue.jobs[1].stopping
    assert queue.finish() == ["stopped", "done", "done", "done"]
    remove.click()


def test_many_are_counted():
    dropped = []
    shown = WaitingList(dropped.append, lambda: None)
    jobs = [Job(Request(f"number {i}")) for i in range(31)]
    jobs[0].state = RUNNING
    shown.show(jobs[:1], jobs[1:])
    assert len(called(shown, "Remove")) == 10
    assert "and 20 more" in read(shown)
    called(shown, "Remove")[2].click()
    assert dropped == [jobs[3]]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request("a\n<cat>", width=64, height=72, steps=1), "a <cat> · 64 × 72 · 1 step"),
        (Request("x" * 60, count=3), "x" * 47 + "… · 3 pictures"),
        (Request(), "no prompt"),
    ],
)
def test_a_request_in_a_line(request_, words):
    assert in_a_line(request_) == words
    shown = WaitingList(print, print)
    shown.show([], [Job(request_)])
    assert read(shown) == words
