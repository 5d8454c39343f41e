"""A photograph in a panel: the size that is proposed, how it is fitted, how long it will take."""

import asyncio
import io

import numpy as np
import pytest
from helpers.fakes import Model, make, until
from helpers.pictures import encoded
from helpers.widget_hands import alert, called, find, in_sight, press, read
from PIL import Image

from sdnb import images
from sdnb.images import Saved
from sdnb.jobs.executor import Inline
from sdnb.request import Request, Settings, png_header
from sdnb.request.pace import Times
from sdnb.widgets.form.fitted_view import FittedView
from sdnb.widgets.form.size_offer import by_pixels, proposed
from sdnb.widgets.panel import Panel
from sdnb.widgets.upscale import UpscalePanel

pytestmark = pytest.mark.slow

OWN = Settings(128, 128, 5, 4.0)
PHOTO = (800, 600)  # 29 times the pixels of 128x128
NEAR = (160, 120)  # 4:3, and 1.17 times its pixels


def photo(size=PHOTO, colour="teal"):
    return Image.new("RGB", size, colour)


def panel(kind, model=None):
    made = UpscalePanel if kind == "upscale" else lambda *a, **m: Panel(*a[:1], kind, **m)
    return made(model or Model(settings=OWN), executor=Inline(make))


def upload(one, picture, name="photo.png"):
    one.form.controls["image"].take(encoded(picture), name)


def size(one):
    return one.request.width, one.request.height


def test_no_size_is_proposed_that_is_the_pictures_own_and_no_number_is_zero():
    assert proposed((2000, 64), Settings(256, 256, 1)) is None
    assert by_pixels((64, 64), Settings(512, 512, 1)).startswith("64 × 64, less than 0.1 times")


@pytest.mark.parametrize("kind", ["all", "img2img", "inpaint"])
def test_a_large_photo_proposes_a_size_near_the_models_own_and_one_click_takes_its_own(kind):
    one = panel(kind)
    upload(one, photo())
    assert size(one) == NEAR
    if one.form._fold is not None:
        one.form._fold.unfolded = True
    assert (
        "It is made at 160 × 120. The picture is 800 × 600, 29 times the model's own pixels, and "
        "would take that much longer or more."
    ) in read(one)
    assert read(one).count("160 × 120") == 1
    assert called(one, "Take 160 × 120") == []
    press(one, "Take its own size")
    assert size(one) == (None, None)
    assert one.request.resolved(OWN).width == 800
    assert "29 times the model's own pixels: it takes that much longer" in read(one)
    assert called(one, "Take its own size") == []
    press(one, "Take 160 × 120")
    assert size(one) == NEAR


@pytest.mark.parametrize("side", [96, 128, 152])
def test_a_picture_near_the_models_own_size_keeps_it(side):
    one = panel("img2img")
    upload(one, photo((side, side)))
    assert size(one) == (None, None)
    assert "It is made at" not in read(one)


def test_a_picture_too_small_for_the_model_is_made_at_its_size():
    one = panel("img2img")
    upload(one, photo((64, 96)))
    assert size(one) == (112, 168)  # 2:3, and 1.15 times the pixels
    press(one, "Take its own size")
    assert size(one) == (None, None)


def test_what_was_typed_stays_and_what_was_proposed_goes_with_its_photo():
    one = panel("img2img")
    upload(one, photo())
    upload(one, photo((600, 800)))
    assert size(one) == NEAR[::-1]
    one.form.controls["image"]._take(None)
    assert size(one) == (None, None)
    one.request = one.request.but(width=128, height=96)
    upload(one, photo())
    assert size(one) == (128, 96)
    assert called(one, "Take 160 × 120")
    assert called(one, "Take its own size")


@pytest.mark.parametrize("kind", ["all", "img2img", "inpaint"])
def test_a_size_that_came_with_a_picture_goes_with_it(kind):
    one = panel(kind)
    upload(one, photo((96, 96)))
    saved = Saved(Request("a cat", width=64, height=96), "m", "f", "0.1.0", 2.5)
    one._offered(saved)
    assert size(one) == (64, 96)
    one.form.controls["image"]._take(None)
    assert size(one) == (None, None)
    upload(one, photo((96, 96)))
    one._offered(saved)
    if kind == "inpaint":
        find(one, "Settings").value = True
    find(one, "Width").value = 128  # typed since
    one.form.controls["image"]._take(None)
    assert size(one) == (128, 96)


def test_beside_a_number_that_is_refused_no_size_is_said():
    one = panel("txt2img")
    one.form.change(width=64, height=64)
    assert "64 × 64; the model's own is 128 × 128" in read(one)
    find(one, "Width").value = 75
    assert "Width: 75 is not a multiple of 8" in read(one)
    assert "64 × 64" not in read(one)
    find(one, "Width").value = 72
    assert "72 × 64; the model's own is 128 × 128" in read(one)


def test_a_request_that_is_assigned_keeps_its_own():
    one = panel("img2img")
    one.request = Request(image=images.picture(photo()))
    assert size(one) == (None, None)
    assert "29 times the model's own pixels" in read(one)  # but it is said, and offered
    assert called(one, "Take 160 × 120")


def test_a_size_that_no_picture_can_have_is_not_offered():
    one = panel("img2img")
    upload(one, Image.new("RGB", (8200, 100)))
    assert one.request.width * one.request.height < 8200 * 100
    assert called(one, "Take its own size") == []


def test_the_masked_part_alone_keeps_the_photos_size():
    one = panel("inpaint")
    upload(one, photo())
    assert "“Only the masked part” keeps its size." in read(one)
    press(one, "Only the masked part")  # the box for it is in a fold, and there once one has masked
    assert one.request.padding == 32
    assert "Once something is masked, only that is made" in read(one)
    assert called(one, "Only the masked part") == []
    one.form.change(mask=images.mask(Image.new("L", PHOTO, 255)))
    assert "It is made at" not in read(one)
    one.form.change(padding=None)
    press(one, "Only the masked part")
    assert one.request.padding == 32
    one.form.change(padding=8, mask=images.mask(Image.new("L", PHOTO, 255)))
    assert "It is made at" not in read(one)


def test_a_photo_that_is_sent_is_proposed_a_size_too_and_a_result_is_not():
    one = panel("img2img")
    one.gallery.take(encoded(photo(), "JPEG"), "photo.jpg")
    one.use(one.gallery.pictures[0])
    assert size(one) == NEAR
    one.start_from(images.picture(photo()))  # as the button at a result does
    assert size(one) == (None, None)


def test_a_large_photo_is_enlarged_from_a_size_near_the_models_own():
    one = panel("upscale")
    upload(one, photo())
    assert size(one) == (320, 240)  # twice
    assert "29 times the model's own pixels: it is enlarged from 160 × 120." in read(one)
    assert "1. the picture, 800 × 600" in read(one)
    press(one, "Enlarge from its own size")
    assert size(one) == (1600, 1200)
    press(one, "× 1.5")
    assert size(one) == (1200, 896)  # 900 is no multiple of 8
    press(one, "Enlarge from 160 × 120")
    assert size(one) == (240, 176)  # 180 is no multiple of 8
    upload(one, photo((200, 120)))  # 1.5 times the model's: it is enlarged from its own
    assert size(one) == (304, 176)
    assert "enlarged from" not in read(one)


def test_a_factor_too_large_for_one_side_is_smaller_for_both():
    one = panel("upscale")
    one.start_from(images.picture(Image.new("RGB", (96, 64))))
    one.enlarge(128)
    assert size(one) == (8192, 5464)  # 8192 / 96 * 64 = 5461.3


def test_other_proportions_of_an_upscale_from_words_begin_with_them():
    one = panel("upscale")
    one.request = Request("a cat", width=768, height=384)
    first, last = one.passes()
    assert (first.width, first.height) == (176, 88)  # 2:1
    assert (last.width, last.height) == (768, 384)


# -- how it is fitted, before it is made ----------------------------------------------------------


def shown(view):
    """The picture of a FittedView, as numbers."""
    return np.asarray(Image.open(io.BytesIO(view._image.value)).convert("RGB")).astype(int)


def halves(width=400, height=200):
    """Red, green, blue and white columns, a quarter of the width each."""
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]], np.uint8)
    return Image.fromarray(np.repeat(colours[None], height, 0).repeat(width // 4, 1))


def fitted(fit, mask=None, size=(64, 64), **more):
    view = FittedView()
    png = images.picture(halves())
    mask = None if mask is None else images.mask(mask)
    view.show(Request(image=png, mask=mask, width=size[0], height=size[1], fit=fit, **more))
    return view


def test_the_fitted_picture_is_seen():
    stretched = shown(fitted("stretch"))
    assert stretched.shape == (192, 192, 3)
    for at, colour in ((24, (255, 0, 0)), (72, (0, 255, 0)), (168, (255, 255, 255))):
        assert np.abs(stretched[96, at] - colour).max() < 40
    cropped = shown(fitted("crop"))  # only its middle half: green and blue
    assert cropped.shape == (192, 192, 3)
    assert np.abs(cropped[96, 48] - (0, 255, 0)).max() < 40
    assert np.abs(cropped[96, 144] - (0, 0, 255)).max() < 40
    filled = shown(fitted("fill"))  # all four in 192 x 96, and their rims above and below
    assert filled.shape == (192, 192, 3)
    for row in (8, 96, 184):
        assert np.abs(filled[row, 24] - (255, 0, 0)).max() < 40
    inside = shown(fitted("fit"))
    assert inside.shape == (96, 192, 3)
    assert np.abs(inside[48, 72] - (0, 255, 0)).max() < 40


def test_the_mask_is_seen_with_it_and_what_a_fill_adds():
    mask = Image.new("L", (400, 200))
    mask.paste(255, (300, 0, 400, 200))  # the white quarter
    veil = np.array([0xFF, 0x2D, 0x78]) * 0.55 + 255 * 0.45
    seen = shown(fitted("fill", mask))
    assert np.abs(seen[96, 168] - veil).max() < 30
    assert np.abs(seen[96, 24] - (255, 0, 0)).max() < 30
    assert np.abs(seen[16, 72] - (0.55 * np.array([0xFF, 0x2D, 0x78]) + [0, 115, 0])).max() < 40
    seen = shown(fitted("fill", mask, invert=True))
    assert np.abs(seen[96, 168] - 255).max() < 30
    assert np.abs(seen[16, 168] - veil).max() < 30  # the border is made anew all the same


@pytest.mark.parametrize(
    ("fit", "words"),
    [
        ("stretch", "2.0 times as high"), ("crop", "200 × 200 of 400 × 200"),
        ("fill", "at 64 × 32; what is around"), ("fit", "has 64 × 32"),
    ],
)  # fmt: skip
def test_what_is_done_to_it_is_said(fit, words):
    assert words in fitted(fit)._words.value


def test_the_way_is_offered_where_proportions_differ_and_nowhere_else():
    one = panel("img2img")
    one.form.change(image=images.picture(halves(256, 128)))
    assert called(one, "Fitted by") == []
    one.form.change(width=128, height=128)
    find(one, "Fitted by").value = "fit"
    assert one.request.fit == "fit"
    assert one.request.resolved(OWN).height == 64
    assert find(one, "Fitted by")  # it can be taken back
    assert any(part is one.form._fitted for part in in_sight(one))
    one.form.change(width=128, height=64)
    assert not any(part is one.form._fitted for part in in_sight(one))
    one.form.change(fit="stretch")
    assert called(one, "Fitted by") == []


def test_a_masked_part_is_not_fitted():
    view = fitted("crop", Image.new("L", (400, 200), 255), padding=4)
    assert view.layout.display == "none"


def test_the_mask_editor_shows_the_latent_mask_of_the_fitted_picture():
    one = panel("inpaint")
    one.form.change(image=images.picture(halves()), width=64, height=64, fit="crop")
    state = one.form.controls["mask"].editor._state
    latent, box = state.latent_mask()
    assert latent.size == (8, 8)
    assert box == (100, 0, 300, 200)  # the middle
    one.form.change(fit="fill")
    latent, box = state.latent_mask()
    assert box == (0, -100, 400, 300)  # the borders, too
    assert np.asarray(latent)[:2].min() == 255
    assert np.asarray(latent)[2:6].max() == 0
    one.form.change(feather=4)
    assert state.feather_pixels == 4 * 400 / 64


def test_where_nothing_is_painted_a_fill_makes_the_borders_anew():
    one = panel("inpaint")
    one.form.change(image=images.picture(halves()), width=128, height=128)
    assert one.generate() is None
    assert "Nothing is painted yet" in one.progress.problem
    one.form.change(fit="fill")
    one.generate()
    assert images.open(one.result.request.mask).getextrema() == (0, 0)
    seen = shown(one.form._fitted)
    assert np.abs(seen[96, 24] - (255, 0, 0)).max() < 30
    assert seen[8, 168].min() < 200  # of white, veiled


def test_an_upscaled_picture_is_fitted_as_is_asked():
    one = panel("upscale")
    one.form.change(image=images.picture(halves(96, 48)), width=64, height=64, fit="crop")
    one.generate()
    request = one.result.request
    assert (request.fit, request.width, request.height) == ("crop", 64, 64)
    assert png_header.size(request.image) == (96, 48)


# -- how long it takes ---------------------------------------------------------------------------


def learn(model, seconds, **fields):
    """A run of ten steps of so many seconds each, and nothing beside them."""
    request = Request(seed=1, **{"steps": 10, **fields}).resolved(model.settings)
    ends = [seconds * (i + 1) for i in range(10)]
    model.pace.learn(request, Times(ends, whole=ends[-1]))


def test_nothing_is_said_of_the_time_until_something_is_known():
    model = Model(settings=OWN)
    one = panel("txt2img", model)
    one.form.change(prompt="a cat", steps=20)
    one._show_plan()
    assert "about" not in read(one._plan)
    learn(model, 0.5)
    assert "about 10 s, by the last runs" in read(one._plan)  # told, without a change in the panel
    one.request = Request("a cat", steps=20, count=3)
    assert "about 30 s" in read(one._plan)


def test_a_warning_before_what_takes_long():
    model = Model(settings=OWN)
    learn(model, 0.5)
    one = panel("img2img", model)
    one.request = Request(image=images.picture(photo((512, 512))), steps=30, strength=1)
    # 15 s at 128x128, 16 times the pixels, and attention: (1 + 512²/1195000) / (1 + 128²/1195000).
    assert "It takes about 5 min: fewer pixels" in read(one._plan)
    assert "sdnb-warn" in one._plan.value
    press(one, "Take 128 × 128")
    assert "about 15 s" in read(one._plan)


def test_both_passes_of_an_upscale_are_counted():
    model = Model(settings=OWN)
    learn(model, 0.5)
    learn(model, 2.0, width=256, height=256)
    one = panel("upscale", model)
    one.request = Request("a cat", steps=10, width=256, height=256, strength=0.5)
    assert "about 15 s" in read(one._plan)  # 10 * 0.5 + 5 * 2


def test_a_warning_where_nearly_all_memory_is_taken():
    one = panel("txt2img")
    one.request = Request(width=512)  # the fake has 1.024 GB, and a thousandth of it a pixel
    until(lambda: "0.51 GB" in one._plan.value)
    assert "sdnb-warn" not in one._plan.value
    one.request = Request(width=960)
    until(lambda: "there are 1.02 GB" in one._plan.value)
    assert "sdnb-warn" in one._plan.value


def test_a_large_size_is_warned_of_in_each_tab():
    for kind, side, warned in (
        ("txt2img", 192, False), ("txt2img", 256, True), ("upscale", 512, False),
        ("upscale", 520, True), ("img2img", 256, True),
    ):  # fmt: skip
        one = panel(kind)
        image = images.picture(photo((128, 128))) if kind == "img2img" else None
        one.request = Request(image=image, width=side, height=side)
        assert ("it takes that much longer" in read(one)) is warned, (kind, side)


def test_a_photograph_is_read_beside_the_controls():
    """Where an event loop runs, as in a kernel; Generate waits for it, and says so."""
    first, later = encoded(photo((96, 64)), "JPEG"), encoded(photo((64, 64)), "PNG")
    one = Panel(Model(), "img2img", executor=Inline(make))
    box = one.form.controls["image"]

    async def upload(*files):
        for data in files:
            box.take(data, "photo.jpg")
        assert "photo.jpg is being read" in read(box.widget)
        one.form.change(prompt="a cat")  # the controls are heard
        assert one.generate() is None
        assert "photo.jpg is being read" in alert(one)
        await asyncio.to_thread(until, lambda: not box.wrong)

    asyncio.run(upload(first))
    assert one.request == Request("a cat", image=images.picture(first))
    assert [result.request.image for result in one.results] == [one.request.image]
    asyncio.run(upload(first, later))  # the last one counts
    assert one.request.image == images.picture(later)
    assert [result.request.image for result in one.results][1:] == [one.request.image]

    async def taken_out():
        box.take(first, "photo.jpg")
        one.generate()
        box._take(None)
        await asyncio.sleep(0.3)

    asyncio.run(taken_out())
    assert one.request.image is None
    assert len(one.results) == 2
