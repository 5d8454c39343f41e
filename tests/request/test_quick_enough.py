"""What is made live, and what would make it quick: all right values are worked out by hand."""

from helpers.any_request import png

from sdnb.request import Request, Settings
from sdnb.request.pace import Pace, Times
from sdnb.request.quick_enough import LIMIT, too_slow

SETTINGS = Settings(512, 512, 20, 7.5, "euler", "karras")


def asked(**fields):
    return Request("a fox", seed=1, **fields).resolved(SETTINGS)


def seen(step, *, runs=2, beside=0.0, **fields):
    """What a model knows after runs of so many seconds a step, and beside the steps."""
    pace, request = Pace(), asked(**fields)
    ends = [beside + step * n for n in range(1, request.steps + 1)]
    for _ in range(runs):
        pace.learn(request, Times(ends, whole=ends[-1]))
    return pace


def said(request, pace, **more):
    return too_slow(request, pace, SETTINGS, **more)


def test_what_takes_three_seconds_is_made_and_what_takes_more_is_not():
    assert LIMIT == 3.0
    assert said(asked(), Pace()) == ""  # nothing is known
    assert said(asked(), seen(0.15)) == ""
    assert "A picture takes about 3.1 s with these settings" in said(asked(), seen(0.155))
    assert "takes about 2 min" in said(asked(steps=750), seen(0.15))


def test_the_most_steps_and_the_largest_size_that_are_quick_are_said():
    words = said(asked(), seen(0.5))
    assert "Quicker: 6 steps (about 3.0 s), or " in words
    # A pass of p pixels costs p + p² / 1 195 000: 320² is 0.348 of 512², and 256² 0.216.
    assert "256 × 256 (about 2.2 s)." in words
    words = said(asked(width=768, height=512), seen(0.15))
    assert "12 steps (about 2.9 s)" in words
    assert "576 × 384 (about 2.5 s)" in words


def test_sizes_below_half_of_the_models_own_and_few_steps_are_not_proposed():
    words = said(asked(), seen(0.8))  # 3 steps, or 192 × 192, would be quick enough
    assert words.endswith("Quicker: fewer steps and a smaller size together.")
    assert "steps" not in said(asked(steps=4), seen(4.0, steps=4)).split("Quicker")[-1]
    assert "Nothing makes it as quick here." in said(asked(), seen(60.0))


def test_the_model_for_few_steps_is_named_where_there_is_one():
    words = said(asked(), seen(0.5), fast="tiny-fast")
    assert words.endswith('or the model for few steps, sdnb.load("tiny-fast").')
    assert "sdnb.load" not in said(asked(), seen(0.5))
    assert said(asked(), seen(60.0), fast="a").endswith(
        'Quicker: the model for few steps, sdnb.load("a").'
    )


def test_the_first_run_of_a_size_is_slower_and_does_not_count_alone():
    assert said(asked(), seen(0.4, runs=1)) == ""
    assert said(asked(), seen(0.4, runs=2)) != ""
    assert said(asked(), seen(0.5, runs=1)) != ""  # no first run makes so much of a difference


def test_what_a_run_stopped_on_the_way_tells_is_not_sure():
    pace = Pace()
    for _ in range(3):
        pace.learn(asked(), Times([0.5, 1.0, 1.5]))
    assert not pace.is_sure(asked())
    pace.learn(asked(), Times([0.5, 1.0, 1.5], whole=1.6))
    pace.learn(asked(width=64, height=64), Times([0.5, 1.0, 1.5], whole=1.6))
    pace.learn(asked(), Times([0.5, 1.0, 1.5], whole=1.6))
    assert pace.is_sure(asked())
    assert pace.is_sure(asked(width=448, height=448))  # as near as there is
    assert not pace.is_sure(asked(width=64, height=128))


def test_of_a_picture_only_the_steps_that_run_are_counted():
    image = png(512, 512)
    pace = seen(0.19)
    assert said(asked(image=image, strength=0.5), pace) == ""
    words = said(asked(image=image, strength=1.0), pace)
    assert "Quicker: 15 steps" in words


def test_no_size_is_proposed_that_no_request_can_have():
    tiny = Settings(64, 64, 20, 7.5, "euler", "karras")
    request = Request("a fox", seed=1).resolved(tiny)
    pace = seen(0.5, width=64, height=64)
    assert "Quicker: 6 steps (about 3.0 s)." in too_slow(request, pace, tiny)
