"""Results in a cell, in a file, and back: the same request, the same picture, byte for byte."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

import sdnb
from sdnb.images.result import Result

pytestmark = pytest.mark.picture


@pytest.fixture(scope="module")
def model():
    return sdnb.load()


def quick(**fields):
    return {"width": 64, "height": 64, "steps": 3, "seed": 11, "progress": False, **fields}


def disc():
    mask = Image.new("L", (64, 64))
    mask.paste(255, (16, 16, 48, 48))
    return mask


def assert_repeats(model, result, tmp_path):
    """Save, read, run: the same bytes of pixels, for each picture."""
    for path, image in zip(result.save(tmp_path), result.images, strict=True):
        request = sdnb.read(path)
        again = sdnb.generate(model, request, progress=False)
        assert again.image.tobytes() == image.tobytes()
        assert again.request == request


def test_txt2img_from_its_file(model, tmp_path):
    result = sdnb.txt2img(
        model, "a fox:1 snow:0.5 at 12:30", negative="dark", count=2, sampler="euler_a", **quick()
    )
    assert_repeats(model, result, tmp_path)


def test_img2img_and_inpainting_from_their_files(model, tmp_path):
    first = sdnb.txt2img(model, "a fox", **quick())
    assert_repeats(model, sdnb.img2img(model, "a cat", image=first, **quick()), tmp_path)
    changed = sdnb.inpaint(model, "a cat", image=first, mask=disc(), feather=4, **quick())
    assert_repeats(model, changed, tmp_path)
    black = np.asarray(disc()) == 0
    assert np.array_equal(np.asarray(changed.image)[black], np.asarray(first.image)[black])
    assert not np.array_equal(changed.image, first.image)


@pytest.mark.parametrize("content", ["noise", "fill"])
@pytest.mark.parametrize("padding", [None, 8])
def test_masked_content_and_a_part_alone(model, tmp_path, content, padding):
    first = sdnb.txt2img(model, "a fox", **quick())
    changed, plain = (
        sdnb.inpaint(
            model, "a cat", image=first, mask=disc(), strength=0.5, **quick(padding=padding, **kind)
        )
        for kind in ({"content": content}, {})
    )
    assert_repeats(model, changed, tmp_path)
    black = np.asarray(disc()) == 0
    assert np.array_equal(np.asarray(changed.image)[black], np.asarray(first.image)[black])
    assert not np.array_equal(changed.image, plain.image)


def test_strength_zero_of_a_part_gives_the_picture_back(model):
    first = sdnb.txt2img(model, "a fox", **quick())
    same = sdnb.inpaint(model, "", image=first, mask=disc(), strength=0, padding=3, **quick())
    assert np.array_equal(same.image, first.image)


def test_a_mask_may_be_any_picture_wherever_it_is_given(model, tmp_path):
    first = sdnb.txt2img(model, "a fox", **quick())
    disc().save(tmp_path / "mask.png")
    words = {"image": first, "mask": tmp_path / "mask.png", **quick()}
    masked, inpainted = sdnb.img2img(model, "a cat", **words), sdnb.inpaint(model, "a cat", **words)
    assert masked.request == inpainted.request
    assert masked.request.mask == sdnb.images.mask(disc())
    for none in (None, 3):
        with pytest.raises(TypeError, match=f"mask={none} is of type .*; accepted are a path"):
            sdnb.inpaint(model, "a cat", **{**words, "mask": none})


def test_upscale_keeps_prompt_and_settings_and_doubles(model, tmp_path):
    first = sdnb.txt2img(model, "a fox", negative="dark", count=2, cfg=3, **quick())
    big = sdnb.upscale(model, first, index=1, progress=False)
    assert big.image.size == (128, 128)
    asked = big.request
    assert (asked.prompt, asked.negative, asked.cfg, asked.seed, asked.strength, asked.count) == (
        "a fox", "dark", 3, 12, 0.5, 1,
    )  # fmt: skip
    assert big.notes == ()
    assert_repeats(model, big, tmp_path)
    plain = {"prompt": "a square", "steps": 3, "seed": 1, "progress": False}
    assert sdnb.upscale(model, disc(), width=96, strength=0.4, **plain).image.size == (96, 96)


def test_a_size_that_is_asked_for_is_the_size_of_the_result(model, tmp_path):
    plain = {"prompt": "a square", "steps": 1, "seed": 1, "progress": False}
    small = disc().resize((60, 60))
    for result in (
        sdnb.upscale(model, small, width=64, height=64, **plain),
        sdnb.img2img(model, image=small, width=64, height=64, **plain),
        sdnb.inpaint(model, image=small, mask=small, width=64, height=64, **plain),
    ):
        assert result.image.size == (result.request.width, result.request.height) == (64, 64)
        assert result.notes == ()
    assert_repeats(model, result, tmp_path)
    stretched = sdnb.img2img(model, image=small.crop((0, 0, 64, 60)), width=64, height=64, **plain)
    assert ["stretched from 64x60" in note for note in stretched.notes] == [True]
    opened = sdnb.img2img(model, image=small, **plain)
    assert opened.image.size == (60, 60)
    assert "cut back to its own size" in opened.notes[0]
    assert_repeats(model, opened, tmp_path)


def test_another_sampler_for_a_result_brings_its_own(model, tmp_path):
    first = sdnb.txt2img(model, "a fox", sampler="euler_a", **quick())
    big = sdnb.upscale(model, first, sampler="dpmpp_2m", width=64, height=64, progress=False)
    assert (big.request.eta, big.request.schedule) == (0.0, "karras")
    path = sdnb.txt2img(model, "a fox", **quick()).save(tmp_path / "ddim.png")[0]
    lively = sdnb.generate(model, sdnb.read(path).but(sampler="euler_a"), progress=False)
    assert lively.request == first.request
    assert np.array_equal(lively.image, first.image)


def test_a_result_shows_itself_with_its_notes(model):
    result = sdnb.txt2img(model, 'a "fox" at 12:30 <b>', count=3, **quick())
    html = result._repr_html_()
    data = base64.b64decode(re.search(r"base64,([^\"]+)", html)[1])
    sheet = Image.open(io.BytesIO(data))
    assert sheet.width > 3 * 64 or sheet.height > 2 * 64
    assert "<b>" not in html.replace("&lt;b&gt;", "")
    assert "12:30" in html.split("</div>")[0]
    assert "seed 11" in repr(result)
    assert result.seconds > 0
    assert result.peak > 0.1


def test_a_failed_save_keeps_the_pictures(model, tmp_path):
    result = sdnb.txt2img(model, "a fox", **quick())
    occupied = tmp_path / "file"
    occupied.write_text("not a folder")
    with pytest.raises(OSError, match="images"):
        result.save(occupied)
    assert result.save(tmp_path / "folder")[0].exists()


def test_the_public_result_is_this_one():
    assert sdnb.Result is Result
