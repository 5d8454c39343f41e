"""Bar, line and preview, on a clock of the test's own."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from sdnb.images.result import Progress
from sdnb.jobs.executor import Job
from sdnb.request import Request
from sdnb.widgets.jpegs import jpeg
from sdnb.widgets.progress import ProgressView, Throttle, line


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def job(state="running", **more):
    made = Job(Request("a cat"))
    made.state = state
    for name, value in more.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("step", "left", "words"),
    [
        (0, None, "step 0 of 25 · 9.0 s"),
        (5, 40.2, "step 5 of 25 · 9.0 s · about 40 s left"),
        (1, 990, "step 1 of 25 · 9.0 s · about 16 min left"),
        (1, 59940, "step 1 of 25 · 9.0 s · about 17 h left"),
        (25, 0.0, "step 25 of 25 · 9.0 s"),
    ],
)
def test_the_line(step, left, words):
    assert line(Progress(step, 25, 9.0), left) == words
    view = ProgressView(left=lambda request, _: left if request.prompt == "a cat" else 1)
    view.watch(job(progress=Progress(step, 25, 9.0)))
    assert view.line == words


def test_a_throttle_keeps_the_rate_and_the_share():
    clock = Clock()
    throttle = Throttle(0.25, 0.02, clock)
    done = []
    for _ in range(10_000):  # ten seconds
        clock.now += 0.001
        if throttle.due():
            began = clock.now
            clock.now += 0.002  # cheap: the rate is the limit
            throttle.spent(began)
            done.append(clock.now)
    assert np.diff(done).min() >= 0.25
    assert 35 <= len(done) <= 41
    clock.now += 10
    began = clock.now
    clock.now += 0.1  # dear: the share is the limit
    throttle.spent(began)
    clock.now += 4.9
    assert not throttle.due()
    clock.now += 0.2
    assert throttle.due()


def test_steps_move_the_bar_and_show_the_latent():
    view = ProgressView(Image.fromarray)
    latent = np.full((8, 16, 3), 200, dtype=np.uint8)
    view.watch(job(progress=Progress(5, 20, 1.0, latent)))
    assert view._bar.value == 0.25
    assert view.line.startswith("step 5 of 20")
    assert view.previews == 1
    assert view.picture.layout.width == "128px"  # as wide as the picture will be
    shown = Image.open(io.BytesIO(view.picture.value))
    assert shown.size == (256, 128)
    assert np.abs(np.asarray(shown).astype(int) - 200).max() <= 2
    assert view.preview_bytes == len(view.picture.value) < 20_000
    view.watch(job(progress=Progress(6, 20, 1.1, latent)))
    assert view.previews == 1  # too soon


def test_no_preview_takes_the_place_of_what_a_person_looks_at():
    view = ProgressView(Image.fromarray)
    latent = np.full((8, 16, 3), 200, dtype=np.uint8)
    view.wanted = lambda: False
    view.watch(job(progress=Progress(5, 20, 1.0, latent)))
    assert (view.previews, view.picture.layout.display) == (0, "none")
    assert "step 5 of 20" in view.line
    view.wanted = lambda: True
    view.watch(job(progress=Progress(6, 20, 1.1, latent)))
    assert view.previews == 1


def test_full_previews_take_their_share_and_between_them_there_are_rough_ones():
    """Steps of 0.1 s; a full preview takes 61 ms, and so comes every 3.05 s: the first of all after
    2 s, while that is not known. It is seen for 2 s.
    """
    clock, shown = Clock(), []

    def full(latent):
        clock.now += 0.061
        shown[-1] = (step, "full")
        return Image.new("RGB", (64, 128), (0, 0, int(latent[0, 0, 2])))

    def rough(latent):
        shown.append((step, "rough"))
        return Image.fromarray(latent)

    view = ProgressView(rough, full_preview=full)
    for throttle in (view._bars, view._previews, view._full_previews):
        throttle.now = clock
    latent = np.full((16, 8, 3), 200, dtype=np.uint8)
    for run in range(2):
        view.watch(job())
        for at in range(60):
            step, clock.now = (run, at), clock.now + 0.1
            view.watch(job(progress=Progress(at, 60, 1.0, latent)))
            if step == (0, 20):
                assert Image.open(io.BytesIO(view.picture.value)).size == (64, 128)
                assert view.picture.layout.width == "64px"
    assert [step for step, kind in shown if kind == "full"] == [(0, 19), (0, 50), (1, 30)]
    rough_at = {at for (run, at), kind in shown if kind == "rough" and run == 0}
    assert min(rough_at) == 0  # while none is due
    assert not set(range(19, 39)) & rough_at
    assert len(set(range(39, 50)) & rough_at) >= 3
    assert not set(range(50, 60)) & rough_at


def test_a_model_that_makes_no_full_preview_is_not_asked_again_in_a_run():
    asked, clock = [], Clock()
    view = ProgressView(Image.fromarray, full_preview=asked.append)  # None
    latent = np.zeros((8, 8, 3), dtype=np.uint8)
    for throttle in (view._previews, view._full_previews):
        throttle.now = clock
    for begun in range(2):
        view.watch(job())
        for at in range(9):
            clock.now += 1
            view.watch(job(progress=Progress(at, 20, 1.0, latent)))
        assert len(asked) == begun + 1
    assert view.previews == 18


def test_ends_are_told_apart_and_a_stop_keeps_the_preview():
    view = ProgressView(Image.fromarray)
    at = Progress(5, 20, 1.0, np.zeros((8, 8, 3), dtype=np.uint8))
    view.watch(job(progress=at))
    shown = view.picture.value
    view.watch(job("stopped", progress=at))
    assert (view.line, view._bar.bar_style) == ("stopped at step 5 of 20", "warning")
    assert view.picture.value == shown
    assert view.picture.layout.display == ""
    view.watch(job("done", progress=at, result=SimpleNamespace(seconds=3.21)))
    assert (view.line, view._bar.layout.visibility) == ("", "hidden")


def test_an_error_is_in_words_with_its_traceback_and_escaped():
    view = ProgressView()
    error = ValueError("strength=<b>2</b> is too much")
    view.watch(job("failed", progress=Progress(3, 20, 1.0), error=error))
    assert view.line == "failed at step 3 of 20"
    assert "strength=&lt;b&gt;2&lt;/b&gt; is too much" in view.problem
    assert 'role="alert"' in view.problem
    assert "<details><summary>where in the code" in view.problem
    view.watch(job())
    assert view.problem == ""


def test_jpegs_are_as_large_as_they_are_shown():
    big = Image.new("RGBA", (2000, 1000), (255, 0, 0, 255))
    small = Image.open(io.BytesIO(jpeg(big, 200)))
    assert (small.format, small.size) == ("JPEG", (200, 100))
