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


def said(request, pace, settings=SETTINGS, **more):
    slow = too_slow(request, pace, settings, **more)
    return "" if slow is None else f"{slow.why} {slow.way_out}"


def first(request, pace, settings=SETTINGS):
    """What is proposed first."""
    return too_slow(request, pace, settings).ways[0]


def test_what_takes_three_seconds_is_made_and_what_takes_more_is_not():
    assert LIMIT == 3.0
    assert said(asked(), Pace()) == ""  # nothing is known
    assert said(asked(), seen(0.15)) == ""
    assert "About 3.1 s a picture: live takes 3 s at most." in said(asked(), seen(0.155))
    assert "About 2 min a picture" in said(asked(steps=750), seen(0.15))


def test_the_most_steps_and_the_largest_size_that_are_quick_are_said():
    words = said(asked(), seen(0.5))
    assert "Quicker: 6 steps (about 3.0 s), or " in words
    # A pass of p pixels costs p + p² / 1 195 000: 320² is 0.348 of 512², and 256² 0.216.
    assert "256 × 256 (about 2.2 s)." in words
    words = said(asked(width=768, height=512), seen(0.15))
    assert "12 steps (about 2.9 s)" in words
    assert "576 × 384 (about 2.5 s)" in words


def test_sizes_below_half_of_the_models_own_and_few_steps_are_not_proposed():
    assert "steps" not in said(asked(steps=4), seen(4.0, steps=4)).split("Quicker")[-1]
    assert "Nothing makes it as quick here." in said(asked(), seen(60.0))


def test_what_is_proposed_first_is_fewer_steps_and_where_that_is_not_enough_a_size_too():
    request, pace = asked(width=768, height=512), seen(0.15)
    assert str(first(request, pace)) == "12 steps"
    assert first(request, pace).fields == {"steps": 12}
    few = asked(width=768, height=512, steps=4)
    slow = seen(0.8, steps=4)  # 4 steps of 768 × 512 take 5.5 s
    assert str(first(few, slow)) == "576 × 384"  # 0.82 of 512²: 2.6 s; 640 × 424 is 1.04
    assert first(few, slow).fields == {"width": 576, "height": 384}
    # 4 steps of 512² are 3.2 s, and 20 of 256² are 3.5 s. A step of 384² is 0.5186 of one of 512²,
    # as above: 0.415 s, of which seven are quick enough; of 448², 0.7337, only five.
    both = first(asked(), seen(0.8))
    assert (str(both), both.fields) == (
        "7 steps at 384 × 384", {"steps": 7, "width": 384, "height": 384},
    )  # fmt: skip
    for way in (first(request, pace), first(few, slow), both):
        assert way.seconds <= LIMIT
    # 0.216 of 3 s is 0.65 s: four steps at most, at the smallest size.
    assert str(first(asked(), seen(3.0))) == "4 steps at 256 × 256"


def test_every_proposal_is_quick_enough_when_it_is_taken():
    for step in (0.2, 0.5, 0.8, 1.5, 3.0):
        pace, request = seen(step), asked()
        for way in too_slow(request, pace, SETTINGS).ways:
            taken = asked(**way.fields)
            assert said(taken, pace) == ""
            assert pace.seconds(taken) == way.seconds


def test_once_live_is_going_a_picture_that_is_a_little_slower_does_not_end_it():
    slower = seen(0.16)  # 3.2 s
    assert said(asked(), slower) != ""
    assert said(asked(), slower, going=True) == ""
    assert said(asked(), seen(0.187), going=True) == ""  # 3.74 s
    words = said(asked(), seen(0.19), going=True)
    assert "About 3.8 s a picture: live takes 3 s at most. Quicker: 15 steps (about 2.9 s)" in words
    assert said(asked(), seen(0.4, runs=1), going=True) == ""  # the first run of a size, as before


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
    assert "Quicker: 6 steps (about 3.0 s)." in said(request, pace, tiny)
