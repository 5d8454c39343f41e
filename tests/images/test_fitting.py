"""Pictures of other proportions, cropped, filled, fitted and stretched, worked out by NumPy."""

import numpy as np
import pytest
from PIL import Image

from sdnb import images
from sdnb.images.canvas import exact, fit
from sdnb.request import Request, Settings


def noisy(size, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


def lanczos(x):
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


def triangle(x):
    return np.maximum(0, 1 - np.abs(x))


def weights(low, high, side, of, kernel, support):
    """[side, of]: how much each of `of` pixels counts in each of `side` that lie in low..high."""
    scale = (high - low) / side
    wide = max(scale, 1)
    centres = low + (np.arange(side) + 0.5) * scale
    at = (np.arange(of)[None] + 0.5 - centres[:, None]) / wide
    table = kernel(at) * (np.abs(at) < support)
    return table / table.sum(1, keepdims=True)


def resized(array, box, size, kernel=lanczos, support=3):
    """A part of an array [h, w, c] at another size, rounded between the two passes as PIL does."""
    left, upper, right, lower = box
    across = weights(left, right, size[0], array.shape[1], kernel, support)
    down = weights(upper, lower, size[1], array.shape[0], kernel, support)
    wide = np.clip(np.rint(np.einsum("xw,hwc->hxc", across, array)), 0, 255)
    return np.clip(np.rint(np.einsum("yh,hxc->yxc", down, wide)), 0, 255)


def laid(array, size, how, mask=None, **fields):
    asked = Request(
        image=images.picture(array), mask=None if mask is None else images.mask(mask),
        width=size[0], height=size[1], fit=how, **fields,
    )  # fmt: skip
    return fit(asked.resolved(Settings()))


def apart(one, other):
    return np.abs(np.asarray(one).astype(int) - other).max()


def test_crop_takes_the_middle_bit_for_bit_where_nothing_is_scaled():
    array = noisy((96, 64))
    canvas, notes = laid(array, (64, 64), "crop")
    assert np.array_equal(canvas.picture, array[:, 16:80])
    assert canvas.crop == (64, 64)
    assert notes == ["Of the picture, 96x64, the middle was taken, 64x64."]


def test_crop_scales_what_it_takes():
    array = noisy((300, 200))
    canvas, _ = laid(array, (64, 64), "crop")
    assert apart(canvas.picture, resized(array, (50, 0, 250, 200), (64, 64))) <= 1


def test_fill_puts_the_whole_picture_in_the_middle_of_its_own_rim():
    array = noisy((128, 64))
    canvas, notes = laid(array, (128, 128), "fill")
    assert np.array_equal(canvas.picture, np.pad(array, ((32, 32), (0, 0), (0, 0)), mode="edge"))
    assert canvas.crop == (128, 128)
    assert "resized to 128x64, in the middle of 128x128; the borders" in notes[0]


def test_fill_scales_the_whole_picture():
    array = noisy((200, 300))
    canvas, _ = laid(array, (96, 96), "fill")
    inner = resized(array, (0, 0, 200, 300), (64, 96))
    assert apart(canvas.picture, np.pad(inner, ((0, 0), (16, 16), (0, 0)), mode="edge")) <= 1


def test_fit_makes_one_side_smaller_and_cuts_off_what_it_was_padded_with():
    array = noisy((300, 100))
    canvas, notes = laid(array, (192, 192), "fit")
    inner = resized(array, (0, 0, 300, 100), (192, 64))
    assert apart(canvas.picture, inner) <= 1
    assert canvas.crop == (192, 64)
    assert notes == []
    canvas, notes = laid(noisy((200, 81)), (200, 200), "fit")  # its own size, in a way
    assert canvas.picture.size == (200, 88)
    assert canvas.crop == (200, 81)
    assert "padded to 200x88" in notes[0]
    assert canvas.finish(canvas.picture).size == (200, 81)


def test_stretch_is_what_it_was_and_says_how_else():
    array = noisy((300, 200))
    canvas, notes = laid(array, (64, 64), "stretch")
    assert apart(canvas.picture, resized(array, (0, 0, 300, 200), (64, 64))) <= 1
    assert 'or fit="crop", "fill" or "fit"' in notes[0]


@pytest.mark.parametrize("how", ["stretch", "crop", "fill", "fit"])
def test_proportions_that_are_the_same_give_the_same_picture(how):
    array = noisy((300, 200))
    canvas, notes = laid(array, (96, 64), how)
    assert apart(canvas.picture, resized(array, (0, 0, 300, 200), (96, 64))) <= 1
    assert canvas.crop == (96, 64)
    assert notes == []


# -- the mask ------------------------------------------------------------------------------------


def spot(size, box):
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 255
    return mask


def test_the_mask_is_cropped_as_the_picture_is():
    mask = spot((96, 64), (8, 16, 40, 48))
    canvas, _ = laid(noisy((96, 64)), (64, 64), "crop", mask)
    assert np.array_equal(canvas.mask, mask[:, 16:80])


@pytest.mark.parametrize("invert", [False, True])
def test_the_borders_of_a_fill_are_made_anew_with_what_is_painted(invert):
    mask = spot((128, 64), (16, 16, 48, 48))
    canvas, _ = laid(noisy((128, 64)), (128, 128), "fill", mask, invert=invert)
    inner = 255 - mask if invert else mask
    wanted = np.pad(inner, ((32, 32), (0, 0)), constant_values=255)
    assert np.array_equal(canvas.mask, wanted)
    magenta = canvas.finish(Image.new("RGB", (128, 128), (255, 0, 255)))
    changed = (np.asarray(magenta) == (255, 0, 255)).all(-1)
    assert np.array_equal(changed, wanted == 255)


def test_a_black_mask_makes_the_borders_of_a_fill_anew():
    canvas, notes = laid(noisy((128, 64)), (128, 128), "fill", spot((128, 64), (0, 0, 0, 0)))
    assert canvas.mask.getbbox() == (0, 0, 128, 128)
    assert np.asarray(canvas.mask)[32:96].max() == 0
    assert not any("black" in note for note in notes)


def test_the_mask_is_scaled_as_the_picture_is():
    mask = spot((300, 200), (100, 50, 180, 150))
    for how, box, size, around in (
        ("crop", (50, 0, 250, 200), (64, 64), ((0, 0), (0, 0))),
        ("fill", (0, 0, 300, 200), (96, 64), ((16, 16), (0, 0))),
        ("fit", (0, 0, 300, 200), (96, 64), ((0, 0), (0, 0))),
        ("stretch", (0, 0, 300, 200), (96, 96), ((0, 0), (0, 0))),
    ):
        asked = (64, 64) if how == "crop" else (96, 96)
        canvas, _ = laid(noisy((300, 200)), asked, how, mask)
        inner = resized(mask[..., None], box, size, triangle, 1)[..., 0]
        inner[inner < 8] = 0  # faint values of the mask are black before it is scaled, not after
        wanted = np.pad(inner, around, constant_values=255)
        assert apart(np.where(np.asarray(canvas.mask) < 8, 0, canvas.mask), wanted) <= 1, how


# -- a size next to the picture's own, and what changes nothing ----------------------------------


def test_a_size_next_to_the_pictures_own_is_taken_in_the_way_that_is_asked():
    array = noisy((70, 66))
    mask = spot((70, 66), (10, 10, 30, 30))
    asked = Request(
        image=images.picture(array), mask=images.mask(mask), width=72, height=72, invert=True
    )
    sized, notes = exact(asked.but(fit="crop"))
    assert "the middle was taken, 66x66" in notes[0]
    assert apart(images.open(sized.image), resized(array, (2, 0, 68, 66), (72, 72))) <= 1
    sized, _ = exact(asked.but(fit="fill"))
    inner = resized(array, (0, 0, 70, 66), (72, 68))
    wanted = np.pad(inner, ((2, 2), (0, 0), (0, 0)), mode="edge")
    assert apart(images.open(sized.image), wanted) <= 1
    canvas, _ = fit(sized.resolved(Settings()))
    assert (np.asarray(canvas.mask)[[0, 1, 70, 71]] == 255).all()  # inverted, and anew all the same
    assert exact(asked.but(fit="fit")) == (asked.but(fit="fit"), [])


def test_a_fit_that_changes_nothing_is_said():
    _, notes = fit(Request(fit="crop").resolved(Settings()))
    assert notes == ["fit='crop' changes nothing without a picture."]
    _, notes = laid(noisy((96, 64)), (64, 64), "crop", spot((96, 64), (8, 8, 16, 16)), padding=4)
    assert "fit='crop' changes nothing where only a part is generated." in notes
