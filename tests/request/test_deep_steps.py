"""Which steps compute the whole UNet: the paper's uniform ones, and those where nothing fits."""

import pytest

from sdnb.request.choices import SAMPLERS, calls_of, step_of
from sdnb.request.deep_steps import SHALLOW, StepTexts, depths

LETTERS = {"keeps": "w", "shallow": "s", "whole": "W"}


def ways(every, steps):
    return "".join(LETTERS[each] for each in depths(every, steps))


@pytest.mark.parametrize("every", [2, 3, 5, 10])
@pytest.mark.parametrize("steps", [1, 2, 7, 25])
def test_uniform_steps_are_the_papers(every, steps):
    """Section 3.3: of each N steps the first one is whole."""
    found = depths(every, [StepTexts(all_texts=True)] * steps)
    if steps == 1:
        assert found == ("whole",)
    else:
        assert [i for i, each in enumerate(found) if each != SHALLOW] == [*range(0, steps, every)]


def test_every_step_is_off():
    assert ways(1, [StepTexts(all_texts=True)] * 5) == "WWWWW"


@pytest.mark.parametrize("every", [2, 3, 4, 7])
@pytest.mark.parametrize("turn", [2, 3, 4])
def test_nothing_too_old_is_used_and_no_other_text(every, turn):
    """Where guidance's guess is reused, too: what a step uses was kept of at least its texts."""
    reads = [StepTexts(all_texts=step % turn == 0) for step in range(60)]
    found = depths(every, reads)
    for step, depth in enumerate(found):
        before = [
            s for s in range(step)
            if found[s] != SHALLOW and (reads[s].all_texts or not reads[step].all_texts)
        ]  # fmt: skip
        fits = bool(before) and step - before[-1] < every
        assert (depth == SHALLOW) == fits


def test_other_words_and_control_begin_anew():
    said = [StepTexts(all_texts=True, words=[w]) for w in "aaabbb"]
    assert ways(6, said) == "wsswss"
    assert (
        ways(6, [StepTexts(all_texts=True, words=[*w]) for w in ("aa", "ab", "bb", "bb")]) == "wwss"
    )
    assert ways(2, [StepTexts(all_texts=True, words=[w]) for w in "abab"]) == "WWWW"
    under = [StepTexts(all_texts=True, controlled=on) for on in (0, 1, 1, 0, 0, 1, 0)]
    assert ways(6, under) == "wwwwsww"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_calls_of_a_step_are_those_of_step_of(sampler):
    calls = [list(calls_of(sampler, step)) for step in range(6)]
    assert [c for own in calls for c in own] == list(range(sum(map(len, calls))))
    assert all(step_of(sampler, call) == step for step, own in enumerate(calls) for call in own)
