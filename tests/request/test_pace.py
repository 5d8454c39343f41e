"""What runs take, from times that are given: all right values are worked out by hand."""

import itertools

import pytest
from helpers.any_request import png

from sdnb.request import Request, Settings
from sdnb.request.deep_steps import SHALLOW_SHARE
from sdnb.request.pace import Pace, Times, in_words

SETTINGS = Settings(512, 512, 20, 7.5, "euler", "karras")


def asked(**fields):
    return Request(seed=1, **fields).resolved(SETTINGS)


def times(step, steps=20, first=3.0, decoder=2.0, **more):
    """A run whose first step ends after `first` seconds, and which ends after the decoder."""
    ends = [first + step * i for i in range(steps)]
    return Times(ends, whole=ends[-1] + decoder, **more)


def test_nothing_is_known_before_the_first_run():
    assert Pace().seconds(asked()) is None


def test_the_same_again_takes_as_long():
    pace = Pace()
    pace.learn(asked(), times(0.5))
    # 19 steps of 0.5 s, and 3 and 2 s, in which one step is.
    assert pace.seconds(asked()) == pytest.approx(3 + 19 * 0.5 + 2)
    assert pace.seconds(asked(steps=40)) == pytest.approx(3 + 39 * 0.5 + 2)
    # What comes before the first step is there once.
    assert pace.seconds(asked(count=3)) == pytest.approx(2.5 + 3 * (20 * 0.5 + 2))


def test_what_is_left_goes_on_from_what_was_said_before():
    pace, count = Pace(), 2
    assert pace.left(asked(), 0, 20, 0.0) is None
    assert pace.left(asked(), 5, 20, 3.0) == pytest.approx(9)  # nothing is known but this run
    pace.learn(asked(), times(0.5))
    request, whole = asked(count=count), pace.seconds(asked(count=count))
    assert pace.left(request, 0, 40, 0.0) == whole == 2.5 + 2 * (20 * 0.5 + 2)
    for step in (1, 19, 20, 21, 40):  # a run as the last one: the first picture ends before 21
        passed = 2.5 + step * 0.5 + (2.0 if step > 20 else 0.0)
        assert pace.left(request, step, 40, passed) == pytest.approx(whole - passed)
    # At half the speed, what it shows counts the more the longer it runs: 1 + 1 * 30 / 40 times.
    passed = 2.5 + 30 * 0.5 + 2
    assert pace.left(request, 30, 40, 2 * passed) == pytest.approx((whole - passed) * 1.75)


def test_a_slow_step_among_others_says_nothing():
    pace = Pace()
    ends = [1.0, 1.5, 2.0, 12.0, 12.5, 13.0]  # a laptop that slept
    pace.learn(asked(steps=6), Times(ends))
    assert pace.seconds(asked(steps=10)) == pytest.approx(10 * 0.5)


def test_guidance_and_two_passes_a_step_are_counted():
    pace = Pace()
    pace.learn(asked(), times(0.5, decoder=0, first=0.5))
    assert pace.seconds(asked(cfg=1)) == pytest.approx(20 * 0.25)
    assert pace.seconds(asked(sampler="heun")) == pytest.approx(20 * 1.0)


@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_steps_without_the_guess_without_words_take_half(sampler):
    """Of one pass, 0.5 s, and of two; heun's have twice as many. The first step is not seen."""
    pace, passes = Pace(), 2 if sampler == "heun" else 1
    seconds = [passes * (0.5 if step % 2 else 1.0) for step in range(20)]
    ends = list(itertools.accumulate(seconds))
    pace.learn(asked(sampler=sampler, cfg_every=2), Times(ends, whole=ends[-1]))
    assert pace.seconds(asked(cfg=1)) == pytest.approx(20 * 0.5, rel=0.05)
    assert pace.seconds(asked()) == pytest.approx(20 * 1.0, rel=0.05)
    assert pace.seconds(asked(cfg_end=0.49)) == pytest.approx(10 * 1.0 + 10 * 0.5, rel=0.05)


def test_shallow_steps_take_their_share():
    pace, steps = Pace(), [1.0 if step % 2 == 0 else SHALLOW_SHARE for step in range(20)]
    ends = list(itertools.accumulate(steps))
    pace.learn(asked(deep_every=2), Times(ends, whole=ends[-1]))
    assert pace.seconds(asked()) == pytest.approx(20, rel=0.05)
    assert pace.seconds(asked(deep_every=5)) == pytest.approx(4 + 16 * SHALLOW_SHARE, rel=0.05)


@pytest.mark.parametrize(
    ("fields", "passes"),  # of the UNet in a step
    [
        ({"prompt": "a cat AND a dog", "syntax": "a1111"}, 3),
        ({"prompt": "a cat AND a dog :0.5 AND fog :-1", "syntax": "a1111"}, 4),
        ({"prompt": "a cat AND a dog :0", "syntax": "a1111"}, 2),  # of weight 0: not read
        ({"prompt": "a cat AND a dog :2", "syntax": "a1111", "cfg": 0.5}, 3),
        ({"prompt": "a cat AND a dog", "syntax": "a1111", "sampler": "heun"}, 6),
        ({"prompt": "a cat AND a dog"}, 2),  # text, in this syntax
        ({"prompt": "[a cat:a dog:5] [fog|mist]", "syntax": "a1111"}, 2),  # one text in each step
        ({"prompt": "a cat", "cfg": 1}, 1),
        ({"prompt": "a cat", "cfg": 0}, 1),
    ],
)
def test_each_text_that_guides_is_a_pass(fields, passes):
    pace = Pace()
    pace.learn(asked(**fields), times(0.1 * passes, decoder=0, first=0.1 * passes))
    assert pace.seconds(asked(cfg=1)) == pytest.approx(20 * 0.1)
    assert pace.seconds(asked(**fields)) == pytest.approx(20 * 0.1 * passes)


def test_a_prompt_that_cannot_be_takes_no_time_that_is_known():
    pace = Pace()
    pace.learn(asked(), times(0.5))
    nested = "[" * 200 + "a cat:a dog:5" + "]" * 200
    assert pace.seconds(asked(prompt=nested, syntax="a1111")) is None


def test_a_picture_to_start_from_runs_a_share_of_the_steps():
    pace = Pace()
    pace.learn(asked(), times(0.5, decoder=0, first=0.5))
    changed = asked(image=png(64, 64), width=512, height=512, strength=0.6)
    assert pace.seconds(changed) == pytest.approx(12 * 0.5)


def test_pictures_of_one_pass_share_its_time():
    pace = Pace()
    together = Times([1.0, 2.0, 3.0, 4.0], whole=8.0, count=4, at_once=4)
    pace.learn(asked(steps=4, count=4), together)
    # A picture's part of a step is 0.25 s, of the rest, 4 s, it is 1 s.
    assert pace.seconds(asked(steps=4)) == pytest.approx(4 * 0.25 + 1)
    assert pace.seconds(asked(steps=4, count=4)) == pytest.approx(8)


def unet_gmacs(pixels):
    """Of Stable Diffusion's UNet: what grows with the pixels, and the products of self-attention,
    n tokens of c numbers on five layers of each level. Their sum is 339 at 512x512.
    """
    levels = ((64, 320), (256, 640), (1024, 1280))  # pixels a token stands for, numbers
    squares = [5 * 2 * (pixels / token) ** 2 * c / 1e9 for token, c in levels]
    own = [5 * 2 * (512 * 512 / token) ** 2 * c / 1e9 for token, c in levels]
    return (339 - sum(own)) * pixels / 512**2 + sum(squares)


@pytest.mark.parametrize("side", [256, 768, 1024, 2048])
def test_another_size_is_scaled_as_the_networks_work_is(side):
    pace = Pace()
    pace.learn(asked(), times(0.5, decoder=0, first=0.5))
    wanted = 10 * unet_gmacs(side * side) / unet_gmacs(512 * 512)
    found = pace.seconds(asked(width=side, height=side))
    assert found == pytest.approx(wanted, rel=0.02)


def test_the_nearest_size_counts_and_the_rest_grows_with_the_pixels():
    pace = Pace()
    pace.learn(asked(), times(0.5))
    pace.learn(asked(width=1024, height=1024), times(4.0, first=10, decoder=14))
    near = pace.seconds(asked(width=1024, height=1032))
    assert near == pytest.approx(20 * 4 + 20, rel=0.02)  # 10 - 4 + 14 beside the steps
    pace.learn(asked(), times(1.0))  # slower now: the last run counts
    assert pace.seconds(asked()) == pytest.approx(3 + 19 + 2)


def test_a_run_that_was_stopped_teaches_and_one_step_does_not():
    pace = Pace()
    pace.learn(asked(), Times([9.0], whole=10.0))
    assert pace.seconds(asked()) is None

    def run():
        with pace.timed(asked()) as seen:
            seen.ends += [5.0, 5.5, 6.0]
            yield

    steps = run()
    next(steps)
    steps.close()
    assert pace.seconds(asked()) == pytest.approx(20 * 0.5)


class Told:
    heard = 0

    def refresh(self):
        self.heard += 1


def test_who_listens_is_told_and_not_kept_alive():
    pace, told = Pace(), Told()
    pace.listeners.add(told)
    pace.learn(asked(), times(0.5))
    assert told.heard == 1
    del told
    assert len(pace.listeners) == 0


def test_only_the_newest_sizes_are_remembered():
    pace = Pace()
    for i in range(100):
        pace.learn(asked(width=64 + 8 * i, height=64), times(0.5))
    assert len(pace._seen) == 32


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "about 1 s"), (8.4, "about 8 s"), (75, "about 75 s"), (200, "about 3 min"),
        (3600, "about 60 min"), (9000, "about 2 h"),
    ],
)  # fmt: skip
def test_seconds_in_words(seconds, words):
    assert in_words(seconds) == words
