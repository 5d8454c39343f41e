"""Where things are on the canvas, and a mask as rectangles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor

from sdnb import images
from sdnb.images import canvas
from sdnb.request import Request, Settings
from sdnb.widgets.masks import veil
from sdnb.widgets.masks.editor import MaskEditor
from sdnb.widgets.masks.preview import STRENGTH, VEIL, veil_over, veiled
from sdnb.widgets.masks.strokes import Brush
from sdnb.widgets.masks.viewport import Viewport, fitted

sides = st.integers(1, 3000)
zooms = st.lists(st.tuples(st.floats(0.3, 3), st.floats(0, 1), st.floats(0, 1)), max_size=6)


@given(sides, sides)
def test_a_picture_fits_the_cell_and_keeps_its_proportions(width, height):
    page = fitted((width, height), 700)
    assert max(page) == min(700, max(512, width, height))
    scale = max(page) / max(width, height)
    assert abs(page[0] - width * scale) <= 0.5 or page[0] == 1
    assert abs(page[1] - height * scale) <= 0.5 or page[1] == 1


def moved(width, height, steps):
    page = fitted((width, height), 700)
    view = Viewport((width, height), (page[0] * 2, page[1] * 2))
    for factor, x, y in steps:
        view = view.zoomed(factor, x * view.canvas[0], y * view.canvas[1]).panned(9 * x, -9 * y)
    return view


@given(st.integers(8, 2000), st.integers(8, 2000), zooms, st.floats(0, 1), st.floats(0, 1))
def test_there_and_back(width, height, steps, x, y):
    view = moved(width, height, steps)
    at = (x * view.canvas[0], y * view.canvas[1])
    back = view.to_canvas(*view.to_picture(*at))
    assert np.allclose(back, at, atol=1e-6)
    assert 1 <= view.zoom <= 32
    for value, side in ((view.left, width), (view.top, height)):  # never beyond the rim
        assert -1e-9 <= value <= side * (1 - 1 / view.zoom) + 1e-9


def test_the_picture_is_held_fast_under_the_pointer():
    view = Viewport((512, 512), (1024, 1024))
    at = (300.0, 700.0)
    assert np.allclose(view.zoomed(2, *at).to_picture(*at), view.to_picture(*at))


def test_a_box_of_the_canvas_covers_the_box_it_came_from():
    view = moved(1088, 700, [(2.3, 0.2, 0.9), (1.7, 0.5, 0.1)])
    x, y = (round(n) for n in view.to_picture(200, 200))
    box = (x, y, x + 17, y + 5)
    left, top, right, bottom = view.behind(view.seen(box))
    assert left <= box[0]
    assert top <= box[1]
    assert right >= box[2]
    assert bottom >= box[3]


def painted(layers, size):
    """The layers, one upon the other."""
    total = np.zeros(size[::-1])
    for layer in layers:
        for x, y, width in zip(layer.x, layer.y, layer.width, strict=True):
            total[y : y + layer.height, x : x + width] += layer.strength
    return total


def seen(mask):
    """How much of the veil is over a mask of these values, 0 to 1: never less than three tenths
    where anything is made anew.
    """
    return np.where(mask > 0, 0.3 + 0.7 * mask, 0)


@given(st.integers(0, 2**31))
def test_the_layers_add_up_to_the_mask(seed):
    generator = np.random.default_rng(seed)
    values = generator.choice([0, 0, 8, 90, 255], (20, 31)).astype(np.uint8)
    total = painted(veil.layers(Image.fromarray(values), (0, 0)), (31, 20))
    assert np.abs(total - seen(values / 255)).max() <= 0.7 / 12 + 1e-9


def test_a_black_and_white_mask_is_one_layer_and_exact():
    values = np.zeros((40, 50), np.uint8)
    values[5:30, 7:44] = 255
    found = veil.layers(Image.fromarray(values), (3, 2))
    assert len(found) == 1
    assert np.array_equal(painted(found, (60, 50))[2:42, 3:53], values / 255)


@given(st.floats(1, 4), st.floats(-300, 0))
def test_on_the_canvas_neighbours_neither_overlap_nor_leave_a_gap(scale, start):
    whole = Image.new("L", (60, 40), 255)
    total = np.zeros((200, 300), int)
    for layer in veil.layers(whole, (0, 0)):
        rectangles = zip(*layer.placed((scale, scale), (start, 0.0)), strict=True)
        for left, top, width, height in rectangles:
            total[top : top + height, max(0, left) : max(0, left + width)] += 1
    right, bottom = max(0, round(60 * scale + start)), round(40 * scale)
    assert (total[:bottom, :right] == 1).all()
    assert total.sum() == bottom * right


def test_cells_are_means_and_a_noisy_mask_is_shown_coarser():
    values = np.random.default_rng(0).choice([0, 255], (512, 512)).astype(np.uint8)
    found = veil.layers(Image.fromarray(values), (0, 0))
    assert sum(layer.x.size for layer in found) <= 40_000
    assert found[0].height > 1
    whole = painted(veil.layers(Image.fromarray(values), (0, 0), 64), (512, 512))
    means = values.reshape(8, 64, 8, 64).mean((1, 3)) / 255
    assert np.abs(whole[::64, ::64] - seen(means)).max() <= 0.7 / 12 + 0.003


@pytest.mark.parametrize("width", [9, 10, 12, 30])
@pytest.mark.parametrize("invert", [False, True])
def test_all_that_a_request_makes_anew_is_seen_and_counted(width, invert):
    """Under a feather of 12, a stroke of 9 pixels has at most a tenth of the mask's strength."""
    editor = MaskEditor(Image.new("RGB", (256, 256)))
    editor.draw(Brush(((20, 60), (230, 60), (30, 200)), width))
    editor.feather, editor.invert = 12, invert
    asked = Request(
        image=images.picture(editor.image), mask=images.mask(editor.mask), feather=12, invert=invert
    )
    mask = np.asarray(canvas.fit(asked.resolved(Settings()))[0].mask)
    shown = painted(veil.layers(editor._state.in_effect((0, 0, 256, 256)), (0, 0)), (256, 256))
    assert np.array_equal(shown >= 0.3, mask > 0)
    assert (mask > 0).mean() > 0.02
    assert f"<b>{(mask > 0).mean():.1%}</b> is repainted" in editor._status.value


@pytest.mark.parametrize("drawn", [(255, 4), (90, 60)])
def test_a_feather_that_leaves_nothing_says_so(drawn):
    """A thin line, and a wide grey one: both are gone under this feather."""
    value, width = drawn
    editor = MaskEditor(Image.new("RGB", (256, 256)))
    mask = Image.new("L", (256, 256))
    mask.paste(value, (20, 100, 230, 100 + width))
    editor.mask = mask
    assert "wider" not in editor._status.value
    editor.feather = 24
    assert "<b>0.0%</b> is repainted" in editor._status.value
    assert "the feather is wider than what is painted" in editor._status.value
    asked = Request(image=images.picture(editor.image), mask=images.mask(editor.mask), feather=24)
    found, notes = canvas.fit(asked.resolved(Settings()))
    assert found.mask.getbbox() is None
    assert "A feather of 24 pixels is wider" in " ".join(notes)


def test_what_a_request_takes_for_black_is_not_seen():
    editor = MaskEditor(Image.new("RGB", (64, 64)))
    editor.mask = Image.new("L", (64, 64), 7)  # a JPEG's noise
    assert veil.layers(editor._state.in_effect((0, 0, 64, 64)), (0, 0)) == []
    assert "<b>0.0%</b>" in editor._status.value


@pytest.mark.parametrize(
    ("colour", "usual"),
    [("white", True), ("black", True), ("teal", True), ("pink", False), ("crimson", False),
     ("orchid", False)],
)  # fmt: skip
def test_the_veil_is_seen_on_any_picture(colour, usual):
    """What it covers becomes another colour, by 93 of 441 at least."""
    picture = Image.new("RGB", (64, 64), colour)
    ink = veil_over(picture)
    assert (ink.colour == VEIL) is usual
    bare, over = (np.array(ImageColor.getrgb(each), float) for each in (colour, ink.colour))
    assert np.linalg.norm(over - bare) * ink.strength > 0.55 * 170
    half = Image.new("RGB", (64, 64), "teal")
    half.paste(colour, (0, 0, 64, 8))
    assert veil_over(half).colour == VEIL  # there is little of it


def test_the_still_picture_has_the_veil_where_the_mask_is():
    import io

    mask = Image.new("L", (64, 64))
    mask.paste(255, (32, 0, 64, 64))
    mask.paste(8, (32, 0, 64, 16))
    made = np.asarray(Image.open(io.BytesIO(veiled(Image.new("RGB", (64, 64)), mask, (64, 64)))))
    expected = np.array([int(VEIL[k : k + 2], 16) for k in (1, 3, 5)]) * STRENGTH
    assert np.abs(made[32, 60] - expected).max() <= 6  # JPEG
    assert np.abs(made[4, 60] - expected * seen(8 / 255)).max() <= 6
    assert made[32, 4].max() <= 6
