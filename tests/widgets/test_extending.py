"""The mask editor on a larger canvas: numbers, undo, what is drawn there, and what a panel asks."""

import numpy as np
import pytest
from helpers.fakes import Model, make
from helpers.mask_hand import Hand, picture, same
from helpers.widget_hands import called, find, press, read

from sdnb import images
from sdnb.images import canvas, outpaint
from sdnb.images.outpaint import Sides
from sdnb.images.result import Progress, Result
from sdnb.jobs.executor import Inline
from sdnb.request import Request
from sdnb.widgets.masks.editor import MaskEditor
from sdnb.widgets.masks.strokes import Brush, Extension, Rectangle
from sdnb.widgets.panel import Panel


def typed(part, **numbers):
    """As a person would, in the fold of an editor or of what has one."""
    for name, number in numbers.items():
        label = f"Canvas {name}" if name in ("width", "height") else name.capitalize()
        find(part, label).value = number


def unfold(part):
    find(part, "Extend the canvas").value = True


@pytest.fixture
def numbers(editor):
    editor.extending.unfolded = True
    return lambda **given: typed(editor.extending, **given)


def shown(editor):
    return {name: box.value for name, box in editor.extending._boxes.items()}


# -- the editor ---------------------------------------------------------------------------------


def test_the_place_of_the_picture_is_what_the_sides_say(editor, numbers):
    place = find(editor.extending, "Picture at")
    for sides, name in (
        ({"right": 128}, "left"), ({"left": 128}, "middle"), ({"right": 0}, "right"),
        ({"top": 40}, "bottom right"), ({"left": 100, "right": 20}, "as the sides say"),
    ):  # fmt: skip
        before = shown(editor) | sides
        numbers(**sides)
        assert place.value == name
        assert {side: shown(editor)[side] for side in sides} == sides  # and it moved none of them
        assert [shown(editor)[side] for side in ("left", "right", "top", "bottom")] == [
            before[side] for side in ("left", "right", "top", "bottom")
        ]
    numbers(left=0, right=0, top=0)
    assert place.value in outpaint.ANCHORS
    numbers(right=64)
    numbers(width=320 + 64)  # it goes on from where the picture lies
    assert (shown(editor)["left"], shown(editor)["right"]) == (0, 128)
    place.value = "right"
    assert (shown(editor)["left"], shown(editor)["right"]) == (128, 0)


def test_numbers_extend_the_canvas_at_once_and_the_new_part_is_masked(editor, numbers):
    before = editor.image
    numbers(right=64)
    assert editor.image.tobytes() == outpaint.extended(before, Sides(right=64)).tobytes()
    assert editor.mask.tobytes() == outpaint.mask((256, 256), Sides(right=64), 16).tobytes()
    assert "320 × 256" in editor._status.value
    numbers(top=32, overlap=8)  # the same extension, changed: still one stroke
    sides = Sides(right=64, top=32)
    assert editor.extensions == editor.strokes == (Extension(sides, 8),)
    assert editor.image.tobytes() == outpaint.extended(before, sides).tobytes()
    assert shown(editor) == {
        "left": 0, "right": 64, "top": 32, "bottom": 0,
        "width": 320, "height": 288, "overlap": 8,
    }  # fmt: skip
    numbers(right=0, top=0)
    assert editor.image.tobytes() == before.tobytes()
    assert editor.strokes == ()


def test_a_click_adds_a_quarter_of_the_picture_at_a_side_or_at_all(editor, numbers):
    before = editor.image
    press(editor.extending, "right")
    press(editor.extending, "right")
    press(editor.extending, "top")
    assert editor.extensions == editor.strokes == (Extension(Sides(right=128, top=64), 16),)
    assert shown(editor) == {
        "left": 0, "right": 128, "top": 64, "bottom": 0,
        "width": 384, "height": 320, "overlap": 16,
    }  # fmt: skip
    press(editor.extending, "all sides")
    assert editor.extensions[-1].sides == Sides(64, 192, 128, 64)
    assert editor.image.tobytes() == outpaint.extended(before, Sides(64, 192, 128, 64)).tobytes()
    editor.undo()
    assert editor.image.tobytes() == before.tobytes()
    editor.image = picture((8000, 40))
    press(editor.extending, "left")
    assert "sides of up to 8192 pixels" in read(editor)
    assert editor.extensions == ()


def test_a_size_and_where_the_picture_lies_are_numbers_of_the_same_canvas(editor, numbers):
    numbers(width=384)
    assert editor.extensions == (Extension(Sides(64, 64), 16),)
    editor.extending._anchor.value = "top left"
    numbers(height=320)
    assert editor.extensions == (Extension(Sides(right=128, bottom=64), 16),)
    numbers(width=200)  # smaller than the picture
    assert "the nearest is 256" in read(editor.extending)
    assert editor.image.size == (384, 320)


def test_undo_and_redo_go_from_canvas_to_canvas(editor, hand, numbers):
    small = editor.image
    hand.drag((40, 50), (90, 50))
    drawn = editor.mask
    numbers(left=64)
    larger = editor.image, editor.mask
    assert (
        larger[1].crop((64 + 16, 0, 320, 256)).tobytes() == drawn.crop((16, 0, 256, 256)).tobytes()
    )
    hand.drag((200, 200), (300, 200))
    first, _, last = editor.strokes
    moved = Brush(tuple((x - 64, y) for x, y in last.points), last.size)
    there = editor.mask.crop((64, 0, 320, 256))
    assert same(there, first, Rectangle((0, 0), (16, 256)), moved)
    assert shown(editor)["left"] == 0  # the next one begins from here
    after = editor.mask
    editor.undo()
    assert editor.mask.tobytes() == larger[1].tobytes()
    assert shown(editor)["left"] == 64
    editor.undo()
    assert editor.image.tobytes() == small.tobytes()
    assert editor.mask.tobytes() == drawn.tobytes()
    assert editor.mask.size == (256, 256)
    hand.key("z", ctrl=True, shift=True)
    assert editor.image.tobytes() == larger[0].tobytes()
    editor.redo()
    assert editor.mask.tobytes() == after.tobytes()
    hand.key("z", ctrl=True)
    hand.key("z", ctrl=True)
    hand.key("z", ctrl=True)
    assert editor.mask.getbbox() is None


def test_one_extension_after_the_other(editor, numbers):
    numbers(right=64)
    editor.draw(Rectangle((0, 0), (10, 10)))
    numbers(right=32)
    assert editor.image.size == (352, 256)
    assert [each.sides for each in editor.extensions] == [Sides(right=64), Sides(right=32)]
    undone = [editor.image.size]
    for _ in range(3):
        editor.undo()
        undone.append(editor.image.size)
    assert undone == [(352, 256), (320, 256), (320, 256), (256, 256)]


def test_it_is_drawn_where_the_pointer_is_zoomed_and_not(editor, numbers):
    hand = Hand(editor)
    numbers(left=64, bottom=128)
    assert editor._state.view.picture == (320, 384)
    hand.drag((10.0, 300.0), (100.0, 350.0))
    assert np.allclose(editor.strokes[-1].points, [(10, 300), (100, 350)])
    editor._gestures.zoom(2.0)
    hand.drag((150.0, 200.0), (170.0, 210.0))
    assert np.allclose(editor.strokes[-1].points, [(150, 200), (170, 210)])
    numbers(top=64)  # all of it is seen again
    assert editor._state.view.zoom == 1
    assert editor.image.size == (320, 448)


def test_inverted_the_new_part_is_what_is_made_anew(editor, numbers):
    press(editor, "Invert")  # all of it is painted
    numbers(right=64)
    press(editor, "Invert")
    assert editor.mask.getbbox() is None
    editor.undo()
    editor.undo()
    editor.undo()
    editor.invert = True  # black is repainted
    numbers(right=64)
    shown_there = editor._state.in_effect((0, 0, 320, 256))
    assert shown_there.getpixel((319, 100)) == 255
    assert editor.mask.getpixel((319, 100)) == 0


def test_it_brings_a_feather_where_there_is_none_and_takes_it_back(editor, numbers):
    numbers(right=64)
    assert editor.feather == 4
    numbers(overlap=2)
    assert editor.feather == 2
    editor.undo()
    assert editor.feather == 0
    editor.feather = 5
    numbers(right=64)
    assert editor.feather == 5
    editor.undo()
    assert editor.feather == 5


def test_in_code_it_takes_a_size_and_refuses_in_words_without_a_change(editor):
    editor.extend(size=(320, 256), anchor="left", overlap=4)
    assert editor.extensions == (Extension(Sides(right=64), 4),)
    for wrong, words in (
        ({}, "nothing is extended"), ({"left": -1}, "left=-1"), ({"left": 8000}, "8320x256"),
        ({"left": 8, "right": 8, "overlap": 160}, "leaves nothing of the picture"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            editor.extend(**wrong)
    assert len(editor.strokes) == 1
    assert editor.image.size == editor.mask.size == (320, 256)


def test_a_transparent_picture_is_on_white_and_its_transparency_comes_back(hand):
    rgba = picture().convert("RGBA")
    rgba.paste((0, 0, 0, 0), (0, 0, 100, 256))
    editor = MaskEditor(rgba)
    editor.extend(left=32)
    assert editor.image.mode == "RGB"
    assert editor.image.getpixel((0, 100)) == (255, 255, 255)
    assert editor._toolbar.buttons["alpha"].layout.display == "none"
    editor.undo()
    assert editor.image.tobytes() == rgba.tobytes()
    editor.use_alpha()
    assert editor.mask.getbbox() == (0, 0, 100, 256)


def test_a_side_that_is_as_long_as_can_be_is_not_extended_and_the_other_is():
    editor = MaskEditor(picture((9000, 40)))
    editor.extending.unfolded = True
    typed(editor.extending, left=8)
    assert "the nearest is 0" in read(editor.extending)
    assert editor.strokes == ()
    typed(editor.extending, bottom=8)
    assert editor.image.size == (9000, 48)


def test_a_result_of_the_larger_size_keeps_the_mask_and_has_no_smaller_one_to_go_back_to(editor):
    editor.extend(right=64)
    mask = editor.mask
    editor.image = picture((320, 256), seed=4)
    assert editor.mask.tobytes() == mask.tobytes()
    assert editor.extensions == ()
    assert editor.feather == 4  # as the mask was, so it is
    editor.undo()
    assert editor.image.size == editor.mask.size == (320, 256)
    editor.image = picture((64, 64))
    assert editor.mask.size == (64, 64)


# -- in a panel ---------------------------------------------------------------------------------


def run(request):
    """A run that paints the part in one colour."""
    yield Progress(0, 1, 0.0)
    found, notes = canvas.fit(request)
    painted = found.picture.copy()
    painted.paste((0, 200, 0), (0, 0, *painted.size))
    made = (found.finish(painted),)
    result = Result(made, request, "fake", "0123456789abcdef", 0.5, 0.25, tuple(notes))
    yield Progress(1, 1, 0.1, result=result)


def panel(kind="inpaint"):
    one = Panel(Model(), kind, executor=Inline(run))
    one.request = Request("a field", seed=3, image=images.picture(picture((64, 64))))
    return one


@pytest.mark.parametrize("kind", ["all", "inpaint"])
def test_a_panel_asks_for_what_the_verb_asks_for(kind):
    one = panel(kind)
    unfold(one)
    typed(one, right=32)
    own = one.model.settings.width, one.model.settings.height
    expected = outpaint.request(Request("a field", seed=3), picture((64, 64)), Sides(right=32), own)
    assert one.request == expected
    press(one, "Generate")
    made = one.result.images[0]
    assert made.size == (96, 64)
    assert made.crop((0, 0, 48, 64)).tobytes() == picture((64, 64)).crop((0, 0, 48, 64)).tobytes()
    assert made.getpixel((90, 30)) == (0, 200, 0)


def test_undone_the_panel_asks_as_before_and_what_was_moved_meanwhile_stays():
    one = panel()
    before = one.request
    unfold(one)
    typed(one, bottom=32)
    press(one, "Undo")
    assert one.request == before
    assert one.form.controls["image"].value == before.image
    typed(one, bottom=32)
    one.form.controls["padding"]._take(8)
    press(one, "Undo")
    assert one.request == before.but(padding=8)


def test_the_part_follows_the_mask_and_all_of_it_is_made_where_one_wants_that():
    one = panel()
    unfold(one)
    typed(one, bottom=64)
    part = outpaint.frame(one.form.controls["mask"].editor.mask, (64, 64))[1]
    assert (one.request.width, one.request.height) == part
    one.form.controls["padding"]._take(None)
    resolved = one.request.resolved(one.model.settings)
    across, down = resolved.width / 64, resolved.height / 128
    assert across == pytest.approx(down, rel=0.06)  # nothing is stretched


def test_the_next_round_is_one_click_away():
    one = panel()
    unfold(one)
    typed(one, right=32, overlap=8)
    press(one, "Generate")
    first = one.result.images[0]
    press(one, "Extend")
    editor = one.form.controls["mask"].editor
    assert editor.extensions == (Extension(Sides(right=32), 8),)
    own = one.model.settings.width, one.model.settings.height
    base = Request("a field", seed=3)
    assert one.request == outpaint.request(base, first, Sides(right=32), own, overlap=8)
    press(one, "Generate")
    second = one.result.images[0]
    assert second.size == (128, 64)
    assert second.crop((0, 0, 88, 64)).tobytes() == first.crop((0, 0, 88, 64)).tobytes()


def test_where_nothing_was_extended_yet_the_numbers_are_shown():
    one = panel()
    one.form.change(mask=images.mask(picture((64, 64)).convert("L")))
    press(one, "Generate")
    press(one, "Extend")
    extending = one.form.controls["mask"].editor.extending
    assert extending.unfolded
    assert called(extending, "left")
    assert "Say in" in read(one)


def test_a_picture_that_is_used_keeps_the_mask_and_how_it_was_made():
    one = panel()
    unfold(one)
    typed(one, right=32)
    asked = one.request
    press(one, "Generate")
    press(one, "Use as picture")
    assert one.request.mask == asked.mask
    assert (one.request.padding, one.request.feather) == (asked.padding, asked.feather)
    assert one.request.image == images.picture(one.result.images[0])


def test_what_was_asked_comes_back_from_a_saved_picture(tmp_path):
    one = panel()
    unfold(one)
    typed(one, left=32)
    asked = one.request
    press(one, "Generate")
    path = images.save(one.result, tmp_path / "a.png")[0]
    again = panel()
    again.request = images.read(path)
    assert again.request.but(seed=3) == one.result.request.but(seed=3)
    assert again.request.image == asked.image
    assert again.form.controls["mask"].editor.image.size == (96, 64)
    again.generate()
    assert again.result.images[0].tobytes() == one.result.images[0].tobytes()


def test_while_the_larger_canvas_is_written_nothing_else_is_asked(monkeypatch):
    held = []
    monkeypatch.setattr(
        "sdnb.widgets.form.mask_box.beside", lambda read, then: held.append((read, then))
    )
    one = panel()
    before = one.request
    unfold(one)
    typed(one, right=32)
    with pytest.raises(ValueError, match="being written: wait"):
        one.request  # noqa: B018 - reading it is what is refused
    press(one, "Generate")
    assert one.result is None
    assert "being written" in read(one)
    typed(one, right=48)
    (first, second) = [(read_it(), then) for read_it, then in held]
    first[1](first[0])  # overtaken: nobody wants it any more
    assert one.form.controls["image"].value == before.image
    second[1](second[0])
    assert images.open(one.request.image).size == images.open(one.request.mask).size == (112, 64)
    press(one, "Undo")
    assert one.request == before


def test_a_fake_run_of_words_is_as_before():
    """Extending touches no request without a picture."""
    one = Panel(Model(), "all", executor=Inline(make))
    one.request = Request("a cat", seed=7)
    press(one, "Generate")
    assert one.result.request == Request("a cat", seed=7).resolved(one.model.settings)


def repainted(one):
    """The settings that an extension brings, in Settings and seen by nobody."""
    return one.request.padding, one.request.feather


@pytest.mark.parametrize("own", [(None, 0.0), (8, 2.0)])
def test_what_an_extension_brings_goes_with_its_mask(own):
    """And what a person had set, or sets meanwhile, stays."""
    one = panel()
    one.form.change(padding=own[0], feather=own[1])
    mask = images.mask(picture((64, 64)).convert("L"))
    ends = (
        lambda: one.form.controls["image"].take(images.picture(picture((64, 64), seed=5))),
        lambda: press(one, "Clear the mask"),
        lambda: press(one, "Clear"),
        lambda: one.bring(one.form.lasting(one.request).but(image=one.result.request.image)),
    )
    for end in ends:
        one.start_from(images.picture(picture((64, 64))))
        one.form.controls["mask"].editor.extend(right=32)
        assert repainted(one) == (own[0] or 16, own[1] or 4.0)
        press(one, "Generate")
        press(one, "Use as picture")
        assert repainted(one) == (own[0] or 16, own[1] or 4.0)  # the mask stays
        end()
        one.form.change(mask=mask)
        assert repainted(one) == own
    one.start_from(images.picture(picture((64, 64))))
    one.form.controls["mask"].editor.extend(right=32)
    one.form.controls["padding"]._take(24)
    one.form.controls["image"].take(images.picture(picture((64, 64), seed=5)))
    one.form.change(mask=mask)
    assert repainted(one) == (24, own[1])


def test_for_the_next_kernel_nothing_of_an_extension_is_written_down():
    one = panel()
    one.form.controls["mask"].editor.extend(right=32)
    asked = one.state()["inpaint"]
    assert (asked.padding, asked.feather) == (16, 4.0)  # where the picture is, too
    asked = one.lasting()["inpaint"]
    assert (asked.padding, asked.feather) == (None, 0.0)
