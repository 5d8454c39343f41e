"""Drawing in colours: what a fill fills is what scipy labels, undo is exact, keys as on a mask."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.mask_hand import Hand, picture
from helpers.widget_hands import alert, press, read
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy import ndimage

from sdnb.images.outpaint import Sides
from sdnb.widgets.masks import colours, veil
from sdnb.widgets.masks.colour_canvas import ColourCanvas
from sdnb.widgets.masks.colours import ColourHistory
from sdnb.widgets.masks.drawing_sheet import Sheet
from sdnb.widgets.masks.flood import flooded
from sdnb.widgets.masks.history import rasterise
from sdnb.widgets.masks.strokes import (
    Brush,
    Clear,
    Extension,
    Imported,
    Invert,
    Polygon,
    Rectangle,
    region,
)

SIZE = (40, 28)
RED, BLUE = (255, 0, 0), (0, 0, 255)

quick = settings(max_examples=60, deadline=None)
coordinate = st.integers(-80, 400).map(lambda eighths: eighths / 8)
points = st.tuples(coordinate, coordinate)
paints = st.sampled_from([RED, BLUE, (255, 255, 255), (1, 2, 3)])
brushes = st.builds(
    Brush, st.lists(points, min_size=1, max_size=4).map(tuple), st.floats(1, 20), st.booleans(),
    paints,
)  # fmt: skip
rectangles = st.builds(Rectangle, points, points, st.booleans(), paints)
polygons = st.builds(
    Polygon, st.lists(points, min_size=3, max_size=5).map(tuple), st.booleans(), paints
)
noises = st.integers(0, 2**31).map(
    lambda seed: colours.imported(
        np.random.default_rng(seed).integers(0, 256, (*SIZE[::-1], 4), np.uint8), SIZE
    )[0]
)
strokes = st.one_of(brushes, rectangles, polygons, noises, st.builds(Clear))


@pytest.fixture
def canvas():
    return ColourCanvas(size=(256, 256))


@pytest.fixture
def hand(canvas):
    return Hand(canvas)


def drawn(canvas):
    return np.asarray(canvas.drawing)


# -- what a fill covers -------------------------------------------------------------------------


@quick
@given(
    st.integers(0, 2**31), st.integers(1, 5), st.integers(0, 39), st.integers(0, 27),
    st.floats(0, 0.99),
)  # fmt: skip
def test_a_fill_covers_what_scipy_labels(seed, few, x, y, within):
    values = np.random.default_rng(seed).integers(0, few, SIZE[::-1], np.uint8)
    pixels = np.dstack([values, values * 0, values])
    labels, _ = ndimage.label(values == values[y, x])
    box, inside = flooded(pixels, (x + within, y + within))
    found = np.zeros(values.shape, bool)
    found[box[1] : box[3], box[0] : box[2]] = inside
    assert (found == (labels == labels[y, x])).all()
    for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
        assert side.any()  # the box is as small as can be


def test_a_fill_of_alike_colours_covers_what_pillow_floods():
    image = picture((160, 120), 3)
    box, inside = flooded(np.asarray(image), (90.5, 51.5), 60)
    near = np.abs(np.asarray(image).astype(int) - np.asarray(image)[51, 90]).max(-1) <= 60
    # Pillow's threshold is of the channels' sum: it floods a picture of near and far instead.
    flood = Image.fromarray(near.astype(np.uint8)).copy()
    ImageDraw.floodfill(flood, (90, 51), 2)
    found = np.zeros(near.shape, bool)
    found[box[1] : box[3], box[0] : box[2]] = inside
    assert 20 < found.sum() < found.size
    assert (found == (np.asarray(flood) == 2)).all()


def test_a_spiral_is_filled_to_its_end():
    spiral = np.zeros((201, 201), np.uint8)
    for ring in range(0, 100, 2):
        spiral[ring, ring : 201 - ring] = spiral[200 - ring, ring : 201 - ring] = 1
        spiral[ring : 201 - ring, ring] = spiral[ring : 201 - ring, 200 - ring] = 1
        spiral[ring + 1, ring] = 0  # a gap: from one ring to the next
        spiral[ring + 2 if ring < 98 else ring, ring + 1] = 1
    labels, _ = ndimage.label(spiral)
    box, inside = flooded(spiral[..., None], (0.5, 0.5))
    assert inside.sum() == (labels == labels[0, 0]).sum() > 1000
    assert box[0] == box[1] == 0


def test_outside_the_picture_nothing_is_filled(canvas):
    for point in ((-0.5, 8), (256, 8), (8, -3), (8, 256.5)):
        canvas.fill(point)
        canvas.pick(point)
    assert (canvas.strokes, canvas.colour) == ((), "#000000")


# -- pixels, undo and redo ------------------------------------------------------------------------


@quick
@given(st.lists(brushes | rectangles | polygons, max_size=5))
def test_what_is_drawn_in_colours_is_drawn_where_a_mask_is(some):
    history = ColourHistory(SIZE)
    for stroke in some:
        history.apply(stroke)
    assert history.mask.tobytes() == rasterise(some, SIZE).tobytes()
    expected = np.zeros((*SIZE[::-1], 4), np.uint8)
    for stroke in some:
        covered = np.asarray(rasterise([replace(stroke, white=True)], SIZE)) > 0
        expected[covered] = (*stroke.colour, 255) if stroke.white else 0
    assert (np.asarray(history.picture) == expected).all()


@quick
@given(st.lists(strokes | st.sampled_from(["undo", "redo", "fill"]), max_size=12))
def test_undo_and_redo_are_exact(asked):
    history, done, undone = ColourHistory(SIZE), [], []

    def now():
        return history.picture.tobytes()

    for act in asked:
        before = now()
        if act == "undo":
            history.undo()
            if done:
                undone.append(before)
                assert now() == done.pop()
        elif act == "redo":
            history.redo()
            if undone:
                assert now() == undone.pop()
                done.append(before)
        else:
            history.apply(history.fill((20, 14), RED, None) if act == "fill" else act)
            done.append(before)
            undone.clear()
    assert (history.can_undo, history.can_redo) == (bool(done), bool(undone))


def test_a_drawing_has_no_strokes_of_a_mask(canvas):
    with pytest.raises(TypeError, match="Invert"):
        canvas.draw(Invert())
    with pytest.raises(TypeError, match="Extension"):
        canvas.draw(Extension(Sides(8, 0, 0, 0), 0))
    assert canvas.is_empty


@quick
@given(st.integers(0, 2**31), st.integers(1, 4))
def test_the_page_is_given_the_drawing_pixel_by_pixel(seed, few):
    generator = np.random.default_rng(seed)
    table = generator.integers(0, 256, (few, 4), np.uint8)
    table[0] = 0
    pixels = table[generator.integers(0, few, SIZE[::-1])]
    runs = veil.runs(Image.fromarray(pixels), (3, 2))
    seen = np.zeros((SIZE[1] + 2, SIZE[0] + 3, 4), np.uint8)
    for x, y, width, colour, alpha in zip(
        runs.x, runs.y, runs.width, runs.colour, runs.alpha, strict=True
    ):
        assert not seen[y, x : x + width].any()  # no pixel is drawn twice
        seen[y, x : x + width] = (*colour, round(alpha * 255))
    pixels[pixels[..., 3] == 0] = 0
    assert (seen[2:, 3:] == pixels).all()


def test_a_drawing_of_too_many_colours_goes_to_the_page_as_a_picture():
    noise = np.random.default_rng(0).integers(1, 256, (256, 256, 4), np.uint8)
    assert veil.runs(Image.fromarray(noise), (0, 0)) is None
    assert veil.runs(Image.fromarray(noise[:64]), (0, 0)) is not None


# -- a value --------------------------------------------------------------------------------------


def test_the_drawing_is_a_value(canvas):
    assert (canvas.drawing.mode, canvas.drawing.size) == ("RGBA", (256, 256))
    assert canvas.is_empty
    assert canvas.picture.getcolors() == [(256 * 256, (255, 255, 255))]
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 4), np.uint8)
    pixels[:99, :, 3] = 0
    pixels[pixels[..., 3] == 0] = 0
    canvas.drawing = Image.fromarray(pixels)
    canvas.drawing = Image.fromarray(pixels)  # an equal one is no stroke
    assert (drawn(canvas) == pixels).all()
    assert len(canvas.strokes) == 1
    rgb = picture()
    canvas.drawing = rgb
    assert canvas.picture.tobytes() == rgb.tobytes()
    canvas.undo()
    assert (drawn(canvas) == pixels).all()
    canvas.drawing = None
    assert canvas.is_empty


def test_what_is_read_is_the_readers_own(canvas):
    canvas.draw(Rectangle((8, 8), (24, 24)))
    before = drawn(canvas).copy()
    for found in (canvas.drawing, canvas.picture, canvas.painted):
        found.paste(0, (0, 0, 256, 256))
    assert (drawn(canvas) == before).all()


def test_another_size_is_resized_and_said(canvas):
    canvas.drawing = Image.new("RGB", (64, 32), "red")
    assert drawn(canvas).reshape(-1, 4).tolist() == [[255, 0, 0, 255]] * 256 * 256
    assert "64x32: resized to the canvas's 256x256" in read(canvas)


def test_a_colour_is_a_name_or_digits_and_nothing_else(canvas):
    canvas.colour = "Red"
    assert canvas.colour == "#ff0000"
    with pytest.raises(ValueError, match=r"colour='reddish' is no colour: write #rrggbb"):
        canvas.colour = "reddish"
    with pytest.raises(ValueError, match="width=9000"):
        ColourCanvas(size=(9000, 64))


# -- a hand and keys ----------------------------------------------------------------------------


def test_a_hand_draws_fills_picks_erases_and_undoes_by_keys(canvas, hand):
    canvas.colour, canvas.brush = "#ff0000", 8
    hand.drag((40, 40), (200, 40), (200, 200), (40, 200), (40, 40))
    ring = drawn(canvas)[..., 3] > 0
    canvas.colour = "blue"
    hand.key("g")
    hand.click((120, 120))
    labels, _ = ndimage.label(~ring)
    inside = labels == labels[120, 120]
    assert (drawn(canvas)[inside] == (*BLUE, 255)).all()
    assert (drawn(canvas)[..., 3] > 0).sum() == (ring | inside).sum()
    hand.key("i")
    hand.click((40, 120))
    assert (canvas.colour, canvas.tool) == ("#ff0000", "fill")  # the tool of before
    hand.key("e")
    canvas.brush = 20
    hand.drag((120, 120), (140, 120))
    hole = np.asarray(rasterise([Brush(((120, 120), (140, 120)), 20)], (256, 256))) > 0
    assert (drawn(canvas)[hole] == 0).all()
    hand.key("z", ctrl=True)
    assert (drawn(canvas)[inside] == (*BLUE, 255)).all()
    hand.key("z", ctrl=True)
    assert (drawn(canvas)[..., 3] > 0).sum() == ring.sum()
    hand.key("y", ctrl=True)
    assert (drawn(canvas)[inside] == (*BLUE, 255)).all()
    hand.key("Delete")
    assert canvas.is_empty


def test_a_colour_that_is_taken_ends_erasing(canvas, hand):
    hand.key("e")
    canvas.palette.swatches["#1f5fd0"].click()
    assert (canvas.tool, canvas.colour) == ("brush", "#1f5fd0")
    canvas.palette.picker.value = "#123456"
    hand.drag((20, 20), (60, 20))
    assert canvas.strokes[-1].colour == (0x12, 0x34, 0x56)
    assert canvas.palette.picker.value == "#123456"


def test_shapes_of_a_hand_have_the_colour(canvas, hand):
    canvas.colour = "#00ff00"
    hand.key("r")
    hand.drag((16, 16), (32, 48))
    assert canvas.strokes == (Rectangle((16, 16), (32, 48), colour=(0, 255, 0)),)
    assert (drawn(canvas)[16:48, 16:32] == (0, 255, 0, 255)).all()


# -- on a picture -------------------------------------------------------------------------------


def test_on_a_picture_its_colours_bound_a_fill_and_are_picked():
    below = Image.new("RGB", (128, 128), (100, 150, 200))
    below.paste((240, 30, 30), (32, 32, 64, 64))
    below.putpixel((100, 100), (110, 140, 200))  # as good as the ground
    canvas = ColourCanvas(below)
    canvas.colour = "yellow"
    canvas.fill((5, 5))
    painted = np.asarray(canvas.painted) > 0
    assert not painted[32:64, 32:64].any()
    assert painted.sum() == 128 * 128 - 32 * 32
    assert canvas.picture.getpixel((40, 40)) == (240, 30, 30)
    canvas.pick((40, 40))
    assert canvas.colour == "#f01e1e"
    canvas.undo()
    assert canvas.picture.tobytes() == below.tobytes()


def test_another_picture_begins_anew_and_a_sheet_has_a_drawing():
    canvas = ColourCanvas(size=(256, 128))
    canvas.draw(region(((0, 0, 8, 8), np.ones((8, 8), bool)), RED))
    kept = canvas.drawing
    canvas.begin(picture((64, 96)))
    assert canvas.is_empty
    assert canvas.size == (64, 96)
    canvas.begin((256, 128), kept)
    assert canvas.drawing.tobytes() == kept.tobytes()
    assert isinstance(canvas.strokes[0], Imported)
    assert canvas.picture.getpixel((100, 100)) == (255, 255, 255)


# -- a photograph to trace ------------------------------------------------------------------------


def test_a_traced_photo_is_seen_and_picked_and_no_part_of_the_drawing():
    sheet, told = Sheet((128, 64)), []
    sheet.draw(Rectangle((60, 10), (70, 20)))
    sheet.on_change(told.append)
    photo = Image.new("RGB", (300, 300), (200, 40, 40))
    sheet.trace = photo
    sheet.trace_strength = 0.5
    shown = sheet._state.picture
    assert np.abs(np.subtract(shown.getpixel((64, 32)), (227.5, 147.5, 147.5))).max() <= 1
    assert shown.getpixel((20, 32)) == (255, 255, 255)  # the whole photo, in the middle
    assert sheet.picture.getpixel((64, 40)) == (255, 255, 255)
    assert told == []  # what is drawn has not changed
    sheet.pick((64, 40))
    assert sheet.colour == "#c82828"
    sheet.draw_trace()
    assert sheet.picture.getpixel((64, 40)) == (200, 40, 40)
    assert sheet.picture.getpixel((65, 15)) == (0, 0, 0)  # below what is drawn
    sheet.undo()
    assert sheet.drawing.getbbox() == (60, 10, 70, 20)
    sheet.trace = None
    assert sheet._state.picture.getcolors() == [(128 * 64, (255, 255, 255))]
    with pytest.raises(ValueError, match="no photo to draw in"):
        sheet.draw_trace()
    with pytest.raises(ValueError, match="trace_strength=2"):
        sheet.trace_strength = 2


def test_a_photo_comes_from_a_file_and_a_bad_file_is_said(tmp_path):
    sheet = Sheet((64, 64))
    sheet.tracing.unfolded = True
    picture((80, 80)).save(tmp_path / "a.png")
    sheet.tracing.take_file((tmp_path / "a.png").read_bytes(), "a.png")
    assert sheet.trace.tobytes() == picture((80, 80)).tobytes()
    sheet.tracing.take_file(b"no picture", "b.png")
    assert "b.png: " in alert(sheet)
    assert sheet.trace is not None
    press(sheet, "Photo: take it away")
    assert sheet.trace is None


def test_a_sheet_of_another_size_keeps_what_is_drawn_in_the_middle():
    sheet = Sheet((64, 64))
    sheet.draw(Rectangle((0, 0), (64, 32), colour=RED))
    sheet.resize((128, 64))
    assert sheet.drawing.getbbox() == (32, 0, 96, 32)
    assert set(sheet.drawing.getcolors()) == {(6144, (0, 0, 0, 0)), (2048, (*RED, 255))}
    empty = Sheet((64, 64))
    empty.resize((64, 128))
    assert (empty.size, empty.strokes) == ((64, 128), ())
