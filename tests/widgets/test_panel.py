"""The panel on runs without weights: queue, Stop, errors, results; nothing starts by itself."""

import threading
from dataclasses import replace
from functools import partial

import pytest
from helpers.fakes import Model, gated, make, until
from helpers.pictures import colour, encoded
from helpers.widget_hands import alert, beside, called, find, press, read, status

import sdnb
from sdnb import images
from sdnb.images import Saved
from sdnb.jobs.executor import Inline, Worker
from sdnb.request import Request, Settings, png_header
from sdnb.request.pace import Times
from sdnb.widgets.drops import TAKES
from sdnb.widgets.masks.strokes import Rectangle
from sdnb.widgets.panel import Panel
from sdnb.widgets.progress import Throttle
from sdnb.widgets.upscale import UpscalePanel


def panel(run=make, kind="all", executor=Inline):
    return Panel(Model(), kind, executor=executor(run))


def test_generate_makes_what_the_controls_say():
    one = panel()
    one.request = Request("a cat", seed=7, count=2)
    press(one, "Generate")
    assert one.result.request == Request("a cat", seed=7, count=2).resolved(one.model.settings)
    assert one.results == [one.result]
    assert [p.request.seed for p in one.gallery.pictures] == [8, 7]
    assert one.request == Request("a cat", seed=7, count=2)  # nothing was resolved in the controls
    assert "a <note>" in read(one)


def test_changing_a_control_starts_nothing():
    one = panel(run=lambda request: pytest.fail(f"started {request}"))
    for name, value in [("prompt", "a"), ("steps", 3), ("seed", 4), ("width", 128), ("count", 2)]:
        one.form.change(**{name: value})
    find(one, "Prompt").value = "typed"
    assert not one.running


def test_each_generate_draws_a_seed_and_the_lock_keeps_the_last():
    one = panel()
    one.generate()
    one.generate()
    seeds = [result.request.seed for result in one.results]
    assert seeds[0] != seeds[1]
    press(one, "Keep the last seed")
    one.generate()
    assert one.result.request.seed == seeds[1]


def test_a_second_one_waits_visibly_and_stop_ends_all():
    gate, run = gated()
    one = panel(run, executor=Worker)
    first = one.generate()
    gate.release()
    until(lambda: first.progress and first.progress.step == 1)
    second, third = one.generate(), one.generate()
    assert find(one, "Queue")
    assert beside(one, "Stop") == "next: after 3 others"
    assert not find(one, "Stop").disabled
    one.stop()
    assert find(one, "Stop").disabled
    assert one.progress.line.startswith("stopping")
    gate.release()
    assert all(job.wait(60) for job in (first, second, third))
    assert [job.state for job in (first, second, third)] == ["stopped"] * 3
    assert first.progress.step <= 2
    assert one.progress.line.startswith("stopped at step")
    assert one.progress.picture.layout.display == ""  # the last preview stays
    until(lambda: not one.running)
    assert find(one, "Generate")
    assert beside(one, "Stop") == "2 waiting, dropped"
    for _ in range(5):
        gate.release()
    assert one.generate().wait(60)
    assert one.result is not None


def test_the_next_begins_when_the_first_ends():
    gate, run = gated()
    one = panel(run, executor=Worker)
    jobs = [one.generate() for _ in range(3)]
    for _ in range(15):
        gate.release()
    assert all(job.wait(60) for job in jobs)
    until(lambda: beside(one, "Stop") == "")
    assert len(one.results) == 3


def test_a_run_that_fails_says_so_and_leaves_the_panel_usable():
    runs = iter([partial(make, fail_at=3), make])
    one = panel(lambda request: next(runs)(request))  # noqa: PLW0108 - another one each time
    job = one.generate()
    assert job.state == "failed"
    assert "no &lt;more&gt; memory" in one.progress.problem
    assert "fakes.py" in one.progress.problem  # the traceback, for who asks for it
    assert one.result is None
    one.generate()
    assert one.progress.problem == ""
    assert one.result is not None


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("all", {"prompt": "a:1 b:-1"}, "sum to zero"),
        ("all", {"sampler": "heun", "eta": 0.5}, "draws none"),
        ("all", {"seed": 2**63 - 2, "count": 1}, None),
        ("img2img", {}, "no picture yet"),
        ("inpaint", {"image": images.picture(colour(size=(64, 64)))}, "Nothing is painted"),
    ],
)
def test_what_cannot_run_is_said_before_anything_runs(kind, fields, words):
    one = panel(run=make if words is None else pytest.fail, kind=kind)
    one.form.change(**fields)
    press(one, "Generate")
    assert (one.result is None) == (words is not None)
    assert words is None or words in one.progress.problem


def test_a_seed_without_room_for_the_count_is_said():
    one = panel(run=pytest.fail)
    one.form.controls["seed"].value = 2**63 - 2
    one.form.controls["count"].value = 64
    one.generate()
    assert "leaves no room" in one.progress.problem


def test_inpainting_runs_with_what_is_painted():
    one = panel(kind="inpaint")
    one.form.change(image=images.picture(colour(size=(64, 64))), prompt="a cat")
    editor = one.form.controls["mask"].editor
    editor.draw(Rectangle((8, 8), (40, 40)))
    assert images.open(one.request.mask).getbbox() is not None
    editor.feather = 6.0
    assert one.request.feather == 6.0
    one.generate()
    made = one.result.request
    assert (made.mask, made.feather) == (one.request.mask, 6.0)
    editor.undo()
    assert one.request.mask is None


def test_deleted_results_are_gone_from_the_panel_too():
    one = panel()
    one.generate()
    one.generate()
    kept = one.results[1]
    one.gallery.delete(one.gallery.pictures[1])
    assert one.results == [kept]


def test_an_uploaded_picture_offers_its_settings(tmp_path):
    one = panel()
    one.request = Request("a cat", seed=7, cfg=6.5)
    one.generate()
    path = one.result.save(tmp_path)[0]
    other = panel(kind="img2img")
    box = other.form.controls["image"]
    box.take(path.read_bytes(), path.name)
    box.take(b"not a picture", "notes.txt")
    assert "notes.txt" in alert(box.widget)
    other.form.picture.forget_refused()
    assert "it carries its settings" in read(box.widget)
    assert other.request.image == images.picture(path)
    press(box.widget, "Use its settings")
    assert (other.request.prompt, other.request.cfg, other.request.seed) == ("a cat", 6.5, 7)
    assert other.request.image == images.picture(path)


@pytest.mark.parametrize("kind", ["img2img", "inpaint"])
def test_where_a_picture_is_needed_a_place_for_it_says_how_it_comes(kind):
    one = panel(kind=kind)
    box = one.form.controls["image"]
    assert "Drop a picture here, paste it, or choose a file." in read(box.widget)
    assert TAKES in box.widget._dom_classes  # so what is dropped on it is taken
    box.take(encoded(colour(size=(64, 64)), "PNG"), "photo.png")
    assert "Drop a picture" not in read(box.widget)
    box._take(None)
    assert "Drop a picture here" in read(box.widget)
    one.request = Request(image=images.picture(colour(size=(64, 64))))
    assert "Drop a picture" not in read(box.widget)


def test_where_a_picture_is_a_choice_nothing_invites_one():
    for kind in ("all", "txt2img"):
        assert "Drop a picture" not in read(panel(kind=kind))


def test_a_file_that_is_no_picture_is_said():
    box = panel().form.controls["image"]
    box.take(b"not a picture", "notes.txt")
    assert "notes.txt" in alert(box.widget)
    assert box.value is None


def test_a_file_that_is_no_picture_is_said_without_python_and_leaves_the_one_before():
    box = panel().form.controls["image"]
    data = images.picture(colour(size=(64, 64)))
    box.take(data, "a.png")
    box.take(b"O\x82\x00\xff and more", "b.png")
    said = alert(box.widget)
    assert "it begins with 4f 82 00 ff" in said
    assert "PNG, JPEG" in said
    assert "b'" not in said
    assert said.endswith("The picture before stays.")
    assert box.value == data


def test_a_control_without_a_picture_says_what_to_click():
    one = panel()
    one.request = Request("a cat", controls=(sdnb.Control("sketch"),))
    press(one, "Generate")
    said = alert(one).splitlines()[-1]
    assert "control sketch has no picture" in said
    assert "or draw it there, or give the picture to start from" in said
    assert "sdnb." not in said


def test_an_upload_leaves_nothing_in_the_widget():
    box = panel().form.controls["image"]
    data = images.picture(colour(size=(64, 64)))
    change = {"new": ({"name": "a.png", "content": memoryview(data)},)}
    box._upload._uploaded(change)
    assert box.value == data
    assert box._upload.children[0].value == ()


def test_upscale_makes_two_passes_with_one_seed():
    one = UpscalePanel(Model(), executor=Inline(make))
    one.form.change(prompt="a castle")
    one._edited()
    assert "1. 64 × 64 from words" in read(one)
    assert "2. resized to 128 × 128" in read(one)
    press(one, "Generate")
    first, last = (result.request for result in one.results)
    assert (first.width, first.height, first.image) == (64, 64, None)
    assert (last.width, last.height, last.strength, last.seed) == (128, 128, 0.5, first.seed)
    assert last.image == images.picture(one.results[0].image)
    assert last.prompt == "a castle"


@pytest.mark.slow
def test_upscale_of_a_picture_is_one_pass_by_factors_of_its_size():
    one = UpscalePanel(Model(), executor=Inline(make))
    one.form.change(image=images.picture(colour(size=(48, 80))))
    one.enlarge(1.5)
    assert (one.request.width, one.request.height) == (120, 72)
    one.generate()
    assert len(one.results) == 1
    assert (one.result.image.size) == (120, 72)


def test_an_upscaled_picture_has_the_size_asked_for_also_where_its_own_is_next_to_it():
    one = UpscalePanel(Model(), executor=Inline(make))
    picture = images.picture(colour(size=(60, 60)))
    one.form.change(image=picture, width=64, height=64)
    one.generate()
    assert png_header.size(one.result.request.image) == (64, 64)
    assert one.request.image == picture


@pytest.mark.picture
def test_stop_between_the_passes_starts_no_second():
    gate, run = gated()
    one = UpscalePanel(Model(), executor=Worker(run))
    job = one.generate()
    gate.release()
    until(lambda: job.progress and job.progress.step == 1)
    one.stop()
    gate.release()
    assert job.wait(60)
    assert job.state == "stopped"
    until(lambda: not one.running)
    assert one.results == []


def test_an_executor_that_was_shut_down_is_said():
    worker = Worker(make)
    one = Panel(Model(), executor=worker)
    worker.shutdown()
    assert one.generate() is None
    assert "shut down" in one.progress.problem


def test_an_unknown_kind_lists_the_known():
    with pytest.raises(ValueError, match="did you mean 'inpaint'"):
        sdnb.Panel(Model(), "inpainting")


def test_a_panel_can_go_over_to_another_model():
    one = panel()
    one.form.change(prompt="a cat")
    other = Model("other", Settings(128, 128, 7), examples=())
    one.serve(other, Inline(make))
    one.generate()
    assert one.result.request == Request("a cat", seed=one.result.request.seed).resolved(
        other.settings
    )
    assert "other · 128 × 128" in read(one)
    assert not called(one, "Example")


def test_what_is_no_model_is_said():
    with pytest.raises(TypeError, match=r"'nonsense' is no model.*sdnb\.load"):
        Panel("nonsense")


def test_what_it_will_take_is_said_before_it_runs():
    one = panel()
    one.request = Request("a cat")
    until(lambda: "up to 0.06 GB of memory (plan fake)" in one._plan.value)
    one.request = Request(width=2048)
    until(lambda: "2048 pixels &lt;do&gt; not fit: take 1024" in one._plan.value)
    assert "sdnb-warn" in one._plan.value


def test_what_a_run_leaves_in_memory_is_in_the_next_prediction():
    one = panel()
    one.request = Request("a cat")
    until(lambda: "up to 0.06 GB" in one._plan.value)
    plan = one.model.plan
    one.model.plan = lambda request: replace(plan(request), gb=0.31)
    one.generate()
    one.model.pace.learn(one.request.resolved(one.model.settings), Times([1.0, 2.0], 3.0))
    until(lambda: "up to 0.31 GB" in one._plan.value)


def test_only_the_newest_question_is_answered():
    gate, asked = threading.Semaphore(0), []

    class Slow(Model):
        def plan(self, request):
            asked.append(request.width)
            gate.acquire(timeout=60)
            return super().plan(request)

    one = Panel(Slow(), executor=Inline(make))
    one.request = Request("a cat", width=64)
    until(lambda: asked)  # its thread has begun
    for width in (128, 256, 512, 1024):
        one.request = Request("a cat", width=width)
    one.request = Request("another", width=1024)  # nothing that counts has changed
    for _ in range(6):
        gate.release()
    until(lambda: "1.02 GB" in one._plan.value and not one._plan._busy)
    assert asked == [64, 1024]


class Panic(BaseException):
    """What a library in Rust raises: no Exception."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("<unet>"), "KeyError: &#x27;&lt;unet&gt;&#x27;"),
        (Panic("<unet>"), "Panic: &lt;unet&gt;"),
    ],
)
def test_a_prediction_that_fails_is_told_and_the_next_one_comes(error, words):
    class Broken(Model):
        def plan(self, request):
            if request.width == 128:
                raise error
            return super().plan(request)

    one = Panel(Broken(), executor=Inline(make))
    one.request = Request("a cat", width=128)
    until(lambda: f"could not be predicted ({words})" in one._plan.value)
    one.request = Request("a cat", width=1024)
    until(lambda: "1.02 GB" in one._plan.value)


# -- what stands under new things -----------------------------------------------------------------


def test_a_photograph_is_sent_to_the_panel_and_what_it_says_stays():
    one = panel()
    one.form.change(prompt="a cat", steps=9, width=128)
    photo = colour(size=(64, 64))
    one.gallery.take(encoded(photo, "PNG"), "photo.png")
    press(one.gallery, "to the panel")
    assert one.request == Request("a cat", steps=9, image=images.picture(photo))
    assert find(one, "Start from a picture").value
    assert "It is in the panel now" in status(one.gallery)


def test_a_photograph_is_nothing_for_a_panel_that_starts_from_words():
    one = panel(kind="txt2img")
    one.gallery.take(encoded(colour(size=(64, 64)), "PNG"), "photo.png")
    press(one.gallery, "to the panel")
    assert one.request == Request()
    assert "starts from words alone" in alert(one.gallery)


def test_a_request_that_has_a_picture_opens_the_fold():
    one = panel()
    one.request = Request("a cat")
    assert not find(one, "Start from a picture").value
    one.request = Request("a cat", image=images.picture(colour(size=(64, 64))))
    assert find(one, "Start from a picture").value


@pytest.fixture
def two_panels(monkeypatch):
    """Two that share a model's worker, and the first of them runs."""
    gate, run = gated()
    worker = Worker(run)
    first, second = (Panel(Model(), executor=worker) for _ in range(2))
    job = first.generate()
    gate.release()
    until(lambda: job.progress and job.progress.step == 1)
    yield first, second, gate
    worker.shutdown()
    gate.release()
    assert job.wait(60)


def test_a_run_that_waits_for_another_panel_says_so(two_panels):
    _, second, gate = two_panels
    job = second.generate()
    assert second.progress.line.startswith("waiting for another run: ")
    assert beside(second, "Stop") == "next: after 2 others"
    second.drop = second.generate()
    assert beside(second, "Stop") == "next: after 3 others"
    assert read(second._queue.waiting).startswith("next: ")
    assert not called(second, "Skip")
    second._queue.drop(second.drop)
    for _ in range(10):
        gate.release()
    assert job.wait(60)
    assert "waiting" not in second.progress.line
    assert second.result is not None


def test_a_run_that_waits_for_another_panel_is_stopped_at_once(two_panels):
    first, second, _ = two_panels
    jobs = second.generate(), second.generate()
    second.stop()
    assert [job.state for job in jobs] == ["stopped"] * 2
    assert not second.running
    assert second.progress.line == "stopped before it began"
    assert find(second, "Queue")  # behind the first
    assert beside(second, "Stop") == "1 waiting, dropped"
    assert find(second, "Stop").disabled
    assert first.running


def test_the_next_run_of_a_panel_waits_for_the_one_that_came_between(two_panels):
    first, second, gate = two_panels
    other = second.generate()
    job = first.generate()
    for _ in range(4):
        gate.release()
    until(lambda: other.state == "running")
    until(lambda: first.progress.line.startswith("waiting for another run: "))
    for _ in range(10):
        gate.release()
    assert job.wait(60)
    assert len(first.results) == 2


def test_the_last_pictures_words_are_seen_with_it_alone():
    gate, run = gated()
    one = panel(run, executor=Worker)
    one.progress._previews = Throttle(0.0)
    for _ in range(5):
        gate.release()
    assert one.generate().wait(60)
    assert "a <note>" in read(one._caption)
    shown = one.progress.previews
    job = one.generate()
    gate.release()
    until(lambda: one.progress.previews > shown)
    assert read(one._caption) == ""
    assert not called(one.view, "Save")
    one.stop()
    gate.release()
    assert job.wait(60)
    assert read(one._caption) == ""
    one._caption.say("it carries its settings")  # of a picture that came since
    assert read(one._caption) == "it carries its settings"


def test_a_run_that_fails_at_once_leaves_the_words_of_the_picture_in_sight():
    one = panel()
    one.generate()
    words = read(one._caption)
    assert "64 × 64" in words

    def fail(_):
        raise RuntimeError("there is no such LoRA")
        yield

    one.serve(one.model, Inline(fail))
    assert one.generate().state == "failed"
    assert "no such LoRA" in one.progress.problem
    assert (read(one._caption), bool(called(one.view, "Save"))) == (words, True)


def test_what_was_refused_is_said_for_as_long_as_it_is_true():
    one = panel(kind="inpaint")
    one.generate()
    assert "no picture yet" in one.progress.problem
    find(one, "Prompt").value = "a cat"
    assert "no picture yet" in one.progress.problem
    one.form.controls["image"].take(encoded(colour(size=(64, 64)), "PNG"))
    assert one.progress.problem == ""
    one.generate()
    assert "Nothing is painted" in one.progress.problem
    one.form.controls["mask"].editor.draw(Rectangle((8, 8), (40, 40)))
    assert one.progress.problem == ""


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        (Saved(Request(), "m", "f", "0.1.0", 2.5), "sdnb 0.1.0."),
        (Saved(Request(), "m", "f", "sdnb 0.1.0"), "sdnb 0.1.0."),
        (Saved(Request(), "m", "f", "v1.7.0"), "another tool, v1.7.0."),
        (Saved(Request(), "m", "f", ""), "another tool."),
    ],
)
def test_who_made_the_settings_of_a_picture_is_named(saved, words):
    one = panel()
    one._offered(saved)
    assert one._caption.value == f"<div>Settings of a picture made by {words}</div>"


# -- the size of what is upscaled -----------------------------------------------------------------


def size(one):
    return one.request.width, one.request.height


def test_the_size_of_an_upscale_follows_the_picture():
    one = UpscalePanel(Model(), executor=Inline(make))
    box = one.form.controls["image"]
    box.take(encoded(colour(size=(48, 80)), "PNG"))
    assert size(one) == (160, 96)
    one.enlarge(3)
    box.take(encoded(colour(size=(64, 48)), "PNG"))
    assert size(one) == (144, 192)
    box._take(None)
    assert size(one) == (192, 192)
    box.take(encoded(colour(size=(48, 80)), "PNG"))
    find(one, "Width").value = 304  # by hand: it stays for this picture
    find(one, "Prompt").value = "a cat"
    assert size(one) == (304, 144)


def test_a_request_that_is_assigned_is_upscaled_as_it_says():
    one = UpscalePanel(Model(), executor=Inline(make))
    request = Request(image=images.picture(colour(size=(48, 80))), width=88, height=104)
    one.request = request
    assert one.request == request
    find(one, "Prompt").value = "a cat"
    assert size(one) == (88, 104)


def test_the_settings_of_a_picture_leave_it_to_be_enlarged():
    one = UpscalePanel(Model(), executor=Inline(make))
    png = encoded(colour(size=(64, 64)), "PNG")
    one.form.controls["image"].take(png)
    one._offered(Saved(Request("a cat", width=64, height=64), "m", "f", "0.1.0", 2.5))
    assert (one.request.prompt, size(one)) == ("a cat", (128, 128))


def test_the_second_passes_strength_is_always_in_sight():
    one = UpscalePanel(Model(), executor=Inline(make))
    assert one.form.controls["strength"].widget.layout.display == ""
    assert panel().form.controls["strength"].widget.layout.display == "none"
