"""How far the host runs ahead of a card, on a card that is a clock: what is enqueued takes its time
one after the other, and the host sleeps until it has passed.
"""

import pytest
import torch

from sdnb.engine.memory import Graphed, graphs, run_ahead
from sdnb.engine.memory.run_ahead import MOST, KnownPasses, RunAhead
from sdnb.request import stop

CUDA = torch.device("cuda")
LONG = [0.001] * 30 + [0.1] * 4 + [0.001] * 30  # seconds of a pass's pieces
SHORT = [0.001] * 40
BOUND = MOST + 2 * MOST / 16 + 0.1 + 0.001


def test_a_pass_of_many_short_pieces_has_few_marks(card):
    """They cost the host: here 4,000 pieces of 0.1 ms, known or not."""
    ahead, pieces = RunAhead(CUDA), [0.0001] * 4000
    for most in (1010, 40):
        before = card.marks
        assert run_pass(card, ahead, pieces) <= BOUND
        assert card.marks - before <= most
    assert not ahead.short


class Card:
    """`now` is the host's clock; the card is at work until `busy`, and was idle for `idle`."""

    def __init__(self):
        self.now = self.busy = self.idle = 0.0
        self.marks = 0
        self.furthest = 0.0  # the most work that lay before the host

    def work(self, seconds, host=1e-5):
        """Enqueue work, which takes the host a moment."""
        self.now += host
        self.idle += max(0.0, self.now - self.busy)
        self.busy = max(self.now, self.busy) + seconds
        self.furthest = max(self.furthest, self.busy - self.now)

    def sleep(self, seconds):
        self.now += seconds

    def mark(self, _):
        self.marks += 1
        return Event(self)


class Event:
    def __init__(self, card):
        self.card, self.at = card, max(card.now, card.busy)

    def query(self):
        return self.card.now >= self.at

    def elapsed_time(self, later):
        return 1000 * (later.at - self.at)


@pytest.fixture
def card(monkeypatch):
    card = Card()
    monkeypatch.setattr(run_ahead, "_recorded", card.mark)
    monkeypatch.setattr(run_ahead.time, "sleep", card.sleep)
    return card


def run_pass(card, ahead, pieces):
    """The layers of a pass: each looks, and then enqueues its work. Returns what lay before the
    host at most.
    """
    card.furthest = 0.0
    with ahead.bounded():
        for seconds in pieces:
            stop.look()
            card.work(seconds)
    return card.furthest


def test_the_host_is_never_far_ahead_and_the_card_never_waits(card):
    """The pieces that come as a surprise are 0.4 s here; known ones are bounded by MOST, what needs
    no mark, and the piece that comes.
    """
    ahead = RunAhead(CUDA)
    for _ in range(2):  # the second time it knows what pieces between two marks take together
        assert run_pass(card, ahead, LONG) <= 5 * 0.1 + 0.001
    idle = card.idle
    for _ in range(3):
        assert run_pass(card, ahead, LONG) <= BOUND
        assert not ahead.short
    assert card.idle - idle <= 0.001  # once, where the first pass is waited for
    assert card.now >= 3 * sum(LONG)


def run_passes(card, ahead, count):
    for _ in range(count):
        run_pass(card, ahead, LONG)


@pytest.mark.parametrize("at", [0.01, 0.25, 0.5, 0.9])
def test_stop_is_heard_in_the_middle_of_a_pass(card, at):
    ahead = RunAhead(CUDA)
    run_passes(card, ahead, 2)
    wanted = card.busy + at * sum(LONG)
    with pytest.raises(stop.Stopped), stop.heard(lambda: card.now >= wanted):
        run_passes(card, ahead, 2)
    assert card.now - wanted <= 0.01
    assert card.busy - card.now <= BOUND
    assert run_pass(card, ahead, LONG) <= BOUND + 5 * 0.1  # it serves on, over what is enqueued


def test_a_short_pass_is_marked_until_it_is_known_to_be_short(card):
    """Its first time counts as long where the host has to load what it runs."""
    ahead = RunAhead(CUDA)
    card.furthest = 0.0
    with ahead.bounded():
        for seconds in SHORT:
            stop.look()
            card.work(seconds, host=0.02)
    run_pass(card, ahead, SHORT)
    assert not ahead.short
    card.now = card.busy
    assert ahead.judge()
    marks = card.marks
    run_pass(card, ahead, SHORT)
    assert card.marks == marks


def test_a_device_that_is_no_card_has_no_marks(card):
    run_pass(card, RunAhead(torch.device("cpu")), SHORT)
    assert card.marks == 0


class Recorded(Graphed):
    """A graph without a card: a recording calls the function, and a replay gives what it gave."""

    def _record(self, tensors, shapes):
        self.forget()
        self._inputs, self._shapes, self._graph = [t.clone() for t in tensors], shapes, self
        self._output = self.function(*self._inputs)

    def replay(self):
        pass


@pytest.mark.parametrize(
    ("pieces", "most", "recorded"),
    [
        (SHORT, MOST, True),
        (LONG, MOST, False),
        (LONG, graphs.BEARABLE, True),
        (LONG * 2, graphs.BEARABLE, False),
    ],
)
def test_only_short_calls_are_recorded(card, monkeypatch, pieces, most, recorded):
    """A recording, which cannot break off, hears a stop when it has ended."""
    calls = []

    def function(x):
        calls.append(1)
        for seconds in pieces:
            stop.look()
            card.work(seconds)
        return x + 1

    monkeypatch.setattr(graphs, "RunAhead", lambda _, short: RunAhead(CUDA, short))
    graphed, x = Recorded(function, most), torch.ones(2)
    assert torch.equal(graphed(x), x + 1)
    assert not graphed.recorded
    if recorded:
        with stop.heard(lambda: len(calls) == 2), pytest.raises(stop.Stopped):
            graphed(x)
    for _ in range(3):
        assert torch.equal(graphed(x), x + 1)
    assert graphed.recorded == recorded
    assert graphed.seconds == pytest.approx(sum(pieces) if recorded else 0, rel=0.05)
    assert len(calls) == (2 if recorded else 4)
    y = torch.ones(3)  # of another shape: it is tried again
    assert torch.equal(graphed(y), y + 1)
    assert not graphed.recorded


def test_what_a_pass_takes_is_known_the_next_time(card):
    """Of its own kind; a pass that is short has no marks then."""
    known = KnownPasses()
    for _ in range(2):
        run_pass(card, known.of(("decoder", 512), CUDA), SHORT)
    card.sleep(1)
    before = card.marks
    run_pass(card, known.of(("decoder", 512), CUDA), SHORT)
    assert card.marks == before
    run_pass(card, known.of(("decoder", 768), CUDA), SHORT)
    assert card.marks > before
    known.forget()
    assert not known.of(("decoder", 512), CUDA).short


def test_old_kinds_of_passes_are_forgotten():
    known = KnownPasses()
    first = known.of(0, CUDA)
    assert known.of(0, CUDA) is first
    for kind in range(1, 100):
        known.of(kind, CUDA)
    assert known.of(0, CUDA) is not first
    assert len(known._known) < 50
