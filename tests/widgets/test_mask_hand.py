"""What mouse, pen, finger and keyboard do in the mask editor, and what is sent to be drawn."""

import ipycanvas.canvas
import ipywidgets
import numpy as np
import pytest
from helpers.mask_hand import same
from PIL import Image

from sdnb.widgets.masks.strokes import Brush, Invert, Polygon, Rectangle


@pytest.fixture
def messages(monkeypatch):
    """What is sent to the browser to draw: a message is a list of commands, and its buffers."""
    sent = []
    manager = ipycanvas.canvas._CANVAS_MANAGER
    monkeypatch.setattr(manager, "_send_custom", lambda c, b=(): sent.append((c, list(b))))
    return sent


def test_the_rectangle_and_the_lasso(editor, hand):
    editor.tool = "rectangle"
    hand.drag((20, 30), (50, 40), (80, 120))
    editor.tool = "lasso"
    hand.drag((100, 100), (200, 100), (200, 200), (150, 230))
    box, lasso = editor.strokes
    assert box == Rectangle((20, 30), (80, 120))
    assert isinstance(lasso, Polygon)
    assert same(editor.mask, box, lasso)
    assert editor.mask.getpixel((180, 150)) == 255


def test_a_polygon_by_clicks_ends_at_its_first_corner_or_with_enter(editor, hand):
    editor.tool = "lasso"
    corners = [(100, 100), (200, 100), (200, 200)]
    hand.click(*corners)
    assert editor.strokes == ()
    hand.click((101, 101))
    hand.click(*corners)
    hand.key("Enter")
    assert [len(stroke.points) for stroke in editor.strokes] == [3, 3]
    hand.click(*corners)
    hand.key("Escape")
    assert len(editor.strokes) == 2


@pytest.mark.parametrize("how", ["key", "button"])
def test_undo_first_drops_a_shape_that_is_set_in_part(editor, hand, how):
    undo = editor._toolbar.buttons["undo"]
    press = {"key": lambda: hand.key("z", ctrl=True), "button": undo.click}[how]
    hand.drag((40, 50), (90, 50))
    editor.tool = "lasso"
    hand.click((100, 100), (200, 100))
    press()
    assert len(editor.strokes) == 1
    hand.click((100, 200), (200, 200), (200, 220))
    hand.key("Enter")
    assert editor.strokes[1].points == ((100, 200), (200, 200), (200, 220))  # no corner of before
    press()
    press()
    assert editor.strokes == ()
    assert undo.disabled
    hand.click((100, 100))  # also the first thing that is drawn
    assert not undo.disabled
    press()
    assert undo.disabled


def test_leaving_the_canvas_ends_the_stroke_at_the_rim(editor, hand):
    hand.drag((200, 50), lift=False)
    hand.at("mouse_out", (262, 50))
    hand.at("mouse_move", (100, 200))  # back again, the button let go outside
    assert len(editor.strokes) == 1
    assert editor.mask.getpixel((255, 50)) == 255
    assert editor.mask.getpixel((150, 120)) == 0
    editor.tool = "rectangle"
    hand.drag((200, 100), lift=False)
    hand.at("mouse_out", (300, 300))
    assert editor.mask.getpixel((255, 255)) == 255


def test_a_canvas_that_is_hidden_under_the_pointer_ends_the_stroke_where_it_was(editor, hand):
    hand.drag((100, 50), (150, 50), lift=False)
    hand.event("mouse_out", x=None, y=None)  # its place in nothing: infinite, and so null in JSON
    assert editor.mask.getbbox()[2] < 200
    assert len(editor.strokes) == 1


def test_the_ring_is_where_the_pointer_is_and_nowhere_before_it_came(editor, hand, monkeypatch):
    rings, surface = [], editor._state.surface
    monkeypatch.setattr(surface, "ring", lambda *at: rings.append(at))
    monkeypatch.setattr(surface, "clear_top", rings.clear)

    def unseen(leave):
        leave()
        editor.brush = 30 if editor.brush != 30 else 40
        editor.tool = "eraser" if editor.tool == "brush" else "brush"
        editor.undo()
        return rings == []

    assert unseen(lambda: None)  # nobody was there
    assert unseen(editor._toolbar.buttons["closer"].click)
    editor._state.show_whole()
    hand.at("mouse_move", (100, 50))
    assert rings[-1][:2] == editor._state.view.to_canvas(100, 50)
    editor.brush = 50  # where it is, it follows the brush
    assert rings[-1][2] == 25 * editor._state.view.scale
    assert unseen(lambda: hand.at("mouse_out", (-1, 50)))
    hand.touch("touch_start", (40, 50))
    hand.touch("touch_move", (60, 50))
    assert unseen(lambda: hand.touch("touch_end"))
    for leave in ("Escape", "Tab"):
        hand.key("ArrowRight")
        assert rings
        assert unseen(lambda: hand.key(leave))  # noqa: B023 - called at once


def test_keys(editor, hand):
    hand.drag((40, 50), (90, 50))
    drawn = editor.mask.tobytes()
    hand.key("z", ctrl=True)
    assert editor.mask.getbbox() is None
    hand.key("Z", ctrl=True, shift=True)
    assert editor.mask.tobytes() == drawn
    hand.key("z", meta=True)
    hand.key("y", ctrl=True)
    assert editor.mask.tobytes() == drawn
    for key, tool in {
        "e": "eraser",
        "r": "rectangle",
        "l": "lasso",
        "h": "pan",
        "B": "brush",
    }.items():
        hand.key(key)
        assert editor.tool == tool
        assert [name for name, button in editor._toolbar.tools.items() if button.value] == [tool]
    size = editor.brush
    hand.key("]")
    assert editor.brush == round(size * 1.25) == editor._toolbar.size.value
    hand.key("[")
    assert editor.brush == round(round(size * 1.25) / 1.25)
    hand.key("i")
    assert editor.strokes[-1] == Invert()
    hand.key("Delete")
    assert editor.mask.getbbox() is None
    hand.key("F5")  # nothing


def test_the_brush_never_gets_stuck(editor, hand):
    for _ in range(40):
        hand.key("[")
    assert editor.brush == 1
    for _ in range(40):
        hand.key("]")
    assert editor.brush == editor._toolbar.size.track.max == 128


def test_keys_alone_draw(editor, hand):
    hand.key("ArrowRight")
    hand.key(" ")
    assert isinstance(editor.strokes[0], Brush)
    assert editor.mask.getpixel((128 + round(editor.brush / 4), 128)) == 255
    hand.key("r")
    hand.key(" ")
    for _ in range(8):
        hand.key("ArrowDown")
        hand.key("ArrowLeft")
    hand.key(" ")
    assert isinstance(editor.strokes[1], Rectangle)
    assert np.allclose(editor.strokes[1].end, (133 - 42 + 0.25, 170), atol=0.5)


def test_escape_and_tab_lead_out(editor, hand, monkeypatch):
    focused = []

    def send(widget, content, buffers=None):
        if content == {"do": "focus"}:
            focused.append(widget)

    monkeypatch.setattr(ipywidgets.Widget, "send", send)
    bar = editor._toolbar
    hand.key("Escape")
    hand.key("Tab")
    hand.key("Tab", shift=True)
    assert focused == [bar.tools["brush"], bar.upload.children[0], bar.latent]
    hand.drag((40, 50), (90, 50), lift=False)
    hand.key("Escape")  # takes the stroke back first
    assert len(focused) == 3
    assert editor.mask.getbbox() is None


def test_zoomed_in_the_pointer_is_where_it_seems(editor, hand):
    hand.at("mouse_move", (200, 60))
    for _ in range(5):
        hand.event("mouse_wheel", x=0, y=-100)
    assert editor._state.view.zoom == pytest.approx(1.2**5)
    assert np.allclose(editor._state.view.to_picture(800, 240), (200, 60))
    hand.drag((200, 60), (210, 70))
    assert np.allclose(editor.strokes[0].points, ((200, 60), (210, 70)))
    editor.tool = "pan"
    left = editor._state.view.left
    hand.event("mouse_down", x=500, y=500)
    hand.event("mouse_move", x=400, y=500)
    hand.event("mouse_up", x=400, y=500)
    assert editor._state.view.left == pytest.approx(left + 100 / editor._state.view.scale)
    hand.key("0")
    assert editor._state.view.zoom == 1
    assert len(editor.strokes) == 1


def test_one_finger_draws_and_two_zoom(editor, hand):
    hand.touch("touch_start", (40, 50))
    hand.touch("touch_move", (90, 50))
    hand.touch("touch_end")
    assert same(editor.mask, Brush(((40, 50), (90, 50)), editor.brush))
    hand.touch("touch_start", (100, 100))
    hand.touch("touch_start", (100, 100), (150, 100))  # the second finger: no stroke after all
    hand.touch("touch_move", (80, 100), (180, 100))
    hand.touch("touch_end")
    assert len(editor.strokes) == 1
    assert editor._state.view.zoom == pytest.approx(2)


def test_an_error_is_said_and_the_next_stroke_is_drawn(editor, hand, messages):
    def broken(_):
        raise RuntimeError("the panel is broken")

    editor.on_change(broken)
    hand.drag((40, 50), (90, 50))
    assert "the panel is broken" in editor._status.value
    editor.on_change(broken, remove=True)
    messages.clear()
    hand.drag((40, 150), (90, 150))
    assert len(messages) == 3
    assert len(editor.strokes) == 2


def test_a_move_is_one_small_message(hand, messages):
    hand.drag((40, 50), lift=False)
    hand.at("mouse_move", (52, 55))
    assert len(messages) == 2
    commands, buffers = messages[-1]
    assert len(str(commands)) + sum(len(bytes(b)) for b in buffers) < 6000


def test_a_browser_that_comes_back_is_given_everything(editor, hand, messages):
    hand.drag((60, 60), (150, 90))
    hand.at("mouse_out", (150, 90))
    messages.clear()
    hand.event("client_ready")
    ((commands, buffers),) = messages
    names = [ipycanvas.canvas._CMD_LIST[command[0]] for command in commands]
    assert names.count("drawImage") == 2  # the picture, decoded and shown
    runs = buffers[0].shape[0] if hasattr(buffers[0], "shape") else len(buffers[0])
    assert runs == sum(1 for row in np.asarray(editor.mask) if row.any())


def test_an_exception_while_drawing_mutes_nothing(editor, messages):
    surface = editor._state.surface

    def fail():
        with surface.batch():
            surface.ring(1, 2, 3)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert len(messages) == 1
    surface.ring(1, 2, 3)
    assert len(messages) == 2
    assert not ipycanvas.canvas._CANVAS_MANAGER._caching


def test_inverted_the_brush_still_marks_what_is_made_anew(editor, hand):
    editor.invert = True
    hand.drag((40, 50), (90, 50))
    assert editor.strokes[0].white is False
    editor.mask = Image.new("L", (256, 256), 255)
    hand.drag((40, 50), (90, 50))
    assert editor.strokes[-1].white is False
    shown = editor._state.in_effect((0, 0, 256, 256))
    assert shown.getpixel((60, 50)) == 255
    assert shown.getpixel((60, 200)) == 0
