"""A batch arrives picture by picture: in the gallery, in `results`, and at the result."""

import re
import threading
from functools import partial

import numpy as np
import pytest
from helpers.fakes import Model, make, picture, until
from helpers.widget_hands import called, press, read, status, thumbs

from sdnb import images
from sdnb.images import contact_sheet
from sdnb.images.result import Progress, Result
from sdnb.jobs.executor import Inline, Worker
from sdnb.request import Request
from sdnb.widgets.gallery.gallery import Gallery
from sdnb.widgets.gallery.thumbnails import PAGE
from sdnb.widgets.panel import Panel
from sdnb.widgets.progress import Throttle

THREE = Request("a cat", seed=7, count=3)


def result_of(request, count):
    pictures = tuple(picture(request, i) for i in range(count))
    return Result(pictures, request.but(count=count), "fake", "0" * 16, 0.5, 0.25)


def one_by_one(gate=None, fail_at=None):
    """A run that tells each picture; `gate` is called before each but the first."""

    def run(request):
        yield Progress(0, request.count, 0.0)
        for count in range(1, request.count):
            yield Progress(count, request.count, 0.1, so_far=result_of(request, count))
            if gate is not None:
                gate(count)
            if count == fail_at:
                raise RuntimeError("no more memory")
            yield Progress(count, request.count, 0.1)
        yield Progress(request.count, request.count, 0.5, result=result_of(request, request.count))

    return run


def test_each_picture_is_there_when_it_is_finished():
    seen = []

    def look(count):
        seen.append((count, len(one.gallery.pictures), [len(r.images) for r in one.results]))

    one = Panel(Model(), executor=Inline(one_by_one(look)))
    one.request = THREE
    one.generate()
    assert seen == [(1, 1, [1]), (2, 2, [2])]
    assert one.results == [one.result] == one.gallery.results
    assert [p.request.seed for p in one.gallery.pictures] == [9, 8, 7]
    assert len(one.result.images) == 3
    assert one.view.picture.request.seed == 9  # the newest


def test_what_is_kept_or_deleted_meanwhile_stays_so():
    def act(count):
        if count == 1:
            one.gallery.pictures[0].kept = True
        else:
            one.gallery.delete(one.gallery.pictures[0])

    one = Panel(Model(), executor=Inline(one_by_one(act)))
    one.request = THREE
    one.generate()
    assert [(p.request.seed, p.kept) for p in one.gallery.pictures] == [(9, False), (7, True)]


def test_a_picture_of_a_batch_has_one_number_everywhere():
    """At its thumbnail, at the result, and above it when it is opened; other ones may go."""
    one = Panel(Model(), executor=Inline(one_by_one()))
    one.request = THREE
    one.generate()
    said = [thumb.tooltip.rpartition(", ")[2] for thumb in thumbs(one.gallery)]
    assert said == ["picture 3 of 3", "picture 2 of 3", "picture 1 of 3"]
    numbers = re.findall(
        r'-(\d+)::before { content: "(\d)"', one.gallery._thumbs._backgrounds.value
    )
    assert numbers == [("0", "3"), ("1", "2"), ("2", "1")]
    thumbs(one.gallery)[2].click()
    assert "Opened from the gallery: picture 1 of 3 · seed 7" in read(one.gallery)
    one.gallery.delete(one.gallery.pictures[1])
    press(one, "The picture before")
    assert "picture 1 of 3 · seed 7" in read(one.view)


def test_generate_turns_to_the_newest_pictures_and_closes_nothing():
    """A run that begins later turns no page: somebody may look through older ones by then."""
    one = Panel(Model(), executor=Inline(one_by_one()))
    one.request = THREE.but(count=PAGE + 4)
    one.generate()
    press(one.gallery, "older")
    opened = one.gallery.pictures[-1]
    one.gallery.choose(opened)
    one.submit(THREE.but(count=1, seed=1))
    assert "page 2 of 2" in read(one.gallery)
    one.request = THREE.but(count=1, seed=2)
    one.generate()
    assert "page 1 of 2" in read(one.gallery)
    assert "seed 2" in thumbs(one.gallery)[0].tooltip
    assert one.gallery.chosen is opened
    assert called(one.gallery, "Close")


@pytest.mark.parametrize("end", ["stop", "error"])
def test_stop_and_errors_keep_what_is_finished(end):
    def stop(count):
        if count == 2:
            one.stop()

    run = one_by_one(stop) if end == "stop" else one_by_one(fail_at=2)
    one = Panel(Model(), executor=Inline(run))
    one.request = THREE
    job = one.generate()
    assert job.state == ("stopped" if end == "stop" else "failed")
    assert [p.request.seed for p in one.gallery.pictures] == [8, 7]
    assert one.result.request.count == 2
    assert one.view.picture.request.seed == 8


def test_a_stopped_picture_can_be_made_again_and_lends_its_seed():
    """What is finished of its batch is in sight; the rest is made again."""
    stops = iter([True, False])
    one = Panel(
        Model(), executor=Inline(one_by_one(lambda n: n == 2 and next(stops) and one.stop()))
    )
    one.request = THREE
    one.generate()
    assert one.progress.line == "stopped at step 2 of 3"
    assert "picture 2 of 3 · seed 8" in read(one.view)  # as its file says
    assert len(called(one, "Use its seed")) == 1  # that of the picture in sight
    press(one, "Use seed 9")
    assert one.request.seed == 9
    press(one, "Make the last one")
    assert [p.request.seed for p in one.gallery.pictures] == [9, 8, 7]
    assert not called(one, "Make the last one")


@pytest.mark.parametrize(
    ("finished", "label"),
    [(0, "Make all 3 again"), (1, "Make the other 2"), (2, "Make the last one")],
)
def test_what_is_made_again_of_a_batch_is_said(finished, label):
    gate = threading.Semaphore(0)
    one = Panel(Model(), executor=Worker(one_by_one(lambda _: gate.acquire(timeout=60))))
    one.request = THREE
    if finished == 0:  # of one that tells of steps alone
        one = Panel(Model(), executor=Worker(partial(make, gate=gate)))
        one.request = THREE
    one.generate()
    for _ in range(finished - 1):
        gate.release()
    until(lambda: len(one.gallery.pictures) == finished and one._queue.jobs[0].progress)
    one.skip()
    gate.release()
    until(lambda: called(one, label))
    assert called(one, f"Use seed {7 + finished}")


def test_the_line_says_which_picture_is_made():
    lines = []
    one = Panel(Model(), executor=Inline(one_by_one(lambda _: lines.append(one.progress.line))))
    one.request = THREE
    one.progress._bars = Throttle(0.0, float("inf"))  # each step is shown
    one.generate()
    assert [line.partition(" · ")[0] for line in lines] == ["picture 2 of 3", "picture 3 of 3"]


def test_a_batch_becomes_one_sheet(tmp_path):
    """From the result and from the gallery; of what was not deleted."""
    one = Panel(Model(), executor=Inline(one_by_one()), gallery=Gallery(tmp_path))
    one.request = THREE
    one.generate()
    press(one, "Save sheet")
    one.gallery.delete(one.gallery.pictures[1])
    one.gallery.choose(one.gallery.pictures[0])
    press(one.gallery, "Save sheet")
    assert f"Saved as {tmp_path / 'sheets'}" in status(one)
    assert 'download="' in one.gallery._opened_picture.said.value
    paths = sorted((tmp_path / "sheets").glob("*.png"))
    first, second = (images.open(path.read_bytes()) for path in paths)
    a, b, c = one.result.images
    assert np.array_equal(first, contact_sheet.sheet([a, b, c]))
    assert np.array_equal(second, contact_sheet.sheet([a, c]))
    assert images.read(paths[0]) == one.result.request
    one.request = THREE.but(count=1)
    one.generate()
    one.gallery.choose(one.gallery.pictures[0])
    assert not called(one, "Save sheet") + called(one.gallery, "Save sheet")


def test_the_seed_of_the_shown_picture_is_used_and_it_begins_the_next():
    one = Panel(Model(), executor=Inline(one_by_one()))
    one.request = THREE
    one.generate()
    assert "picture 3 of 3 · seed 9" in read(one)
    press(one, "The picture before")
    assert "picture 2 of 3 · seed 8" in read(one)
    press(one, "Use its seed")
    assert (one.request.seed, one.request.count) == (8, 1)
    assert status(one.view) == "The seed is 8 now, and Pictures is 1."
    one.form.seed._free.click()
    assert status(one.view) == ""
    press(one, "Use as picture")
    assert one.request.image is not None
    assert "The next one begins from it." in read(one)
    one.form.controls["image"]._remove.click()
    assert "The next one begins from it." not in read(one)
    assert one.gallery.pictures[1].image.size == (64, 64)


def test_a_worker_tells_them_too():
    one = Panel(Model(), executor=Worker(one_by_one()))
    one.request = THREE
    assert one.generate().wait(60)
    until(lambda: len(one.gallery.pictures) == 3)
