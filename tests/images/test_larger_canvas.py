"""A larger canvas: its sizes, its mask, what is kept, and the part that is generated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sdnb import images
from sdnb.images import canvas, outpaint
from sdnb.images.outpaint import ANCHORS, Sides
from sdnb.request import Request, Settings

few = st.integers(0, 40)
any_sides = st.builds(Sides, few, few, few, few)
any_size = st.tuples(st.integers(1, 60), st.integers(1, 60))


def noisy(size, seed=0):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


@settings(deadline=None, max_examples=40)
@given(size=any_size, sides=any_sides)
def test_the_picture_lies_bit_for_bit_where_the_sides_say(size, sides):
    picture = noisy(size)
    larger = outpaint.extended(picture, sides)
    assert larger.size == (size[0] + sides.left + sides.right, size[1] + sides.top + sides.bottom)
    at = sides.left, sides.top, sides.left + size[0], sides.top + size[1]
    assert larger.crop(at).tobytes() == picture.tobytes()


def test_the_new_part_goes_on_from_the_edge_and_blurs_with_the_distance():
    picture = Image.new("RGB", (32, 64), (0, 0, 200))
    picture.paste((200, 0, 0), (0, 32, 32, 64))
    right = np.asarray(outpaint.extended(picture, Sides(right=40)))[:, 32:, 0].astype(int)
    assert (right[:, 0] == np.where(np.arange(64) < 32, 0, 200)).all()  # no step at the edge
    assert (right[:8, -1] < 60).all()  # far from the horizon its colours are still there
    assert (right[-8:, -1] > 140).all()
    slopes = np.abs(np.diff(right, axis=0)).max(0)  # of each column
    assert slopes[0] == 200
    assert slopes[-1] < 20
    # Blurred by 0.3 of the distance: the width of the step, by its variance.
    step = np.diff(right[:, 30]) / 200
    places = np.arange(63) - (step * np.arange(63)).sum()
    assert np.sqrt((step * places**2).sum()) == pytest.approx(0.3 * 30, abs=1.0)


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_all_sides_are_made_alike(side):
    """What comes of one side is what comes of the right one of the turned picture."""
    turns = {"right": 0, "top": 3, "left": 2, "bottom": 1}  # of 90 degrees, to the left
    picture = noisy((31, 17))
    there = np.asarray(outpaint.extended(picture, Sides(**{side: 12})))
    turned = Image.fromarray(np.rot90(np.asarray(picture), turns[side]).copy())
    again = np.asarray(outpaint.extended(turned, Sides(right=12)))
    assert np.array_equal(np.rot90(there, turns[side]), again)


@settings(deadline=None, max_examples=60)
@given(size=any_size, sides=any_sides, overlap=st.integers(0, 8))
def test_the_mask_is_what_is_new_and_the_overlap_beside_it(size, sides, overlap):
    x, y = np.arange(size[0]), np.arange(size[1])
    near_x = ((x < overlap) & (sides.left > 0)) | ((x >= size[0] - overlap) & (sides.right > 0))
    near_y = ((y < overlap) & (sides.top > 0)) | ((y >= size[1] - overlap) & (sides.bottom > 0))
    white = near_y[:, None] | near_x[None, :]  # [h, w] of the picture
    if white.all():
        with pytest.raises(ValueError, match="leaves nothing of the picture"):
            outpaint.mask(size, sides, overlap)
        return
    added = (sides.top, sides.bottom), (sides.left, sides.right)
    expected = np.pad(white, added, constant_values=True)
    assert np.array_equal(np.asarray(outpaint.mask(size, sides, overlap)) == 255, expected)
    assert set(np.unique(outpaint.mask(size, sides, overlap))) <= {0, 255}


@pytest.mark.parametrize(
    ("anchor", "sides"),
    [
        ("middle", (10, 11, 5, 5)), ("left", (0, 21, 5, 5)), ("right", (21, 0, 5, 5)),
        ("top", (10, 11, 0, 10)), ("bottom", (10, 11, 10, 0)), ("top left", (0, 21, 0, 10)),
        ("top right", (21, 0, 0, 10)), ("bottom left", (0, 21, 10, 0)),
        ("bottom right", (21, 0, 10, 0)),
    ],
)  # fmt: skip
def test_a_size_says_the_sides_by_where_the_picture_lies(anchor, sides):
    assert Sides.to_size((30, 40), (51, 50), anchor) == Sides(*sides)
    assert len(ANCHORS) == 9


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Sides(left=-8), "left=-8 is not a whole number from 0 to 8192"),
        (lambda: Sides(top=9000), "top=9000"),
        (lambda: Sides(8000).extend((512, 512)), "the canvas would be 8512x512"),
        (lambda: outpaint.mask((64, 64), Sides(8), -1), "overlap=-1"),
        (lambda: Sides.to_size((64, 64), (96, 32)), r"size=\(96, 32\) is smaller than the picture"),
        (lambda: Sides.to_size((64, 64), (96, 96), "centre"), "anchor='centre' is unknown"),
        (lambda: Sides.asked((64, 64), Sides(), None, "middle"), "nothing is extended"),
        (lambda: Sides.asked((64, 64), Sides(), (64, 64), "left"), "nothing is extended"),
        (lambda: Sides.asked((64, 64), Sides(8), (96, 64), "left"), r"size=\(96, 64\) says how"),
        (lambda: outpaint.frame(Image.new("L", (64, 64)), (64, 64)), "all black"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_words(make, words):
    with pytest.raises(ValueError, match=words):
        make()
    with pytest.raises(TypeError, match=r"right=1.5 is a float"):
        Sides(right=1.5)


@pytest.mark.parametrize("own", [(256, 256), (512, 512), (512, 768)])
@pytest.mark.parametrize("size", [(256, 256), (192, 250), (512, 512), (1024, 680), (3000, 2000)])
@pytest.mark.parametrize(
    "sides", [Sides(right=64), Sides(top=200), Sides(64, 64), Sides(32, 64, 96, 128), Sides(0, 900)]
)
def test_the_part_is_generated_undistorted_at_about_the_models_own_size(own, size, sides):
    hole = outpaint.mask(size, sides, 16)
    padding, (width, height) = outpaint.frame(hole, own)
    left, top, right, bottom = canvas.around_mask(hole, padding, (width, height))
    white = hole.getbbox()
    assert left <= white[0]
    assert top <= white[1]
    assert right >= white[2]
    assert bottom >= white[3]
    across, down = width / (right - left), height / (bottom - top)
    assert across / down == pytest.approx(1, abs=0.05)
    assert (width % 8, height % 8) == (0, 0)
    assert 0.45 <= width * height / (own[0] * own[1]) <= 1.55
    whole = hole.size
    if sides in (Sides(right=64), Sides(top=200)):  # it sees of the picture what it can
        seen = right - left - (white[2] - white[0]), bottom - top - (white[3] - white[1])
        axis = 0 if sides.right else 1
        most = whole[axis] - (white[2] - white[0], white[3] - white[1])[axis]
        assert seen[axis] >= min(most, padding) - 1


def test_the_request_is_an_ordinary_one_and_comes_back_from_json():
    picture = noisy((72, 64))
    base = Request("a field", negative="dark", steps=3, seed=7, strength=0.3, invert=True, count=2)
    asked = outpaint.request(base, picture, Sides(right=24), (64, 64), overlap=8)
    assert (asked.prompt, asked.negative, asked.steps, asked.seed, asked.count) == (
        "a field", "dark", 3, 7, 2,
    )  # fmt: skip
    assert not asked.invert
    assert (asked.feather, asked.strength) == (4, 0.75)
    assert images.open(asked.image).size == images.open(asked.mask).size == (96, 64)
    assert Request.from_json(asked.to_json(), asked.pictures) == asked


def test_what_is_beyond_the_overlap_is_kept_bit_for_bit_and_the_new_part_is_all_new():
    picture, sides = noisy((72, 64)), Sides(left=24, bottom=32)
    asked = outpaint.request(Request(), picture, sides, (64, 64), overlap=8)
    found, _ = canvas.fit(asked.resolved(Settings()))
    made = found.finish(Image.new("RGB", found.picture.size, (255, 0, 255)))
    assert made.size == (96, 96)
    pixels = np.asarray(made)
    assert np.array_equal(pixels[: 64 - 8, 24 + 8 :], np.asarray(picture)[: 64 - 8, 8:])
    assert (pixels[:, :24] == (255, 0, 255)).all()
    assert (pixels[64:] == (255, 0, 255)).all()
    fading = pixels[:56, 24:32].astype(int)  # the feather, at the inner side of the overlap
    assert (fading[:, 0] == (255, 0, 255)).all()
    assert (fading[:, -1] != (255, 0, 255)).any()
