"""The mask editor without a browser: a value, what is seen of it, what it weighs."""

import sys
import time

import numpy as np
import pytest
from helpers.mask_hand import Hand, picture, same, uploaded
from helpers.pictures import Result
from PIL import Image

import sdnb
from sdnb import images
from sdnb.images import canvas
from sdnb.request import Request, Settings
from sdnb.widgets.masks import notice
from sdnb.widgets.masks.editor import MaskEditor
from sdnb.widgets.masks.strokes import Brush, Rectangle

# -- a value ------------------------------------------------------------------------------------


def test_it_is_a_value_at_once(editor, hand):
    assert editor.mask.mode == "L"
    assert editor.mask.size == (256, 256)
    assert editor.mask.getbbox() is None
    editor.brush = 30
    hand.drag((40, 50), (90, 50), lift=False)
    line = Brush(((40, 50), (90, 50)), 30)
    assert same(editor.mask, line)  # with the brush still down
    hand.at("mouse_up", (90, 50))
    assert same(editor.mask, line)
    assert editor.strokes == (line,)


@pytest.mark.parametrize("size", [(64, 96), (512, 512), (1088, 640), (1600, 1999)])
@pytest.mark.slow
def test_strokes_are_exact_in_pixels_of_any_picture(size):
    editor = MaskEditor(picture(size))
    points = tuple((size[0] * f, size[1] * f * 0.9) for f in (0.25, 0.5, 0.75))
    Hand(editor).drag(*points)
    drawn = editor.strokes[0]
    assert np.allclose(drawn.points, points, atol=1e-9)
    assert same(editor.mask, Brush(drawn.points, editor.brush))


def test_it_takes_what_a_request_takes_and_a_result(tmp_path):
    made = picture()
    result = Result((made,), Request())
    path = tmp_path / "a.png"
    made.save(path)
    for source in (made, np.asarray(made), path, str(path), path.read_bytes(), result):
        assert MaskEditor(source).image.tobytes() == made.tobytes()
    with pytest.raises(FileNotFoundError):
        MaskEditor(tmp_path / "b.png")


def test_a_mask_is_assigned_undone_and_not_taken_twice(editor):
    mask = Image.fromarray((np.indices((256, 256)).sum(0) % 256).astype(np.uint8))
    editor.mask = mask
    assert editor.mask.tobytes() == mask.tobytes()
    editor.mask = np.asarray(mask)  # the same again
    assert len(editor.strokes) == 1
    editor.undo()
    assert editor.mask.getbbox() is None
    editor.redo()
    assert editor.mask.tobytes() == mask.tobytes()
    editor.mask = None
    assert editor.mask.getbbox() is None
    editor.undo()
    assert editor.mask.tobytes() == mask.tobytes()


def test_a_mask_of_another_size_is_resized_and_said(editor):
    editor.mask = Image.new("L", (128, 64), 255)
    assert editor.mask.getextrema() == (255, 255)
    assert "128x64" in editor._status.value


def test_a_picture_with_an_erased_part_is_a_mask_and_said(editor):
    erased = editor.image.convert("RGBA")
    erased.paste((0, 0, 0, 0), (10, 20, 40, 50))
    editor.mask = erased
    assert editor.mask.getbbox() == (10, 20, 40, 50)
    assert "erased part" in editor._status.value


def test_another_picture_of_the_same_size_keeps_the_mask(editor, hand):
    hand.drag((40, 50), (90, 50))
    before = editor.mask.tobytes()
    editor.image = picture(seed=1)
    assert editor.mask.tobytes() == before
    editor.undo()
    assert editor.mask.getbbox() is None


def test_another_picture_of_another_size_clears_it_and_says_so(editor, hand):
    hand.drag((40, 50), (90, 50))
    editor.image = picture((128, 320))
    assert editor.mask.size == (128, 320)
    assert editor.mask.getbbox() is None
    assert editor.strokes == ()
    assert "cleared" in editor._status.value
    hand.drag((64, 160), (64, 200))
    assert same(editor.mask, *editor.strokes)
    assert editor.mask.getbbox() is not None


def test_transparency_becomes_the_mask():
    rgba = picture().convert("RGBA")
    alpha = Image.new("L", rgba.size, 255)
    alpha.paste(0, (10, 20, 60, 90))
    rgba.putalpha(alpha)
    editor = MaskEditor(rgba)
    assert editor._toolbar.buttons["alpha"].layout.display is None
    assert editor._state.picture.getpixel((20, 30)) == (255, 255, 255)  # as a request has it
    editor.use_alpha()
    assert same(editor.mask, Rectangle((10, 20), (60, 90)))
    other = MaskEditor(picture())
    assert other._toolbar.buttons["alpha"].layout.display == "none"
    with pytest.raises(ValueError, match="no transparency"):
        other.use_alpha()
    other.use_alpha(rgba)
    assert same(other.mask, Rectangle((10, 20), (60, 90)))


def test_it_saves_and_takes_a_file(editor, hand, tmp_path):
    hand.drag((40, 50), (90, 50))
    path = editor.save(tmp_path / "mask.png")
    with pytest.raises(ValueError, match=r"does not end in \.png"):
        editor.save(tmp_path / "mask.jpg")
    other = MaskEditor(picture())
    other._toolbar.upload.children[0].value = uploaded(path.read_bytes())
    assert other.mask.tobytes() == editor.mask.tobytes()
    assert other._toolbar.upload.children[0].value == ()  # the file does not stay


def test_export_offers_a_link(editor, hand):
    hand.drag((40, 50), (90, 50))
    editor._toolbar.buttons["export"].click()
    assert 'download="mask.png" href="data:image/png;base64,' in editor._status.value
    hand.drag((140, 50), (190, 50))
    assert "base64" not in editor._status.value


def test_wrong_values_are_refused_in_words_and_change_nothing(editor):
    with pytest.raises(ValueError, match=r"feather=600.0 is not a finite number from 0 to 512"):
        editor.feather = 600
    with pytest.raises(TypeError, match="widht"):
        editor.target = {"widht": 512}
    with pytest.raises(ValueError, match=r"brush=0.0 is not"):
        editor.brush = 0
    assert (editor.feather, editor.target, editor.brush) == (0, {}, 21)


def test_panels_hear_of_changes(editor, hand):
    heard = []
    editor.on_change(lambda changed: heard.append(changed.mask.getbbox()))
    hand.drag((40, 50), (90, 50), (90, 90))
    assert len(heard) == 1
    assert heard[0] is not None
    editor.feather, editor.invert = 4, True
    editor.undo()
    assert len(heard) == 4
    editor.latent = True
    editor.tool = "eraser"
    assert len(heard) == 4


# -- what is seen -------------------------------------------------------------------------------


def test_feather_and_invert_are_shown_as_the_request_will_have_them(editor, hand):
    hand.drag((60, 60), (150, 90))
    editor.feather, editor.invert = 12, True
    request = Request(
        image=images.picture(editor.image), mask=images.mask(editor.mask), feather=12, invert=True
    )
    found, _ = canvas.fit(request.resolved(Settings()))
    shown = editor._state.in_effect((0, 0, 256, 256))
    assert shown.tobytes() == found.mask.tobytes()
    for box in ((30, 40, 90, 100), (0, 0, 20, 256), (140, 80, 256, 131)):  # a part as in the whole
        assert editor._state.in_effect(box).tobytes() == shown.crop(box).tobytes()
    editor.latent = True
    latent, box = editor._state.latent_mask()
    assert latent.tobytes() == found.latent_mask().tobytes()
    assert box == (0, 0, 256, 256)


@pytest.mark.parametrize(
    ("size", "target", "cells", "box"),
    [
        ((250, 131), {}, (32, 17), (0, 0, 256, 136)),  # padded to multiples of 8
        ((640, 480), {"width": 320, "height": 240}, (40, 30), (0, 0, 640, 480)),
    ],
)
def test_the_latent_mask_lies_where_the_model_has_it(size, target, cells, box):
    editor = MaskEditor(picture(size))
    editor.target = target
    editor.draw(Rectangle((16, 16), (80, 80)))
    latent, where = editor._state.latent_mask()
    assert latent.size == cells
    assert where == box
    across = (box[2] - box[0]) / cells[0]
    assert latent.getpixel((round(40 / across), round(40 / across))) == 255


def test_only_masked_shows_the_cells_of_the_part(editor):
    editor.draw(Rectangle((100, 100), (140, 140)))
    editor.target = {"padding": 4, "width": 64, "height": 64}
    latent, box = editor._state.latent_mask()
    assert latent.size == (8, 8)
    assert box == (96, 96, 144, 144)


def test_what_has_no_latent_mask_says_why():
    editor = MaskEditor(picture((40, 40)))  # too small to be generated
    editor.latent = True
    assert "The model would see no mask: image is 40x40 pixels" in editor._status.value
    editor.target = {"width": 64, "height": 64}
    assert "The model would see no mask" not in editor._status.value


def weight(editor):
    """Bytes of everything that a browser is given of the editor's widgets."""
    surface, seen, total = editor._state.surface, set(), 0
    waiting = [editor, surface._store, surface._source]
    while waiting:
        widget = waiting.pop()
        if widget.model_id not in seen:
            seen.add(widget.model_id)
            waiting += [*getattr(widget, "children", ()), *getattr(widget, "_canvases", ())]
            for value in widget.get_state().values():
                total += len(value) if isinstance(value, bytes) else len(repr(value))
    return total


@pytest.mark.slow
def test_widget_state_is_small():
    small, large = (MaskEditor(picture((side, side))) for side in (512, 1088))
    for editor in (small, large):
        assert len(editor._fallback._picture.value) < 150_000
        Hand(editor).event("client_ready")
    bare = weight(small) - len(small._state.surface._source.value)
    assert bare < 60_000
    assert weight(small) < 200_000
    assert weight(large) < 450_000
    large.mask = np.random.default_rng(0).integers(0, 256, (1088, 1088)).astype(np.uint8)
    assert weight(large) < 450_000
    huge = MaskEditor(picture((4096, 1024)))
    assert weight(huge) < 450_000


# -- where one cannot draw ----------------------------------------------------------------------


def test_without_ipycanvas_it_says_so_and_takes_a_file(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipycanvas", None)
    monkeypatch.delitem(sys.modules, "sdnb.widgets.masks.surface", raising=False)
    editor = MaskEditor(picture())
    assert "ipycanvas" in editor._fallback.children[0].value
    assert "pip install" in editor._fallback.children[0].value
    button, shown = editor._fallback.children[1:]
    before = bytes(shown.value)
    mask = images.mask(Image.new("L", (256, 256), 255))
    button.children[0].value = uploaded(mask)
    assert editor.mask.getextrema() == (255, 255)
    assert bytes(shown.value) != before
    editor.undo()
    assert editor.mask.getbbox() is None
    editor._toolbar.buttons["invert"].click()
    assert editor.mask.getextrema() == (255, 255)
    assert editor._toolbar.tools["brush"].disabled


def test_a_silent_browser_is_noticed_and_forgiven(monkeypatch):
    monkeypatch.setattr(notice, "ANSWER_SECONDS", 0.02)
    editor = MaskEditor(picture())
    assert len(editor._fallback.children) == 1  # the picture alone, while one waits
    editor.set_trait("_view_count", 1)
    editor._fallback._timer.join(60)
    assert editor._toolbar.tools["brush"].disabled
    assert "has not answered" in editor._fallback.children[0].value
    Hand(editor).event("client_ready")
    assert editor._fallback.layout.display == "none"
    assert len(editor._fallback.children) == 0
    assert not editor._toolbar.tools["brush"].disabled
    assert editor._stage.children == (editor._state.surface.widget,)


def test_a_browser_that_answers_is_not_complained_of(monkeypatch):
    monkeypatch.setattr(notice, "ANSWER_SECONDS", 0.02)
    editor = MaskEditor(picture())
    Hand(editor).event("client_ready")
    editor.set_trait("_view_count", 1)
    time.sleep(0.05)
    assert editor._fallback.layout.display == "none"


def test_it_is_public_and_shows_itself_shortly(editor):
    assert sdnb.MaskEditor is MaskEditor
    assert repr(editor) == "MaskEditor(256x256, 0.0% white, 0 strokes)"
