"""Live in a panel: each change of a control asks anew, and the newest request wins."""

import gc
import io
import threading
from functools import partial

import ipywidgets
import pytest
from helpers.fakes import Model, gated, make, until
from helpers.widget_hands import alert, called, find, in_sight, press, read
from PIL import Image

from sdnb.images.result import Progress
from sdnb.jobs.executor import Inline, Worker
from sdnb.request import Request, Settings
from sdnb.request.pace import Times
from sdnb.widgets import live_runs
from sdnb.widgets.live_runs import ends_a_word
from sdnb.widgets.panel import Panel
from sdnb.widgets.studio import Studio
from sdnb.widgets.upscale import UpscalePanel


def panel(run=make, kind="txt2img", executor=Inline, **more):
    one = Panel(Model(), kind, executor=executor(run), **more)
    one.request = Request("a cat", seed=7)
    return one


def move(one, **values):
    """As a person does, control by control."""
    for name, value in values.items():
        one.form.controls[name]._take(value)


def shown(one):
    """The picture in sight, as a JPEG."""
    images = [part for part in in_sight(one.view) if part._view_name == "ImageView"]
    return bytes(images[0].value) if images else b""


def test_each_change_makes_a_picture_that_is_in_no_gallery_until_it_is_kept(place):
    one = panel(autosave=True)
    find(one, "Live").value = True
    assert one.result.request == Request("a cat", seed=7).resolved(one.model.settings)
    first = shown(one)
    move(one, cfg=6.0)
    move(one, count=4)  # of several, live makes the first
    assert (one.result.request.cfg, one.result.request.count) == (6.0, 1)
    assert first != shown(one) != b""
    assert (one.results, one.gallery.pictures) == ([], [])
    assert not list(place.rglob("*.png"))
    press(one, "Keep")
    assert one.results == [one.result]
    assert [p.request.cfg for p in one.gallery.pictures] == [6.0]
    assert len(list(place.rglob("*.png"))) == 1
    assert find(one, "Kept").disabled
    move(one, cfg=7.0)
    assert not find(one, "Keep").disabled
    assert len(one.gallery.pictures) == 1


def test_switched_off_the_last_picture_is_the_result_and_can_be_kept():
    one = panel()
    one.live = True
    move(one, cfg=6.0)
    one.live = False
    move(one, cfg=2.0)
    assert one.result.request.cfg == 6.0
    assert one.view.picture.result is one.result
    assert "img" in one.view._picture.value  # as any other picture: a click shows it large
    press(one, "Keep")
    assert [p.request.cfg for p in one.gallery.pictures] == [6.0]
    assert not called(one, "Kept")
    one.generate()
    assert len(one.gallery.pictures) == 2


def test_what_is_not_kept_goes_with_the_next_picture_of_generate():
    one = panel()
    one.live = True
    one.live = False
    one.generate()
    assert not called(one, "Keep")
    assert len(one.gallery.pictures) == 1


def test_the_newest_wins_and_one_waits():
    gate, run = gated()
    one = panel(run, executor=Worker)
    one.live = True
    for cfg in range(2, 12):
        move(one, cfg=float(cfg))
    assert len(one._queue.executor.jobs) == 1
    for _ in range(30):
        gate.release()
    until(lambda: not one.running)
    assert one.result.request.cfg == 11.0
    assert find(one, "Generate")  # it waits for nobody
    one.stop()


def live_on_a_gate(steps=5):
    """A live panel whose next picture waits for the gate at each of its steps; one is there."""
    gate, run = gated()
    one = panel(run, executor=Worker)
    one.request = one.request.but(steps=steps)
    one.live = True
    for _ in range(steps):
        gate.release()
    until(lambda: one.result)
    return one, gate


def test_the_last_picture_stays_until_the_next_is_there_and_previews_lie_over_it():
    one, gate = live_on_a_gate()
    last = shown(one)
    move(one, cfg=9.0)
    stages = []
    coming = one.view._live.children[1]
    coming.observe(lambda change: stages.append(change["new"][1]), "_dom_classes")
    for _ in range(5):
        until(lambda: shown(one) != b"")
        if one.result.request.cfg != 9.0:
            assert shown(one) == last
        gate.release()
    until(lambda: one.result.request.cfg == 9.0)
    until(lambda: shown(one) not in (last, b""))
    assert stages[0] == "sdnb-coming-1"
    assert stages[-1] == "sdnb-coming-0"
    one.stop()


@pytest.mark.parametrize(("steps", "there"), [(5, 3), (4, 1)])
def test_early_a_preview_of_full_size_covers_the_last_picture(monkeypatch, steps, there):
    """Where the model has a tiny VAE: half-way, of few steps in the first, and once a run."""
    asked = []

    def full_preview(_, latent):
        asked.append(int(latent[0, 0, 0]))
        return Image.new("RGB", (48, 32), "green")

    monkeypatch.setattr(Model, "full_preview", full_preview)
    one, gate = live_on_a_gate(steps)
    move(one, cfg=9.0)
    coming = one.view._live.children[1]
    for _ in range(there):
        gate.release()
    until(lambda: len(asked) == 2)
    until(lambda: "sdnb-coming-4" in coming._dom_classes)
    assert Image.open(io.BytesIO(coming.value)).size == (48, 32)
    for _ in range(steps - there):
        gate.release()
    until(lambda: one.result.request.cfg == 9.0)
    assert asked == [there, there]
    one.stop()


def test_the_seed_is_locked_and_who_opens_it_gets_another_one():
    one = panel()
    one.form.change(seed=None)
    one.live = True
    first = one.form.seed.value
    move(one, cfg=2.0)
    assert one.result.request.seed == first is not None
    press(one, "Seed left open")
    assert one.result.request.seed == one.form.seed.value not in (first, None)
    one.live = False
    assert "stays from live" in read(one)
    press(one, "Random again")
    assert one.form.seed.value is None


def test_it_begins_with_the_seed_of_the_last_picture_and_leaves_one_that_was_locked():
    one = panel()
    one.form.change(seed=None)
    one.generate()
    last = one.result.request.seed
    one.live = True
    assert one.form.seed.value == last
    one.live = False
    one.live = True
    one.live = False
    assert "stays from live" not in read(one)


def test_a_seed_that_live_has_locked_is_not_what_a_person_has_left():
    """After a restart nothing would say where it is from."""
    one = panel()
    kind = one.kind
    one.form.change(seed=None, cfg=3.0)
    for _ in range(2):
        one.live = True
        assert one.state()[kind] == one.form.request.but(seed=None)
        one.live = False
        assert one.form.seed.value is not None
        assert one.state()[kind] == one.form.request.but(seed=None)
    one.form.change(seed=12)
    one.live = True
    one.live = False
    assert one.state()[kind].seed == 12


def learnt(one, step, runs=2):
    """Have the model seen runs of 5 steps, of so many seconds each."""
    request = one.form.request.but(seed=1, steps=5).resolved(one.model.settings)
    for _ in range(runs):
        one.model.pace.learn(request, Times([step * n for n in range(1, 6)], whole=step * 5))


def test_what_takes_too_long_is_refused_in_words_until_it_does_not():
    one = panel(run=lambda request: pytest.fail("it ran") if request.steps > 5 else make(request))
    learnt(one, 0.5)
    move(one, steps=25)
    one.live = True
    assert "About 12 s a picture: live takes 3 s at most." in read(one._live.line)
    assert "Quicker: 6 steps (about 3.0 s)." in read(one)
    assert "on its way" not in read(one)
    assert one.live
    assert one.result is None
    move(one, steps=5)
    assert one.result.request.steps == 5
    assert "a picture: live takes" not in read(one)
    assert "Quicker" not in read(one)
    assert not called(one, "Take 6 steps")


def test_a_button_takes_what_is_quick_enough_and_live_goes_on():
    one = panel()
    learnt(one, 0.5)
    move(one, steps=25)
    one.live = True
    press(one, "Take 6 steps")
    assert (one.form.request.steps, one.result.request.steps) == (6, 6)
    assert "Live: 0.5 s a picture." in read(one._live.line)
    assert "live takes" not in read(one)
    assert not called(one, "Take 6 steps")


def test_the_button_takes_steps_and_a_size_where_both_are_needed():
    one = panel()
    one.model.settings = Settings(512, 512, 20, 4.0)
    one.form.serve(one.model.settings, one.model.tokenizer)
    one.model.pace.learn(*runs(one, 0.8))
    one.model.pace.learn(*runs(one, 0.8))
    one.live = True
    assert one.result is None
    press(one, "Take 7 steps at 384 × 384")
    made = one.result.request
    assert (made.steps, made.width, made.height) == (7, 384, 384)
    assert (one.request.steps, one.request.width, one.request.height) == (7, 384, 384)


def runs(one, step):
    request = one.form.request.resolved(one.model.settings)
    ends = [step * n for n in range(1, request.steps + 1)]
    return request, Times(ends, whole=ends[-1])


def test_one_picture_that_is_a_little_slower_does_not_end_it():
    one = panel()
    one.live = True
    learnt(one, 0.64)  # 3.2 s for five steps
    move(one, cfg=2.0)
    assert one.result.request.cfg == 2.0
    assert "live takes" not in read(one)
    learnt(one, 0.8)
    move(one, cfg=3.0)
    assert one.result.request.cfg == 2.0
    assert "About 4.0 s a picture" in read(one)
    one.live = False
    learnt(one, 0.64)
    one.live = True  # from the start it is judged by the limit itself
    assert "About 3.2 s a picture" in read(one._live.line)


def test_where_nothing_is_learnt_the_first_picture_is_the_measure():
    one = panel()
    move(one, steps=25)
    one.live = True
    assert one.result.request.steps == 25
    learnt(one, 0.5)
    move(one, cfg=2.0)
    assert one.result.request.cfg != 2.0
    assert "About 12 s a picture" in read(one._live.line)
    assert "Live: " not in read(one)


def test_a_picture_that_took_too_long_says_so_at_once():
    def run(request):
        yield from list(make(request))[:-1]
        learnt(one, 2.0)
        yield list(make(request))[-1]

    one = panel(run)
    one.live = True
    assert one.result is not None
    assert "About 10 s a picture" in read(one._live.line)
    assert "Live: " not in read(one)  # which would contradict it


def test_an_error_is_said_once_and_the_next_change_tries_again():
    one = panel(run=partial(make, fail_at=3))
    said = []
    one._live._problem.observe(lambda change: said.append(change["new"]), "value")
    one.live = True
    move(one, cfg=2.0)
    move(one, cfg=3.0)
    assert alert(one) == "no <more> memory"
    assert len(said) == 1
    assert "No picture comes" in read(one._live.line)
    one._queue.executor = Inline(make)
    move(one, cfg=4.0)
    assert one.result.request.cfg == 4.0
    assert alert(one) == ""
    assert "No picture" not in read(one)


def test_controls_that_contradict_each_other_are_said_until_they_do_not():
    one = panel()
    one.live = True
    before = one.result
    move(one, prompt="a:1 b:-1 ")
    assert "sum to zero" in alert(one)
    assert one.result is before
    move(one, prompt="a:1 b:1 ")  # a word less, which may go on: it is asked for at a pause
    move(one, steps=4)
    assert alert(one) == ""
    assert one.result.request.prompt == "a:1 b:1 "


@pytest.mark.parametrize("how", ["stop", "skip", "pause"])
def test_what_stops_a_run_switches_it_off(how):
    gate, run = gated()
    one = panel(run, executor=Worker)
    one.live = True
    until(lambda: one._live._live.job.state == "running")
    assert not find(one, "Stop").disabled
    getattr(one, how)(*(["a model is being loaded"] if how == "pause" else []))
    assert not one.live
    gate.release()
    until(lambda: not one.running)
    assert one.result is None
    assert find(one, "Stop").disabled


def test_generate_makes_all_pictures_beside_it_and_live_goes_on_after():
    one = panel()
    one.live = True
    one.form.change(count=3)
    press(one, "Generate")
    assert len(one.gallery.pictures) == 3
    assert not one.view._live.is_shown
    move(one, cfg=2.0)
    assert one.view._live.is_shown
    assert one.result.request.cfg == 2.0
    assert len(one.gallery.pictures) == 3


@pytest.mark.parametrize("end", ["stopped", "failed"])
def test_what_is_said_of_a_run_that_was_stopped_or_failed_goes_with_the_next_picture_of_live(end):
    def run(request):
        for progress in make(request):
            if request.cfg == 2.0 and progress.step == 3:
                if end == "failed":
                    raise RuntimeError("no <more> memory")
                one.stop()
            yield progress

    one = panel(run)
    move(one, cfg=2.0)
    one.generate()
    assert f"{end} at step" in one.progress.line
    assert bool(called(one, "Use seed 7")) is (end == "stopped")
    move(one, cfg=3.0)
    assert f"{end} at step" in one.progress.line
    one.live = True
    assert one.result.request.cfg == 3.0
    assert "at step" not in read(one)
    assert one.progress._bar.layout.visibility == "hidden"
    assert not called(one, "Use seed 7")
    assert alert(one) == ""


def test_a_request_that_comes_from_code_or_a_picture_is_shown_too():
    one = panel()
    one.live = True
    one.request = Request("an owl", seed=3)
    assert one.result.request.prompt == "an owl"
    one.bring(Request("a fox", seed=4))
    assert one.result.request.prompt == "a fox"


def test_the_same_again_is_made_once():
    made = []
    one = panel(run=lambda request: (made.append(request), (yield from make(request))))
    one.live = True
    one._edited()
    one.request = one.request
    assert len(made) == 1


def test_words_are_asked_for_at_their_ends_and_at_a_pause(monkeypatch):
    one = panel()
    one.live = True
    acts = []
    monkeypatch.setattr(one._live._pause, "begin", lambda: acts.append("pause"))
    words = find(one, "Prompt")
    for text in ("a cats", "a cat", "a ca", "a cat "):
        words.value = text
    assert one.result.request.prompt == "a cat "
    assert acts == ["pause"] * 3
    one._live.ask()  # what a pause does
    words.value = "a cat i"
    assert one.result.request.prompt == "a cat "
    find(one, "Steps").value = 3  # brings the word along
    assert (one.result.request.prompt, one.result.request.steps) == ("a cat i", 3)


def test_after_a_pause_the_word_is_made(monkeypatch):
    monkeypatch.setattr(live_runs, "_PAUSE", 0.02)
    one = panel()
    one.live = True
    for n in range(20):
        find(one, "Prompt").value = "a cat" + "s" * n
        assert pauses() <= 2  # one that waits, and on a slow machine one that acts
    until(lambda: one.result.request.prompt.endswith("s" * 19))
    until(lambda: pauses() == 0)


def pauses():
    return sum(thread.name == "sdnb-pause" for thread in threading.enumerate())


def test_nothing_is_made_while_a_letter_is_composed():
    one = panel()
    one.live = True
    one._keys._pressed({"composing": True})
    find(one, "Prompt").value = "a に "
    assert one.result.request.prompt == "a cat"
    one._keys._pressed({"composing": False})
    assert one.result.request.prompt == "a に "


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [
        ("a ca", "a cat", False), ("a cat", "a cat ", True), ("a cat", "a cat,", True),
        ("cat", "a cat", True), ("a  cat", "a big cat", False), ("aa", "aaa", False),
        ("a cat ", "a cat", False), ("a", "a", False), ("", " ", True), ("a  b", "a   b", True),
    ],
)  # fmt: skip
def test_where_a_word_ends(before, after, ends):
    assert ends_a_word(before, after) is ends


@pytest.mark.slow
def test_ten_seconds_of_dragging_leave_nothing_behind():
    one = panel(executor=Worker)
    one.live = True

    def drag(times):
        for n in range(times):
            track.value = n % 30 + 2
            if n % 7 == 0:
                until(lambda: not one.running)
        until(lambda: not one.running)
        until(
            lambda: one.view._link.value
        )  # the last one stays, and what waited for that has ended
        until(lambda: not any(isinstance(t, threading.Timer) for t in threading.enumerate()))

    track = one.form.controls["cfg"]._number.track
    drag(20)
    gc.collect()
    widgets, threads = len(ipywidgets.widgets.widget._instances), threading.active_count()
    drag(90)
    gc.collect()
    assert len(ipywidgets.widgets.widget._instances) == widgets
    assert threading.active_count() <= threads
    assert sum(type(each) is Progress for each in gc.get_objects()) < 20
    one.stop()


def test_two_panels_of_one_model_are_live_at_once():
    worker = Worker(make)
    both = [Panel(Model(), "txt2img", executor=worker) for _ in range(2)]
    for n, one in enumerate(both):
        one.request = Request("a cat", seed=n)
        one.live = True
    for cfg in range(1, 20):
        for one in both:
            move(one, cfg=float(cfg))
        assert len(worker.jobs) <= 2
    until(lambda: not any(one.running for one in both))
    assert [one.result.request.cfg for one in both] == [19.0, 19.0]
    assert [one.result.request.seed for one in both] == [0, 1]


def test_it_says_what_it_waits_for():
    gate, run = gated()
    worker = Worker(run)
    other, one = (Panel(Model(), "txt2img", executor=worker) for _ in range(2))
    other.be_tab("inpaint")
    job = other.generate()
    one.live = True
    assert "Waiting for the picture of inpaint." in read(one)
    assert find(other, "Queue")  # behind its own; live holds nobody up
    for _ in range(20):
        gate.release()
    assert job.wait(60)
    until(lambda: "Live: 0.5 s a picture." in read(one))
    assert one.result.request.seed == one.form.seed.value
    assert find(other, "Generate")


def test_upscaling_has_none():
    one = UpscalePanel(Model(), executor=Inline(make))
    assert not called(one, "Live")
    with pytest.raises(ValueError, match="two runs"):
        one.live = True


def test_another_model_switches_it_off_and_it_is_not_remembered(tmp_path):
    studio = Studio(Model(), executor=Inline(make), folder=tmp_path)
    one = studio.panel
    one.live = True
    assert "live" not in " ".join(studio.state())
    studio._pause("a model is being loaded")
    assert not one.live
    one.live = True  # while nothing runs, it waits
    assert len(one.gallery.pictures) == 0
