"""The sketch without weights: the request of a drawing in each way, live, Keep and Finish."""

import io
import threading

import numpy as np
import pytest
from helpers.fakes import Model, gated, make, until
from helpers.mask_hand import Hand, picture
from helpers.widget_hands import alert, called, find, press, read
from PIL import Image

import sdnb
from sdnb import images
from sdnb.jobs.executor import Inline, Worker
from sdnb.request import Request, Settings
from sdnb.request.control import Control
from sdnb.request.pace import Times
from sdnb.request.quick_enough import too_slow
from sdnb.widgets import live_runs
from sdnb.widgets.masks.strokes import Brush, Rectangle
from sdnb.widgets.sketch import draft as drafts
from sdnb.widgets.sketch import live_drawing, sketch_panel
from sdnb.widgets.sketch.drawn_request import (
    AUTO,
    BOTH,
    COLOURS,
    LINES,
    WAYS,
    Way,
    dark_lines,
    drawn,
    followed,
    undrawn,
)
from sdnb.widgets.sketch.sketch_panel import Sketch

LINE = Brush(((100, 100), (300, 300)), 12, colour=(0, 0, 0))
FIELD = Rectangle((200, 200), (400, 400), colour=(220, 40, 40))
ASKED = Request("a cat", negative="blurry", steps=20)
# Another model than the built-in one, whose drafts its variant for few steps makes.
OTHER = {"path": "other.safetensors"}


@pytest.fixture(autouse=True)
def net(monkeypatch):
    """The fake model has a network for lines."""
    monkeypatch.setattr(sketch_panel, "net_for_lines", lambda _: "sketch")


def sketch(run=make, executor=Inline):
    one = Sketch(Model(load_arguments=OTHER), executor=executor(run))
    one.form.change(prompt="a cat", negative="blurry", steps=20)
    return one


def shown(one):
    """The picture on the right, as the page gets it."""
    return Image.open(io.BytesIO(one.followed.image.value)).size


# -- the request of a drawing ---------------------------------------------------------------------


def sheet(*, coloured):
    canvas = np.full((64, 64, 3), 255, np.uint8)
    canvas[10:14, 5:60] = 0
    if coloured:
        canvas[30:50, 20:40] = (220, 40, 40)
    return Image.fromarray(canvas)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("coloured", [False, True])
def test_each_way_asks_for_its_own_and_gives_the_drawing_back(way, coloured):
    drawing, how = sheet(coloured=coloured), Way(way, 0.6, 1.2, "sketch")
    request = drawn(ASKED, drawing, how, (256, 128))
    kind = followed(way, drawing)
    assert kind == (way if way != AUTO else BOTH if coloured else LINES)
    if kind == COLOURS:
        assert request.controls == ()
    else:
        lines = drawing if kind == LINES else dark_lines(drawing)
        assert request.controls == (
            Control("sketch", images.picture(lines), 1.2, prepare="scribble"),
        )
    if kind == LINES:
        assert (request.image, request.strength, request.width) == (None, 0.75, None)
    else:
        assert images.open(request.image).tobytes() == drawing.tobytes()
        assert (request.strength, request.width, request.height) == (0.6, 256, 128)
    rest, found, png = undrawn(request, how, (256, 128))
    back = images.open(png)
    assert rest == ASKED
    assert back.tobytes() == drawing.tobytes()
    assert (found.way, found.net) == (way, "sketch")
    assert drawn(rest, back, found, (256, 128)) == request


def test_beside_colours_only_what_is_dark_is_a_line():
    hint = Control("sketch", images.picture(dark_lines(sheet(coloured=True))), prepare="scribble")
    white = np.asarray(hint.hint).max(-1) > 0
    expected = np.zeros((64, 64), bool)
    expected[10:14, 5:60] = True
    assert (white == expected).all()


def test_other_controls_stay_and_a_picture_of_elsewhere_is_followed_by_its_colours():
    tile = Control("tile", images.picture(picture((64, 64))))
    how = Way(LINES, net="sketch")
    request = drawn(ASKED.but(controls=(tile,)), sheet(coloured=False), how, (64, 64))
    assert [each.net for each in request.controls] == ["sketch", "tile"]
    assert undrawn(request, how, (64, 64))[0].controls == (tile,)
    start = ASKED.but(image=images.picture(picture((64, 64))), strength=0.3)
    rest, found, png = undrawn(start, how, (64, 64))
    assert (rest, found.way, found.strength) == (ASKED, COLOURS, 0.3)
    assert png == start.image
    with pytest.raises(ValueError, match="no control network that follows lines"):
        drawn(ASKED, sheet(coloured=True), Way(BOTH), (64, 64))


# -- live -----------------------------------------------------------------------------------------


def test_nothing_is_made_before_anything_is_drawn():
    one = sketch(run=lambda request: pytest.fail(f"started {request}"))
    one.form.change(seed=3)
    find(one, "Prompt").value = "typed"
    assert one.result is None
    assert "Draw on the sheet" in read(one)
    press(one, "Finish")
    assert "Nothing is drawn yet" in alert(one)


@pytest.mark.slow
def test_the_picture_follows_each_stroke_and_each_control_with_one_seed():
    one = sketch()
    one.canvas.draw(LINE)
    first = one.result
    assert first.request == one.draft.resolved(one.model.settings)
    assert (first.request.steps, first.request.count) == (5, 1)  # of the fake model, which has five
    assert first.request.controls[0].net == "sketch"
    assert one.request == ASKED.but(controls=first.request.controls)
    assert shown(one) == first.image.size
    one.canvas.draw(FIELD)
    assert one.result is not first
    assert one.result.request.image is not None
    find(one, "Prompt").value = "a dog "
    assert (one.result.request.prompt, one.result.request.seed) == ("a dog ", first.request.seed)
    find(one, "Freedom").value = 0.4
    assert one.result.request.strength == 0.4
    find(one, "Live steps").value = 2
    assert (one.result.request.steps, one.request.steps) == (2, 20)
    press(one, "Another")
    assert one.result.request.seed != first.request.seed
    assert one.gallery.pictures == []
    one.canvas.undo()
    one.canvas.undo()
    assert "Draw on the sheet" in read(one)


@pytest.mark.slow
def test_switched_off_it_follows_no_more():
    one = sketch()
    one.canvas.draw(LINE)
    before = one.result
    find(one, "Live").value = False
    one.canvas.draw(FIELD)
    assert one.result is before
    find(one, "Live").value = True
    assert one.result.request.image is not None


@pytest.mark.slow
def test_while_one_is_made_the_newest_wins():
    gate, runs = threading.Semaphore(0), []

    def run(request):
        runs.append(request)
        yield from make(request, gate)

    one = sketch(run, Worker)
    one.canvas.draw(LINE)
    until(lambda: runs)
    for x in range(0, 200, 10):
        one.canvas.draw(Rectangle((x, 0), (x + 8, 50), colour=(0, 0, 200)))
    for _ in range(40):
        gate.release()
    until(lambda: one.result is not None and not one._live.busy)
    assert one.result.request == one.draft.resolved(one.model.settings)
    assert len(runs) <= 4  # of 21 that were asked for
    one.close()


def marks(one):
    """Whether the picture is marked as an old one, and how far one sees the next one's preview."""
    box = one.followed._pictures
    stage = next(name for name in box.children[1]._dom_classes if "coming" in name)
    return "sdnb-awaited" in box._dom_classes, int(stage[-1])


def live_on_a_gate():
    """A sketch whose next picture waits for the gate at each of its five steps; one is there."""
    gate, run = gated()
    one = sketch(run, Worker)
    one.canvas.draw(LINE)
    for _ in range(5):
        gate.release()
    until(lambda: one.result is not None and not one._live.busy)
    return one, gate


def test_a_picture_of_the_drawing_before_is_marked_and_previews_lie_over_it():
    one, gate = live_on_a_gate()
    first = one.followed.image.value
    assert marks(one) == (False, 0)
    one.canvas.draw(FIELD)
    assert marks(one)[0]
    gate.release()
    until(lambda: marks(one) == (True, 1))
    assert one.followed.image.value == first
    preview = Image.open(io.BytesIO(one.followed._pictures.children[1].value))
    assert preview.getpixel((1, 1)) == (1, 1, 1)  # of the fake model's first step
    press(one.followed, "Keep")  # what is shown, with what it was made of
    assert [p.held for p in one.gallery.pictures] == [one.result]
    assert one.gallery.pictures[0].request.image is None  # the line alone
    assert "with its own drawing: the sheet has gone on since" in read(one.followed)
    for _ in range(4):
        gate.release()
    until(lambda: one.result.request.image is not None and not one._live.busy)
    assert marks(one) == (False, 0)
    assert one.followed.image.value != first
    press(one.followed, "Keep")
    assert "It is in the gallery now." in read(one.followed)
    one.close()


@pytest.mark.parametrize("end", ["stop", "refuse", "switch off", "fail"])
def test_what_does_not_come_is_awaited_no_more(end):
    one, gate = live_on_a_gate()
    one.canvas.draw(FIELD)
    gate.release()
    until(lambda: marks(one) == (True, 1))
    if end == "stop":
        one.stop()
    elif end == "refuse":
        learnt(one, 3.0)
        one.canvas.undo()
        assert "live takes 3 s at most" in read(one.followed)
    elif end == "switch off":
        one.live = False
    else:
        one._live._failed(RuntimeError("no <more> memory"))
    assert marks(one) == (False, 0)
    one.close()


def test_where_nothing_follows_by_itself_the_empty_place_says_so():
    one = sketch()
    learnt(one, 3.0)
    one.canvas.draw(LINE)
    assert "Too slow to follow the pen here: Another makes a picture." in read(one)
    press(one, "Another")
    assert one.result is not None
    assert "Too slow to follow the pen" not in read(one)


@pytest.mark.parametrize("end", ["made", "stopped", "failed"])
def test_one_that_takes_long_says_how_far_it_is_and_can_be_stopped(end):
    gate, run = gated()
    one = sketch(run, Worker)
    learnt(one, 3.0)
    one.canvas.draw(LINE)
    assert find(one, "Stop").disabled
    press(one, "Another")
    assert not find(one, "Stop").disabled
    gate.release()
    until(lambda: "step 1 of 5" in read(one.followed))
    if end == "made":
        for _ in range(4):
            gate.release()
        until(lambda: one.result is not None and not one._live.busy)
    elif end == "stopped":
        press(one, "Stop")
    else:
        one._live._failed(RuntimeError("no <more> memory"))
    assert find(one, "Stop").disabled
    assert "step 1 of 5" not in read(one.followed)
    if end != "failed":
        assert "live takes 3 s at most" in read(one.followed)
    one.close()


def test_the_very_first_preview_takes_the_empty_place():
    gate, run = gated()
    one = sketch(run, Worker)
    one.canvas.draw(LINE)
    gate.release()
    until(lambda: marks(one)[1] == 4)
    assert "Draw on the sheet" not in read(one)
    one.close()


@pytest.mark.slow
def test_an_error_of_a_run_is_said_and_the_next_stroke_goes_on():
    broken = [True]

    def run(request):
        yield from make(request, fail_at=1 if broken.pop() else None)

    broken[:] = [False, True]
    one = sketch(run)
    one.canvas.draw(LINE)
    assert "no <more> memory" in alert(one)
    one.canvas.draw(FIELD)
    assert one.result is not None
    assert alert(one) == ""


def learnt(one, step):
    """Have the model seen two runs of five steps, of so many seconds each."""
    request = one.draft.but(steps=5).resolved(one.model.settings)
    for _ in range(2):
        one.model.pace.learn(request, Times([step * n for n in range(1, 6)], whole=step * 5))


def test_what_takes_too_long_is_refused_as_a_live_panel_does_and_one_can_be_made_all_the_same():
    one = sketch()
    one.canvas.draw(LINE)
    before = one.result
    learnt(one, 1.0)
    one.canvas.draw(FIELD)
    assert one.result is before
    asked = one.draft.resolved(one.model.settings)
    slow = too_slow(asked, one.model.pace, one.model.settings, going=True)
    why = slow.why
    assert why == "About 4.0 s a picture: live takes 3 s at most."
    assert why in read(one.followed)
    assert f"{slow.way_out} Another and Finish make one all the same" in read(one)
    press(one.followed, "Keep")
    assert [p.held for p in one.gallery.pictures] == [before]
    press(one, "Another")
    assert one.result.request.seed != before.request.seed
    assert one.result.request.image is not None  # of the field
    assert why in read(one)
    press(one, "Take 4 steps")  # of the picture that follows alone
    assert (one.result.request.steps, one.request.steps) == (4, 20)
    assert why not in read(one)
    learnt(one, 0.1)
    one.canvas.undo()
    assert one.result.request.image is None
    assert not called(one.followed, "Take 4 steps")


def test_a_smaller_size_is_taken_with_the_drawing_as_it_is():
    model = Model(settings=Settings(512, 512, 5, 4.0), load_arguments=OTHER)
    one = Sketch(model, executor=Inline(make))
    learnt(one, 1.0)  # four steps are 4 s; of five, 0.5186 of them at 384²
    one.canvas.draw(LINE)
    assert one.result is None
    before = one.canvas.strokes
    press(one.followed, "Take 384 × 384")
    assert one.result.request == one.draft.resolved(model.settings)
    assert (one.result.request.steps, one.result.image.size) == (5, (384, 384))
    assert one.canvas.strokes == before
    assert (one.request.steps, one.request.width, one.request.height) == (None, 384, 384)


def test_it_says_nothing_of_time_once_the_sheet_is_empty_or_live_is_off():
    one = sketch()
    learnt(one, 1.0)
    for end in (one.canvas.clear, lambda: setattr(one, "live", False)):
        one.canvas.draw(LINE)
        assert "live takes 3 s at most" in read(one.followed)
        end()
        assert "live takes" not in read(one)
        assert "Quicker" not in read(one)
    assert one.result is None
    press(one, "Another")  # one alone
    assert one.result.request.seed == one.draft.seed


def test_a_sketch_names_no_model_for_few_steps_that_it_takes_already(tmp_path, monkeypatch):
    monkeypatch.setattr(live_runs, "for_few_steps", lambda _: "tiny-fast")
    one = sketch()
    learnt(one, 1.0)
    one.canvas.draw(LINE)
    assert 'sdnb.load("tiny-fast")' in read(one)
    monkeypatch.setattr(live_drawing, "fast_lora", lambda _: "its.safetensors")
    other = sketch()
    learnt(other, 1.0)
    other.canvas.draw(LINE)
    assert "live takes 3 s at most" in read(other)
    assert "sdnb.load" not in read(other)


def test_what_stops_a_run_leaves_it_on():
    one = sketch()
    one.canvas.draw(LINE)
    for stop in (one.stop, one.skip):
        stop()
        assert one.live
    one.canvas.draw(FIELD)
    assert one.result.request.image is not None


# -- Keep and Finish ------------------------------------------------------------------------------


@pytest.mark.slow
def test_keep_puts_what_is_shown_into_the_gallery_once():
    one = sketch()
    assert find(one, "Keep").disabled
    one.canvas.draw(LINE)
    press(one.followed, "Keep")
    press(one.followed, "Keep")
    assert [p.held for p in one.gallery.pictures] == [one.result]
    assert one.gallery.pictures[0].request.steps == 5
    one.canvas.draw(FIELD)
    press(one.followed, "Keep")
    assert len(one.gallery.pictures) == 2


def test_finish_makes_the_same_with_all_steps():
    one = sketch()
    one.canvas.draw(LINE)
    one.canvas.draw(FIELD)
    quick = one.result.request
    press(one, "Finish")
    done = one.result.request
    assert (done.steps, done.seed) == (20, quick.seed)
    assert done == quick.but(steps=20)
    assert [p.held for p in one.gallery.pictures] == [one.result]
    assert one.results == [one.result]
    one.canvas.undo()
    assert one.result.request.steps == 5  # live again
    assert "20 steps" not in read(one)  # what was said of the finished one is gone


# -- a value --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_drawing_and_request_are_values():
    one = sketch()
    drawing = Image.new("RGBA", (512, 512))
    drawing.paste((0, 0, 200, 255), (100, 100, 200, 200))
    one.drawing = drawing
    assert one.drawing.tobytes() == drawing.tobytes()
    assert one.result.request.image is not None
    asked = one.request
    assert Request.from_json(asked.to_json(), asked.pictures) == asked
    other = sketch()
    other.request = asked
    assert other.request == asked
    assert other.canvas.picture.tobytes() == one.canvas.picture.tobytes()
    other.request = Request("a dog")
    assert other.canvas.is_empty
    assert other.request == Request("a dog")


@pytest.mark.slow
def test_the_sheet_has_the_proportions_of_what_is_made():
    one = sketch()
    one.canvas.draw(Rectangle((0, 0), (512, 256), colour=(200, 0, 0)))
    one.request = one.request.but(width=128, height=64)
    assert one.canvas.size == (512, 256)
    find(one.form, "Settings").value = True
    find(one, "Width").value = 64
    assert one.canvas.size == (512, 512)
    assert not one.canvas.is_empty


@pytest.mark.slow
def test_its_state_comes_back_with_the_drawing():
    one = sketch()
    one.canvas.draw(FIELD)
    other = sketch()
    other.restore(one.state())
    assert other.request == one.request
    assert one.state().keys() == {"sketch", "autosave"}


@pytest.mark.slow
def test_a_picture_becomes_the_drawing():
    one = sketch()
    one.start_from(images.picture(picture((512, 512))))
    assert one.canvas.picture.tobytes() == picture((512, 512)).tobytes()
    assert one.request.controls == ()
    assert one.result.request.image is not None


def test_a_picture_of_other_proportions_lies_whole_in_the_middle():
    one = sketch()
    wide = images.picture(Image.new("RGB", (100, 50), (0, 0, 200)))
    one.start_from(wide)
    found = images.open(one.request.image)
    assert found.size == (512, 512)
    assert set(found.getcolors()) == {(512 * 256, (0, 0, 200)), (512 * 256, (255, 255, 255))}
    one.start_from(images.picture(Image.new("RGB", (64, 64), (0, 200, 0))))
    assert images.open(one.request.image).size == (64, 64)  # its own bytes
    one.canvas.draw(LINE)
    assert images.open(one.request.image).size == (512, 512)


def test_without_a_network_for_lines_it_follows_colours_and_says_so(monkeypatch):
    monkeypatch.setattr(sketch_panel, "net_for_lines", lambda _: None)
    one = sketch()
    assert "No control network here follows lines" in read(one)
    one.canvas.draw(FIELD)
    assert one.result.request.controls == ()
    assert one.result.request.image is not None


def test_a_hand_draws_and_keys_undo():
    one = sketch()
    hand = Hand(one.canvas)
    hand.drag((50, 50), (300, 300))
    first = one.result
    hand.key("z", ctrl=True)
    assert one.canvas.is_empty
    hand.key("y", ctrl=True)
    assert one.result.request == first.request


# -- what is quick --------------------------------------------------------------------------------


def test_another_model_than_the_built_in_has_no_fast_variant(tmp_path, monkeypatch):
    folder = tmp_path / "tiny-fast"
    folder.mkdir()
    monkeypatch.setattr(drafts, "built_in", lambda: {"tiny-fast": folder})
    model = Model()
    assert drafts.fast_lora(model) is None  # the file is not there
    (folder / "tiny-fast.safetensors").write_bytes(b"")
    assert drafts.fast_lora(model).name == str(folder / "tiny-fast.safetensors")
    model.load_arguments["path"] = "other.safetensors"
    assert drafts.fast_lora(model) is None


def test_it_is_public():
    assert sdnb.Sketch is Sketch
