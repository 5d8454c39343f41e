"""Strokes cover what an independent rasteriser (Agg, of matplotlib) covers; undo is exact."""

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from PIL import Image

from sdnb import images
from sdnb.widgets.masks.history import History, rasterise
from sdnb.widgets.masks.strokes import (
    NOWHERE,
    Brush,
    Clear,
    Imported,
    Invert,
    Polygon,
    Rectangle,
    covered,
    imported,
    union,
)

SIZE = (120, 88)


def agg(artist, size=SIZE):
    """What Agg fills of a picture of this size, anti-aliased: where more than half of a pixel."""
    figure = Figure(figsize=(size[0] / 72, size[1] / 72), dpi=72)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, size[0]), ylim=(size[1], 0))
    axes.axis("off")
    artist.set(snap=False, color="black", transform=axes.transData)
    axes.add_artist(artist)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., 0] < 128


def line(points, size):
    xs, ys = zip(*points, strict=True)
    return Line2D(
        xs, ys, linewidth=size, solid_capstyle="round", solid_joinstyle="round", antialiased=True
    )


def closed(points):
    return PathPatch(Path([*points, points[0]], closed=True), linewidth=0)


def mask_of(*strokes, size=SIZE):
    return np.asarray(rasterise(strokes, size)) > 0


def from_line(corners, size=SIZE):
    """How far each pixel's centre is from the line through the corners."""
    centre = np.stack(np.meshgrid(*(np.arange(side) + 0.5 for side in size)), -1)  # [h, w, 2]
    nearest = np.full(size[::-1], np.inf)
    for a, b in itertools.pairwise(np.array(corners, float)):
        along = np.clip((centre - a) @ (b - a) / max((b - a) @ (b - a), 1e-12), 0, 1)[..., None]
        nearest = np.minimum(nearest, np.linalg.norm(centre - a - along * (b - a), axis=-1))
    return nearest


coordinate = st.integers(-160, 1120).map(lambda eighths: eighths / 8)
points = st.tuples(coordinate, coordinate)
# Agg cuts a line at the picture's rim, and rounds the ends of very short ones badly.
apart = st.tuples(st.integers(0, 29), st.integers(0, 21)).map(lambda p: (p[0] * 4.1, p[1] * 3.9))
brushes = st.builds(
    Brush, st.lists(points, min_size=1, max_size=6).map(tuple), st.floats(1, 40), st.booleans()
)
rectangles = st.builds(Rectangle, points, points, st.booleans())
polygons = st.builds(Polygon, st.lists(points, min_size=3, max_size=7).map(tuple), st.booleans())
masks = st.integers(0, 2**31).map(
    lambda seed: imported(np.random.default_rng(seed).integers(0, 256, SIZE[::-1], np.uint8), SIZE)[
        0
    ]
)
strokes = st.one_of(brushes, rectangles, polygons, st.builds(Invert), st.builds(Clear), masks)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# -- what is covered ----------------------------------------------------------------------------


@quick
@given(st.lists(apart, min_size=2, max_size=6, unique=True), st.floats(3, 40))
@pytest.mark.slow
def test_a_brush_covers_what_agg_draws_within_a_pixel(corners, size):
    other = mask_of(Brush(tuple(corners), size)) != agg(line(corners, size))
    from_rim = np.abs(from_line(corners) - size / 2)
    assert from_rim[other].max(initial=0) <= 1.0


@quick
@given(st.lists(points, min_size=3, max_size=8))
@pytest.mark.slow
def test_a_polygon_covers_what_agg_fills_within_a_pixel_however_it_crosses_itself(corners):
    other = mask_of(Polygon(tuple(corners))) != agg(closed(corners))
    assert from_line([*corners, corners[0]])[other].max(initial=0) <= 1.0


def test_a_star_is_filled_in_its_middle():
    corners = [(60 + 40 * np.sin(k * 0.8 * np.pi), 44 - 40 * np.cos(k * 0.8 * np.pi))
               for k in range(5)]  # fmt: skip
    found = mask_of(Polygon(tuple(corners)))
    assert found[44, 60]  # the line goes round it twice
    assert from_line([*corners, corners[0]])[found != agg(closed(corners))].max(initial=0) <= 1.0


@quick
@given(points, points)
def test_a_rectangle_covers_the_centres_between_its_corners(a, b):
    found = mask_of(Rectangle(a, b))
    x, y = np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1])[:, None] + 0.5
    (left, right), (top, bottom) = sorted((a[0], b[0])), sorted((a[1], b[1]))
    assert np.array_equal(found, (left <= x) & (x < right) & (top <= y) & (y < bottom))


@quick
@given(st.floats(0.01, 119.9), st.floats(0.01, 87.9))
def test_the_smallest_brush_leaves_a_mark_wherever_it_is_put(x, y):
    found = mask_of(Brush(((x, y),), 1))
    assert 1 <= found.sum() <= 4
    assert found[int(y), int(x)]


def test_neighbouring_polygons_share_no_pixel_and_leave_none_out():
    whole = ((10.3, 7.7), (100.1, 12.4), (90.8, 80.2), (15.5, 70.6))
    middle = (55.2, 41.9)
    counts = sum(
        mask_of(Polygon((a, b, middle))).astype(int)
        for a, b in zip(whole, (*whole[1:], whole[0]), strict=True)
    )
    assert counts.max() == 1
    assert np.array_equal(counts == 1, mask_of(Polygon(whole)))


def test_the_eraser_makes_black_and_the_last_stroke_wins():
    left, right = Rectangle((0, 0), (60, 88)), Brush(((30, 44), (90, 44)), 20, white=False)
    found = mask_of(left, right)
    assert found[44, 10]
    assert not found[44, 40]
    assert np.array_equal(found, mask_of(left) & ~mask_of(Brush(right.points, 20)))


@pytest.mark.slow
@quick
@given(st.one_of(brushes, polygons))
@example(Polygon(((0.0, 0.0), (0.0, 93.875), (24.5, 51.5))))  # an edge through a pixel's centre
def test_what_hangs_over_the_rim_is_cut_off_there(stroke):
    """All but centres that lie on the outline to rounding: they may be on either side of it."""
    moved = replace(stroke, points=tuple((x + 40, y + 30) for x, y in stroke.points))
    whole = mask_of(replace(moved, white=True), size=(200, 150))
    other = whole[30:118, 40:160] != mask_of(replace(stroke, white=True))
    brush = isinstance(stroke, Brush)
    corners = [*stroke.points, stroke.points[-1 if brush else 0]]
    outline = max(stroke.size / 2, 2**-0.5) if brush else 0  # a thin brush leaves a mark, too
    assert np.abs(from_line(corners) - outline)[other].max(initial=0) <= 1e-3


@quick
@given(st.one_of(brushes, rectangles, polygons))
def test_what_is_covered_lies_inside_the_picture(stroke):
    (left, top, right, bottom), inside = covered(stroke, SIZE)
    assert inside.shape == (bottom - top, right - left)
    assert 0 <= left <= right <= SIZE[0]
    assert 0 <= top <= bottom <= SIZE[1]


def test_a_picture_of_another_size_is_resized_and_said():
    stroke, said = imported(Image.new("L", (60, 44), 255), SIZE)
    assert images.open(stroke.png).size == SIZE
    assert "60x44" in said
    assert "120x88" in said
    assert imported(Image.new("L", SIZE, 255), SIZE)[1] == ""
    assert "bytes" in repr(stroke)
    assert len(repr(stroke)) < 60


# -- undo ---------------------------------------------------------------------------------------

acts = st.lists(
    st.one_of(
        strokes.map(lambda stroke: ("apply", stroke)),
        brushes.map(lambda brush: ("draw", brush)),
        brushes.map(lambda brush: ("abandon", brush)),
        st.just(("undo", None)),
        st.just(("redo", None)),
    ),
    max_size=14,
)


def act(history, name, stroke):
    """Do it; the box that is said to have changed."""
    if name in ("undo", "redo"):
        return getattr(history, name)()
    if name == "apply":
        return history.apply(stroke)
    box = history.begin(stroke.points[0], stroke.size, stroke.white)
    for point in stroke.points[1:]:
        box = union(box, history.extend(point))
    if name == "abandon":
        history.abandon()
    history.finish()
    return box


@pytest.mark.slow
@quick
@given(acts)
def test_undo_and_redo_against_a_model(commands):
    history, done, undone = History(SIZE), [], []
    for name, stroke in commands:
        before = np.asarray(history.mask)
        box = act(history, name, stroke)
        if name == "undo" and done:
            undone.append(done.pop())
        elif name == "redo" and undone:
            done.append(undone.pop())
        elif name == "apply" or (name == "draw" and not is_outside(stroke)):
            done.append(stroke)
            undone.clear()
        now = np.asarray(history.mask)
        assert np.array_equal(now, rasterise(done, SIZE))
        assert history.strokes == tuple(done)
        assert (history.can_undo, history.can_redo) == (bool(done), bool(undone))
        rows, columns = np.nonzero(now != before)
        if rows.size:
            assert box[0] <= columns.min() <= columns.max() < box[2]
            assert box[1] <= rows.min() <= rows.max() < box[3]


def is_outside(brush):
    """A brush drawn by hand that never came near the picture is no stroke."""
    history = History(SIZE)
    boxes = [history.begin(brush.points[0], brush.size)]
    boxes += [history.extend(point) for point in brush.points[1:]]
    return all(box == NOWHERE for box in boxes)


def test_undo_while_the_brush_is_down_takes_it_back():
    history = History(SIZE)
    history.apply(Rectangle((5, 5), (50, 50)))
    before = history.mask
    history.begin((60, 60), 30)
    history.extend((20, 20))
    assert history.drawing
    history.undo()
    assert not history.drawing
    assert history.mask.tobytes() == before.tobytes()
    assert len(history.strokes) == 1


def test_a_mask_of_another_size_changes_nothing():
    history = History(SIZE)
    history.apply(Rectangle((5, 5), (50, 50)))
    before = history.mask.tobytes()
    with pytest.raises(ValueError, match="10x10 for a picture of 120x88"):
        history.apply(Imported(images.mask(Image.new("L", (10, 10)))))
    assert history.mask.tobytes() == before
    assert len(history.strokes) == 1


def test_a_long_history_of_a_large_mask_is_small():
    history = History((2048, 2048))
    for k in range(20):
        history.apply(Brush(((100, 100 * k), (1900, 90 * k)), 80))
    kept = sum(len(done.before) for done in history._done)
    assert kept < 20 * 20_000  # bytes; the mask itself has 4 million
    png = io.BytesIO()
    history.mask.save(png, "PNG")
    assert history.part((0, 0, 2048, 2048)).tobytes() == history.mask.tobytes()
