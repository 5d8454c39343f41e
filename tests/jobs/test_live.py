"""Live: of what is asked for in whatever order, the newest is shown in the end, and one waits."""

import gc
import itertools
import threading
import weakref

import pytest
from helpers.fakes import make, until
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sdnb.jobs.executor import FAILED, Inline, Job, Worker
from sdnb.jobs.live import START, STOP, WAIT, Live, Newest
from sdnb.request import Request

REQUEST = Request("a cat", seed=1, width=64, height=64, steps=3, cfg=1.0, sampler="euler")
STEPS = 3


def asked(number):
    return REQUEST.but(seed=number)


def unexpected(error):
    raise AssertionError("a run failed") from error


def live_of(executor, **calls):
    return Live(executor.submit, **{"result": lambda _: None, "error": unexpected, **calls})


class Hand:
    """An executor whose runs go on when the test says so, one at a time and first come first."""

    def __init__(self):
        self.jobs, self.renews = [], True
        self.at = 0  # how far the first job is: 0 has not begun
        self.moves = None

    def submit(self, request, watch):
        if len(self.jobs) > 50:
            raise RuntimeError("a queue")
        self.jobs.append(HandJob(self, request, watch))
        return self.jobs[-1]

    def move(self, fail=False):
        """The next thing that happens to the first job: it begins, makes a step, or ends."""
        job = self.jobs[0]
        if job.moves is None:
            job.moves = job.run_by_hand(make)
        job.fails = fail
        if not next(job.moves, False):
            self.jobs.remove(job)


class HandJob(Job):
    def __init__(self, hand, request, watch):
        super().__init__(request, watch)
        self.hand, self.moves, self.fails, self.began = hand, None, False, False

    def renew(self, request):
        if self.hand.renews and not self.began and not self.stopping:
            self.request = request
            return True
        return False

    def run_by_hand(self, make):
        """As `Job.run`, with a pause after each step."""
        self.began = True
        if not self.stopping:
            self._enter("running")
            yield True
            for progress in make(self.request):
                if self.stopping and progress.result is None:
                    break
                if self.fails:
                    self._fail(RuntimeError(f"no picture of {self.request.seed}"))
                    return
                self.progress, self.result = progress, progress.result
                if self.result is None:
                    self._enter("running")
                    yield True
        self._enter("stopped" if self.result is None else "done")


class Orders(RuleBasedStateMachine):
    """Changes, steps, ends, failures and stops in any order."""

    def __init__(self):
        super().__init__()
        self.hand = Hand()
        self.shown, self.errors, self.previewed = [], [], []
        self.number, self.wanted = 0, None  # the newest that was asked for and not stopped
        self.before = None  # how much was shown before a stop, until the next change
        self.live = Live(
            self.hand.submit,
            result=self.took,
            error=self.errors.append,
            preview=self.previewed.append,
        )

    def took(self, result):
        self.shown.append(result.request.seed)

    @rule()
    def change(self):
        self.number += 1
        self.wanted, self.before = self.number, None
        self.live.ask(asked(self.number))

    @rule()
    def stop(self):
        self.live.stop()
        self.wanted = None
        self.before = len(self.shown), len(self.errors), len(self.previewed)

    @rule(renews=st.booleans())
    def another_executor(self, renews):
        self.hand.renews = renews

    @precondition(lambda self: self.hand.jobs)
    @rule()
    def go_on(self):
        job = self.hand.jobs[0]
        old = job.began and self.live._newest.waiting is not None
        before = job.progress.step if job.progress else 0
        self.hand.move()
        if old and job.progress and not job.ended:  # what runs is not what is wanted: one step more
            assert job.progress.step <= max(before + 1, 1)
            assert job.stopping or job.progress.step == 0

    @precondition(lambda self: self.hand.jobs and self.hand.jobs[0].began)
    @rule()
    def fail(self):
        job, told = self.hand.jobs[0], len(self.errors)
        dropped, newest = self.live._newest.dropped, self.wanted == job.request.seed
        self.hand.move(fail=True)
        if job.state == FAILED:
            assert len(self.errors) == told + (not dropped)
            if newest and not dropped:
                self.wanted = None  # its error was said, and the next change tries again

    @invariant()
    def there_is_no_queue(self):
        assert len(self.hand.jobs) <= 1
        assert (self.live._newest.running is not None) == bool(self.hand.jobs)
        assert self.live.busy == bool(self.hand.jobs)
        if self.hand.jobs:
            assert self.live._newest.running == self.hand.jobs[0].request

    @invariant()
    def pictures_come_in_their_order(self):
        assert self.shown == sorted(set(self.shown))

    @invariant()
    def nothing_is_shown_after_a_stop(self):
        if self.before is not None:
            assert self.before == (len(self.shown), len(self.errors), len(self.previewed))

    def teardown(self):
        for _ in range(100):
            if not self.hand.jobs:
                break
            self.hand.move()
        assert not self.hand.jobs
        assert not self.live.busy
        if self.wanted is not None:
            assert self.shown[-1] == self.wanted


TestOrders = Orders.TestCase
TestOrders.settings = settings(max_examples=30, stateful_step_count=40)


@given(st.lists(st.sampled_from(["ask", "saw", "end", "drop"]), max_size=60))
def test_the_newest_is_never_lost(moves):
    """The policy alone, beside the plainest account of it."""
    newest, count, wanted, running, told = Newest(), 0, None, None, False
    for move in moves:
        if move == "ask":
            count += 1
            order = newest.ask(count)
            assert (order == START) == (running is None)
            running, told = (count, False) if order == START else (running, told or order == STOP)
            wanted = count
        elif move == "end" and running is not None:
            running, told = newest.end(), False
            wanted = running  # what was wanted has run, or runs now
        elif move == "saw" and running is not None:
            order = newest.saw()
            assert (order == STOP) == (wanted not in (running, None) and not told)
            told = told or order == STOP
        elif move == "drop":
            order = newest.drop()
            assert order == (STOP if running is not None and not told else WAIT)
            told, wanted = running is not None, None
        assert newest.running == running
        assert (newest.waiting or newest.running) == (wanted or running)
        assert newest.stopping == told


def test_every_second_one_of_a_slider_that_is_dragged_is_seen():
    """None would be if each was stopped at once: changes come sooner than the first step ends."""
    hand, seen = Hand(), []
    live = live_of(hand, preview=lambda at: seen.append(at.step))
    for number in range(1, 101):  # a job begins, and comes to its first step after three changes
        live.ask(asked(number))
        hand.move()
    assert len(seen) > 10
    assert set(seen) == {1}  # and none ran on after that


def test_a_newer_one_stops_what_runs_at_once():
    hand = Hand()
    live = live_of(hand)
    live.ask(asked(1))
    hand.move()
    live.ask(asked(2))
    assert hand.jobs[0].stopping


def test_what_is_finished_after_a_stop_is_not_shown():
    hand, shown = Hand(), []
    live = live_of(hand, result=shown.append)
    live.ask(asked(1))
    for _ in range(STEPS + 2):  # it begins, makes no step yet, then its steps
        hand.move()
    live.stop()
    hand.move()
    assert (hand.jobs, shown, live.busy) == ([], [], False)


def test_what_waits_for_its_turn_is_renewed_in_it():
    gate, order = threading.Event(), []

    def run(request):
        if request.seed == 0:
            gate.wait(60)
        order.append(request.seed)
        yield from make(request)

    worker, shown = Worker(run), []
    first = worker.submit(asked(0))
    live = live_of(worker, result=shown.append)
    live.ask(asked(1))
    behind = worker.submit(asked(99))
    for number in range(2, 50):
        live.ask(asked(number))
    assert len(worker.jobs) == 3
    gate.set()
    assert first.wait(60)
    assert behind.wait(60)
    until(lambda: not live.busy)
    assert order == [0, 49, 99]
    assert [result.request.seed for result in shown] == [49]


def test_two_on_one_executor_take_turns():
    """Each is asked anew before each step of whatever runs."""
    hand, shown, ran = Hand(), {0: [], 1000: []}, []
    lives = {
        base: live_of(hand, result=shown[base].append, began=lambda r: ran.append(r.seed // 1000))
        for base in shown
    }
    for number in range(1, 100):
        for base, live in lives.items():
            live.ask(asked(base + number))
        assert len(hand.jobs) <= 2
        hand.move()
    while hand.jobs:
        hand.move()
    assert {base: made[-1].request.seed for base, made in shown.items()} == {0: 99, 1000: 1099}
    assert all(one != other for one, other in itertools.pairwise(ran))


def test_a_thousand_changes_leave_nothing_behind():
    worker, shown, kept = Worker(make), [], []
    before = threading.active_count()

    def show(result):
        kept.append(weakref.ref(result))
        shown[:] = [result]

    live = live_of(worker, result=show)
    for number in range(1, 1001):
        live.ask(asked(number))
    until(lambda: not live.busy)
    assert shown[0].request.seed == 1000
    assert threading.active_count() <= before + 1
    until(lambda: not worker.jobs)
    live.ask(asked(1001))  # the thread lets go of the job before
    until(lambda: not live.busy)
    gc.collect()
    assert sum(each() is not None for each in kept) <= 2


def test_an_error_of_the_caller_is_said_and_the_next_change_tries_again():
    said, shown = [], []

    def show(result):
        if result.request.seed == 1:
            raise OSError("no room for it")
        shown.append(result.request.seed)

    live = live_of(Inline(make), result=show, error=said.append)
    live.ask(asked(1))
    assert [str(error) for error in said] == ["no room for it"]
    assert not live.busy
    live.ask(asked(2))
    assert shown == [2]


def test_whoever_shows_a_picture_may_ask_for_the_next():
    shown = []

    def show(result):
        shown.append(result.request.seed)
        if len(shown) < 5:
            live.ask(asked(result.request.seed + 1))

    live = live_of(Inline(make), result=show)
    live.ask(asked(1))
    assert shown == [1, 2, 3, 4, 5]
    assert not live.busy


def test_an_executor_that_is_closed_refuses_and_nothing_runs():
    worker, gate, errors = Worker(lambda r: (gate.wait(60), (yield from make(r)))), None, []
    gate = threading.Event()
    live = live_of(worker, error=errors.append)
    live.ask(asked(1))
    until(lambda: live.job.state == "running")
    live.ask(asked(2))
    worker.shutdown()
    gate.set()
    until(lambda: not live.busy)
    assert "shut down" in str(errors[0])
    with pytest.raises(RuntimeError, match="shut down"):
        live.ask(asked(3))
    assert not live.busy
