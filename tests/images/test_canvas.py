"""Fitting pictures and masks; black pixels of a mask keep the picture bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from sdnb import images
from sdnb.images.canvas import exact, fit
from sdnb.request import Request, Settings


def noisy(size, seed=0, bands=3):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], bands), dtype=np.uint8))


def request(picture, mask=None, **fields):
    asked = Request(image=images.picture(picture), mask=None if mask is None else images.mask(mask))
    return asked.but(**fields).resolved(Settings())


def disc(size):
    y, x = np.mgrid[: size[1], : size[0]]
    inside = (x - size[0] / 2) ** 2 + (y - size[1] / 2) ** 2 < (min(size) / 3) ** 2
    return Image.fromarray(np.where(inside, 255, 0).astype(np.uint8))


def test_without_a_picture_there_is_no_canvas():
    assert fit(Request().resolved(Settings())) == (None, [])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"strength": 0.5}, "strength=0.5 has no effect without a picture"),
        ({"feather": 4}, "feather changes nothing without a mask"),
        ({"feather": 4, "invert": True}, "invert and feather change nothing without a mask"),
    ],
)
def test_a_setting_without_effect_is_said(fields, words):
    _, notes = fit(Request(**fields).resolved(Settings()))
    assert [words in note for note in notes] == [True]
    canvas, notes = fit(request(noisy((64, 64)), **fields))
    assert canvas is not None
    assert [words in note for note in notes] == [True] * ("strength" not in fields)
    _, notes = fit(request(noisy((64, 64)), disc((64, 64)), **fields))
    assert notes == []


@pytest.mark.parametrize("feather", [0, 1, 7.5, 40])
@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("size", [(128, 96), (101, 77), (64, 71)])
def test_only_the_white_part_changes(size, invert, feather):
    picture, mask = noisy(size), disc(size)
    canvas, notes = fit(request(picture, mask, invert=invert, feather=feather))
    generated = Image.new("RGB", canvas.picture.size, (255, 0, 255))
    result = np.asarray(canvas.finish(generated))
    kept = np.asarray(mask) == (255 if invert else 0)
    assert result.shape == (size[1], size[0], 3)
    assert np.array_equal(result[kept], np.asarray(picture)[kept])
    if feather == 0:
        assert (result[~kept] == (255, 0, 255)).all()
    swallowed = any("wider than the white part" in note for note in notes)
    assert swallowed == (feather == 40 and not invert)
    assert swallowed or not np.array_equal(result[~kept], np.asarray(picture)[~kept])


def test_feather_fades_from_the_rim_inwards():
    mask = Image.new("L", (200, 64))
    mask.paste(255, (100, 0, 200, 64))
    canvas, _ = fit(request(noisy((200, 64)), mask, feather=16))
    row = np.asarray(canvas.mask)[32].astype(int)
    assert (row[:100] == 0).all()
    assert (np.diff(row[100:]) >= 0).all()
    assert row[101] < 64
    assert 100 < row[108] < 250
    assert (row[125:] == 255).all()


@given(st.integers(64, 90), st.integers(64, 90))
@settings(max_examples=20)
def test_a_picture_of_any_size_comes_back_at_its_own_size(width, height):
    picture = noisy((width, height))
    asked = request(picture)
    canvas, notes = fit(asked)
    assert canvas.picture.size == (asked.width, asked.height)
    assert asked.width % 8 == asked.height % 8 == 0
    assert np.array_equal(canvas.finish(canvas.picture), picture)
    assert bool(notes) == (width % 8 > 0 or height % 8 > 0)


def test_padding_repeats_the_rim():
    picture = noisy((70, 66))
    canvas, _ = fit(request(picture))
    array, padded = np.asarray(picture), np.asarray(canvas.picture)
    assert padded.shape == (72, 72, 3)
    assert np.array_equal(padded, np.pad(array, ((0, 6), (0, 2), (0, 0)), mode="edge"))


def test_another_size_is_resized_and_a_stretch_is_said():
    canvas, notes = fit(request(noisy((64, 64)), width=128, height=128))
    assert canvas.picture.size == canvas.crop == (128, 128)
    assert notes == []
    _, notes = fit(request(noisy((64, 64)), width=128, height=64))
    assert len(notes) == 1
    assert "stretched from 64x64 to 128x64" in notes[0]


def test_a_size_next_to_the_pictures_own_is_kept_or_taken_and_said():
    picture, mask = noisy((70, 66)), disc((70, 66))
    asked = request(picture, mask, width=72, height=72)
    canvas, notes = fit(asked)
    assert canvas.crop == (70, 66)
    assert "cut back to its own size; sdnb.upscale makes one of 72x72" in notes[0]
    sized, notes = exact(asked)
    canvas, more = fit(sized)
    assert canvas.crop == canvas.picture.size == canvas.mask.size == (72, 72)
    assert ["stretched from 70x66 to 72x72" in note for note in notes] == [True]
    assert more == []
    truth = picture.resize((72, 72), Image.Resampling.LANCZOS)
    assert np.array_equal(canvas.picture, truth)
    assert exact(sized) == (sized, [])


def test_no_other_size_is_touched():
    picture, mask = noisy((70, 66)), disc((70, 66))
    for asked in (
        Request(width=72, height=72),
        Request(image=images.picture(picture), width=72),
        request(picture, width=128, height=128),
        request(noisy((72, 72)), width=72, height=72),
        request(picture, mask, width=72, height=72, padding=4),
    ):
        assert exact(asked) == (asked, [])


@pytest.mark.parametrize("padding", [None, 4])
def test_what_a_masked_part_starts_from_means_nothing_at_strength_1(padding):
    fields = {"content": "fill", "padding": padding, "width": 64, "height": 64}
    for strength in (0.9, 1):
        asked = request(noisy((64, 64)), disc((64, 64)), strength=strength, **fields)
        notes = [note for note in fit(asked)[1] if "content='fill' changes nothing" in note]
        assert len(notes) == (strength == 1)


def test_transparent_parts_are_put_on_white_and_said():
    rgba = noisy((64, 64), bands=4)
    rgba.putalpha(Image.new("L", (64, 64), 0))
    canvas, notes = fit(request(rgba))
    assert canvas.picture.getextrema() == ((255, 255),) * 3
    assert "white" in notes[0]


def test_a_mask_of_another_size_is_resized_and_said():
    canvas, notes = fit(request(noisy((128, 64)), Image.new("L", (32, 16), 255)))
    assert canvas.mask.size == (128, 64)
    assert any("The mask is 32x16" in note for note in notes)
    assert any("all white" in note for note in notes)


def test_an_empty_mask_is_said():
    _, notes = fit(request(noisy((64, 64)), Image.new("L", (64, 64), 0)))
    assert any("all black" in note for note in notes)


def test_latent_mask_is_the_mean_of_each_cell():
    mask = disc((128, 96))
    canvas, _ = fit(request(noisy((128, 96)), mask))
    truth = np.asarray(mask, dtype=float).reshape(12, 8, 16, 8).mean(axis=(1, 3))
    latent = np.asarray(canvas.latent_mask(), dtype=float)
    assert np.abs(latent - truth).max() <= 1  # PIL rounds to whole numbers
    assert (latent[truth == 0] == 0).all()  # nothing leaks into what is kept


def touched(mask):
    """Cells of 8x8 with a pixel of 8 or more, by NumPy."""
    h, w = mask.height // 8, mask.width // 8
    return np.asarray(mask).reshape(h, 8, w, 8).max(axis=(1, 3)) >= 8


@pytest.mark.parametrize("feather", [0, 6])
def test_a_model_for_inpainting_hides_the_cells_that_the_mask_touches(feather):
    thin = Image.new("L", (128, 96))
    ImageDraw.Draw(thin).line((5, 9, 101, 77), fill=255, width=2)
    for mask in (disc((128, 96)), thin) if not feather else (disc((128, 96)),):
        canvas, _ = fit(request(noisy((128, 96)), mask, feather=feather))
        cells = touched(canvas.mask)
        assert cells.any()
        assert np.array_equal(np.asarray(canvas.hidden_cells()), cells * 255)
        hidden = np.kron(cells, np.ones((8, 8), bool))
        seen, before = np.asarray(canvas.masked_picture()), np.asarray(canvas.picture)
        assert (seen[hidden] == 127).all()
        assert np.array_equal(seen[~hidden], before[~hidden])


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("noise", [1, 2, 7])
def test_values_that_change_nothing_do_not_count(noise, invert):
    array = np.zeros((96, 128), np.uint8)
    array[::9, ::7] = noise  # what a JPEG leaves of black
    array[32:56, 40:80] = 255
    mask = Image.fromarray(255 - array if invert else array)
    for fields in ({}, {"padding": 0}):
        canvas, _ = fit(request(noisy((128, 96)), mask, invert=invert, **fields))
        whole = canvas.mask if canvas.around is None else canvas.around.mask
        assert whole.getbbox() == (40, 32, 80, 56)
        if canvas.around is None:
            assert canvas.latent_mask().getbbox() == (5, 4, 10, 7)
        else:
            left, upper, right, lower = canvas.around.box
            assert (right - left, lower - upper) == (40, 40)  # 40x24, made square


def test_below_a_soft_mask_the_filling_has_nothing_of_the_old_pixels():
    """A field of one colour with a thing in it: filled, it is that colour throughout."""
    plain = Image.new("RGB", (64, 64), (40, 110, 230))
    given, soft = plain.copy(), Image.new("L", (64, 64))
    given.paste((255, 255, 0), (24, 16, 40, 32))
    for margin, value in ((0, 60), (3, 130), (6, 255)):
        soft.paste(value, (24 + margin, 16 + margin, 40 - margin, 32 - margin))
    canvas, _ = fit(request(given, soft))
    assert np.array_equal(np.asarray(canvas.filled_picture()), np.asarray(plain))
    everywhere = Image.new("L", (64, 64), 100)  # with nothing around it: the old one, smoothed
    canvas, _ = fit(request(plain, everywhere))
    assert np.array_equal(np.asarray(canvas.filled_picture()), np.asarray(plain))


@pytest.mark.parametrize("padding", [None, 0, 5])
@pytest.mark.parametrize("box", [(30, 20, 50, 40), (0, 0, 20, 40), (60, 44, 80, 64)])
def test_the_filling_has_the_colours_around_the_masked_part(box, padding):
    """Also where nothing but the white is generated, and nothing else is in the part."""
    plain, mask = Image.new("RGB", (80, 64), (40, 110, 230)), Image.new("L", (80, 64))
    given = plain.copy()
    given.paste((255, 255, 0), box)
    mask.paste(255, box)
    size = {} if padding is None else {"width": 96, "height": 96}
    canvas, _ = fit(request(given, mask, padding=padding, content="fill", **size))
    assert canvas.filled_picture().getextrema() == ((40, 40), (110, 110), (230, 230))


@pytest.mark.parametrize("padding", [None, 0])
def test_values_that_resizing_makes_faint_do_not_count(padding):
    white = Image.new("L", (61, 47))
    white.paste(255, (20, 15, 31, 26))
    fields = {"width": 128, "height": 96, "padding": padding}
    canvas, _ = fit(request(noisy((61, 47)), white, **fields))
    values = np.asarray(canvas.mask)
    assert ((values == 0) | (values >= 8)).all()
    assert np.array_equal(np.asarray(canvas.hidden_cells()) > 0, touched(canvas.mask))


def test_an_unresolved_request_is_refused():
    with pytest.raises(ValueError, match="resolve it first"):
        fit(Request(image=images.picture(noisy((64, 64)))))


def test_a_mask_of_zeros_and_ones_is_said():
    mask = Image.new("L", (64, 64))
    mask.paste(1, (16, 16, 48, 48))
    _, notes = fit(request(noisy((64, 64)), mask))
    assert any("brightest value is 1 of 255" in note for note in notes)


@pytest.mark.parametrize("feather", [0, 12])
@pytest.mark.parametrize("shape", [(20, 40, 60, 70), (0, 0, 30, 10), (150, 90, 200, 150)])
def test_only_the_masked_part_is_generated_and_all_else_kept(shape, feather):
    picture, mask = noisy((200, 150)), Image.new("L", (200, 150))
    mask.paste(255, shape)
    asked = request(picture, mask, padding=16, feather=feather, width=128, height=64)
    canvas, notes = fit(asked)
    left, upper, right, lower = canvas.around.box
    assert (left <= max(0, shape[0] - 16)) == (right >= min(200, shape[2] + 16)) == True  # noqa: E712
    assert upper <= max(0, shape[1] - 16)
    assert lower >= min(150, shape[3] + 16)
    assert 0 <= left < right <= 200
    assert 0 <= upper < lower <= 150
    assert canvas.picture.size == canvas.mask.size == (128, 64)
    assert abs((right - left) / (lower - upper) - 2) < 0.1  # the proportions asked for
    finished = np.asarray(canvas.finish(Image.new("RGB", (128, 64), (255, 0, 255))))
    kept = np.asarray(mask) == 0
    assert finished.shape == (150, 200, 3)
    assert np.array_equal(finished[kept], np.asarray(picture)[kept])
    if not feather:
        assert (finished[~kept] == (255, 0, 255)).all()
    assert any("Only the part" in note for note in notes)
    assert np.array_equal(canvas.untouched(), picture)


def test_a_part_as_large_as_the_picture_is_the_picture():
    picture, mask = noisy((64, 64)), Image.new("L", (64, 64), 255)
    canvas, _ = fit(request(picture, mask, padding=8, width=64, height=64))
    assert canvas.around.box == (0, 0, 64, 64)
    assert np.array_equal(canvas.picture, picture)


@pytest.mark.parametrize(
    ("hole", "whole"), [((20, 12, 52, 60), (64, 64)), ((40, 40, 83, 60), (200, 150))]
)
def test_a_part_that_is_almost_as_large_as_what_is_generated_is_not_resampled(hole, whole):
    """It would be made softer, for two pixels, or six."""
    picture, mask = noisy(whole), Image.new("L", whole)
    mask.paste(255, hole)
    canvas, notes = fit(request(picture, mask, padding=8, width=64, height=64))
    left, upper, right, lower = canvas.around.box
    assert (right - left, lower - upper) == (64, 64)
    assert np.array_equal(canvas.picture, picture.crop(canvas.around.box))
    drawn = Image.fromarray(255 - np.asarray(canvas.picture))
    finished = np.asarray(canvas.finish(drawn).crop(hole))
    assert np.array_equal(finished, 255 - np.asarray(picture.crop(hole)))
    assert any("Only the part" in note for note in notes) == (whole != (64, 64))


def test_the_size_of_a_part_is_the_models_own():
    asked = request(noisy((200, 150)), disc((200, 150)), padding=0)
    assert (asked.width, asked.height) == (512, 512)
