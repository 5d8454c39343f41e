"""Hints against the mathematics that defines them, by hand and by SciPy and scikit-image."""

import sys

import numpy as np
import pytest
from scipy import ndimage
from skimage import color

from sdnb.hints import PREPARATIONS, opencv, preparations
from sdnb.hints.preparation_names import ABOUT

HEIGHT, WIDTH = 70, 100  # no multiples of 64


def picture():
    """Smooth colours, sharp edges and thin dark lines."""
    random = np.random.default_rng(5)
    smooth = ndimage.gaussian_filter(random.normal(size=(HEIGHT, WIDTH, 3)), (4, 4, 0))
    pixels = 128 + 700 * smooth
    pixels[20:50, 30:60] = 255 - pixels[20:50, 30:60]
    pixels[::17, 5:], pixels[:, 71] = 20, (10, 40, 90)
    return pixels.clip(0, 255).astype(np.uint8)


def hint(name, *values, of=None):
    return preparations.prepared(picture() if of is None else of, name, values)[0]


def whole():
    """The picture with borders to multiples of 64, as the namesakes pad it."""
    return np.pad(picture(), [(0, 58), (0, 28), (0, 0)], mode="edge").astype(np.float64)


def blurred(pixels, sigma, reach=4.0):
    axes = (sigma, sigma, 0)[: pixels.ndim]
    return ndimage.gaussian_filter(pixels, axes, mode="mirror", truncate=reach)


def by_hand(pixels, low, high):
    """Canny's edges as OpenCV defines them: whole gradients, of the channel where |dx| + |dy| is
    largest, ridges in four directions parted at 22.5 degrees, and what hangs on a strong one.
    """
    x = np.pad(pixels.astype(np.int64), [(1, 1), (1, 1), (0, 0)], mode="edge")
    rows, columns = (
        (lambda a, k: a[k : a.shape[0] - 2 + k]),
        (lambda a, k: a[:, k : a.shape[1] - 2 + k]),
    )
    across, down = columns(x, 2) - columns(x, 0), rows(x, 2) - rows(x, 0)
    dx = rows(across, 0) + 2 * rows(across, 1) + rows(across, 2)
    dy = columns(down, 0) + 2 * columns(down, 1) + columns(down, 2)
    best = np.argmax(abs(dx) + abs(dy), axis=2)[..., None]
    dx, dy = (np.take_along_axis(d, best, 2)[..., 0] for d in (dx, dy))
    m = np.pad(abs(dx) + abs(dy), 1)
    near = lambda r, c: m[1 + r : m.shape[0] - 1 + r, 1 + c : m.shape[1] - 1 + c]  # noqa: E731
    own = near(0, 0)
    flat = abs(dy) * 2**15 < abs(dx) * 13573
    steep = abs(dy) * 2**15 > abs(dx) * 13573 + (abs(dx) << 16)
    falls = (dx < 0) != (dy < 0)
    diagonal = np.where(
        falls, (own > near(-1, 1)) & (own > near(1, -1)), (own > near(-1, -1)) & (own > near(1, 1))
    )
    ridge = np.where(flat, (own > near(0, -1)) & (own >= near(0, 1)), diagonal)
    ridge = np.where(steep, (own > near(-1, 0)) & (own >= near(1, 0)), ridge) & (own > low)
    parts = ndimage.label(ridge, np.ones((3, 3)))[0]
    strong = np.unique(parts[ridge & (own > high)])
    return np.isin(parts, strong[strong > 0]) * 255


@pytest.mark.parametrize("values", [(), (40, 90)])
def test_canny_is_opencvs_pixel_for_pixel(values):
    found = hint("canny", *values)
    low, high = values or (100, 200)
    expected = by_hand(whole().astype(np.uint8), low, high)[:HEIGHT, :WIDTH]
    assert 100 < (found[..., 0] > 0).sum() < 3000
    np.testing.assert_array_equal(found[..., 0], expected)


def test_xdog_is_the_difference_of_two_gaussians():
    apart = np.min(blurred(whole(), 5.0) - blurred(whole(), 0.5), axis=2)[:HEIGHT, :WIDTH]
    sure = abs(2 * apart.clip(0) - 32) > 2.5  # float32 and whole levels round at the threshold
    np.testing.assert_array_equal(hint("xdog")[..., 0][sure], ((2 * apart > 32) * 255)[sure])
    assert sure.mean() > 0.9
    dark = np.full((64, 64, 3), 255, np.uint8)
    dark[:, 30:40] = 0  # darker than its surroundings by 128 and more, where bytes would wrap
    assert (hint("xdog", of=dark)[:, 33:37] == 255).all()


def test_lineart_is_how_much_darker_lines_are():
    darker = np.min(blurred(whole(), 6.0) - whole(), axis=2).clip(0, 255)
    expected = (darker / max(16, np.median(darker[darker > 8])) * 127).clip(0, 255)
    apart = abs(hint("lineart")[..., 0] - expected[:HEIGHT, :WIDTH])
    assert apart.max() <= 1.01


def test_softedge_is_the_length_of_a_gradient():
    smooth = blurred((picture() @ [0.299, 0.587, 0.114]).round(), 1.5)
    edges = np.hypot(*(ndimage.sobel(smooth, axis, mode="mirror") for axis in (0, 1)))
    expected = (edges / np.percentile(edges, 99) * 255).clip(0, 255)
    assert abs(hint("softedge")[..., 0] - expected).max() <= 1.5


def test_recolor_is_luminance_and_intensity():
    luminance = color.rgb2lab(picture())[..., 0] * 2.55
    assert abs(hint("recolor")[..., 0] - luminance).max() <= 1.5
    red = np.full((8, 8, 3), (255, 0, 0), np.uint8)
    assert hint("recolor", of=red)[0, 0, 0] == pytest.approx(
        53.24 * 2.55, abs=1
    )  # of red, not blue
    np.testing.assert_array_equal(hint("recolor_intensity")[..., 1], picture().max(axis=2))
    curve = (picture().max(axis=2) / 255) ** 0.5 * 255
    assert abs(hint("recolor_intensity", 0.5)[..., 1] - curve).max() <= 1


def test_tile_blur_threshold_and_invert():
    np.testing.assert_array_equal(hint("tile"), picture())
    mean = picture().reshape(35, 2, 50, 2, 3).mean((1, 3))
    assert abs(hint("tile", 2) - mean).max() <= 0.5
    smooth = blurred(picture().astype(float), 9, 3.0)  # bytes reach 3 sigma
    assert abs(hint("blur") - smooth).max() <= 2  # with weights of eight bits, there and back
    np.testing.assert_array_equal(hint("threshold")[..., 2], (picture().min(2) > 127) * 255)
    np.testing.assert_array_equal(hint("invert"), 255 - picture())


def test_scribble_takes_lines_of_either_polarity():
    drawing = np.full((40, 40, 3), 255, np.uint8)
    drawing[10:13, 5:30] = (0, 0, 160)  # dark in one channel is dark
    expected = np.zeros((40, 40), np.uint8)
    expected[10:13, 5:30] = 255
    for pixels, words in ((drawing, ""), (255 - drawing, "light lines on a")):
        found, note = preparations.prepared(pixels, "scribble")
        np.testing.assert_array_equal(found[..., 0], expected)
        assert words in note
        assert bool(words) == bool(note)  # few dark lines on white are what anybody expects
    drawing[20:35] = 0
    assert "dark lines on a light ground" in preparations.prepared(drawing, "scribble")[1]
    empty, note = preparations.prepared(np.full_like(drawing, 200), "scribble")
    assert not empty.any()
    assert note.startswith("No lines were found in the picture, so none are followed (scribble")


def test_shuffle_moves_what_is_there_and_has_a_seed():
    one, again, other = (hint("shuffle", seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    flat = np.full((20, 30, 3), (9, 8, 7), np.uint8)
    np.testing.assert_array_equal(hint("shuffle", of=flat), flat)


@pytest.mark.parametrize("name", [None, *PREPARATIONS])
def test_every_preparation_takes_any_size_and_leaves_its_picture_alone(name):
    for shape in ((1, 1, 3), (3, 200, 3), (1, 33_000, 3), (64, 64, 3)):
        given = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        before = given.copy()
        found, note = preparations.prepared(given, name)
        assert (found.shape, found.dtype) == (shape, np.uint8)
        assert isinstance(note, str)
        np.testing.assert_array_equal(given, before)
    assert name is None or name in ABOUT


def test_what_is_transparent_lies_on_white():
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 51]]], np.uint8)
    assert preparations.flat(pixels).tolist() == [[[10, 20, 30], [255] * 3, [204] * 3]]


def test_without_opencv_the_error_names_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match="pip install opencv-python-headless"):
        opencv.cv2()
