"""Texts inside files that are made byte by byte, or as other programs make them."""

from __future__ import annotations

import html
import json
import random
import zlib
from dataclasses import replace
from io import BytesIO

import pytest
from helpers.pictures import chunk, colour, encoded, raw_png, result
from PIL import Image

from sdnb import images
from sdnb.request import Request

VALUES = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512"
PROMPTS = ["a cat", "一只猫坐在桌子上", "テスト", "кошка на столе", "café au lait"]


def png(*chunks):
    return raw_png(1, 1, 8, 2, [b"\0\0\0"], b"".join(chunks))


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize(
    ("name", "before"),
    [
        (b"tEXt", b"parameters\0"), (b"zTXt", b"parameters\0\0"),
        (b"iTXt", b"parameters\0\0\0\0\0"), (b"iTXt", b"parameters\0\1\0en\0key\0"),
    ],
)  # fmt: skip
def test_text_chunks_of_all_kinds_in_utf8(prompt, name, before):
    text = f"{prompt}\n{VALUES}".encode()
    packed = name == b"zTXt" or b"\0\1" in before
    data = png(chunk(name, before + (zlib.compress(text) if packed else text)))
    assert images.read(data).prompt == prompt


def test_a_text_in_latin1_stays_latin1():
    data = png(chunk(b"tEXt", b"parameters\0" + f"café\n{VALUES}".encode("latin-1")))
    assert images.read(data).prompt == "café"


@pytest.mark.parametrize("prompt", ["cafÃ©", "Ã©Â°", "naïve", "猫"])
def test_our_own_texts_come_back_whatever_their_bytes_look_like(prompt):
    data = images.encoded(result(prompt))
    assert images.read(data).prompt == prompt
    # Earlier versions wrote what Latin-1 can hold in Latin-1.
    about = json.dumps(json.loads(Image.open(BytesIO(data)).text["sdnb"]), ensure_ascii=False)
    if prompt != "猫":
        old = png(chunk(b"tEXt", b"sdnb\0" + about.encode("latin-1")))
        assert images.read(old).prompt == prompt
    # What is left when an editor drops our own text.
    text = Image.open(BytesIO(data)).text["parameters"]
    left = png(chunk(b"iTXt", b"parameters\0\0\0\0\0" + text.encode()))
    assert images.read(left).prompt == prompt


def exif_of(comment, *, inside=True):
    exif = Image.Exif()
    (exif.get_ifd(0x8769) if inside else exif)[0x9286] = comment
    return exif.tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "PNG"])
@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("code", ["utf-16-be", "utf-16-le", "utf-8"])
def test_the_infotext_in_exif(kind, prompt, code):
    text = f"{prompt}\nNegative prompt: dog\n{VALUES}"
    mark = b"UNICODE\0" if code.startswith("utf-16") else b"ASCII\0\0\0"
    data = encoded(colour(), kind, exif=exif_of(mark + text.encode(code)))
    assert images.read(data) == Request(
        prompt, "dog", width=512, height=512, steps=20, cfg=7, sampler="euler_a",
        schedule="uniform", seed=1, syntax="a1111",
    )  # fmt: skip


@pytest.mark.parametrize(
    "comment",
    [
        b"JIS\0\0\0\0\0" + f"猫\n{VALUES}".encode("iso2022_jp"),
        b"Unicode\0" + f"猫\n{VALUES}".encode("utf-16-le"),
        b"UNICODE\0" + f"猫\n{VALUES}\0".encode(),
    ],
)
def test_codes_of_exif_that_are_rare_or_wrong(comment):
    data = encoded(colour(), "JPEG", exif=exif_of(comment))
    assert images.read(data).prompt == "猫"


@pytest.mark.parametrize("key", [b"Comment", b"Description", b"Parameters", b"UserComment"])
def test_an_infotext_that_an_editor_moved(key):
    data = png(chunk(b"tEXt", key + f"\0a cat\n{VALUES}".encode()))
    assert images.read(data).prompt == "a cat"


def test_the_settings_of_draw_things_in_xmp():
    about = {"c": "a & b", "uc": "dog", "seed": 5, "steps": 20, "scale": 7, "size": "512x768",
             "sampler": "DPM++ 2M Karras", "model": "m"}  # fmt: skip
    text = html.escape(json.dumps(about))
    xmp = (
        "<rdf:Description><exif:UserComment><rdf:Alt><rdf:li xml:lang='x-default'>"
        f"{text}</rdf:li></rdf:Alt></exif:UserComment></rdf:Description>"
    ).encode()
    expected = Request("a & b", "dog", 512, 768, 20, 7, "dpmpp_2m", "karras", seed=5)
    for data in (
        png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)),
        encoded(colour(), "JPEG", xmp=xmp), encoded(colour(), "WEBP", xmp=xmp),
    ):  # fmt: skip
        saved = images.inspect(data)
        assert (saved.request, saved.version) == (expected, "Draw Things")


def test_exif_of_other_places_and_other_programs():
    values = json.dumps({"prompt": "a cat", "steps": 20, "seed": 5, "sampler": "euler"})
    data = encoded(colour(), "JPEG", exif=exif_of(values, inside=False))
    assert images.read(data).seed == 5
    exif = Image.Exif()
    exif[0x010E] = f"a cat\n{VALUES}"
    assert images.read(encoded(colour(), "JPEG", exif=exif.tobytes())).prompt == "a cat"
    assert images.read(encoded(colour(), "GIF", comment=f"a cat\n{VALUES}")).prompt == "a cat"


def test_the_graph_of_comfyui_in_tags_of_the_camera():
    sampler = {"seed": 5, "steps": 20, "sampler_name": "euler", "scheduler": "normal"}
    exif = Image.Exif()
    exif[0x0110] = "prompt:" + json.dumps({"3": {"class_type": "KSampler", "inputs": sampler}})
    exif[0x010F] = "workflow:{}"
    data = encoded(colour(), "WEBP", exif=exif.tobytes())
    assert images.read(data) == Request(
        seed=5, steps=20, sampler="euler", schedule="uniform", syntax="comfy"
    )


def test_what_a_camera_writes_is_not_taken_for_settings():
    exif = Image.Exif()
    exif[0x010E] = "OLYMPUS DIGITAL CAMERA"
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + bytes(100)
    with pytest.raises(ValueError, match=r"carries no request.*'ImageDescription'"):
        images.read(encoded(colour(), "JPEG", exif=exif.tobytes()))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_damaged_exif_and_damaged_files_are_value_errors(kind):
    generator = random.Random(0)
    whole = encoded(colour(), kind, exif=exif_of(b"UNICODE\0" + VALUES.encode("utf-16-be")))
    for _ in range(100):
        data = bytearray(whole[: generator.randrange(20, len(whole))])
        for _ in range(3):
            data[generator.randrange(len(data))] = generator.randrange(256)
        try:
            images.read(bytes(data))
        except ValueError as error:
            assert str(error).startswith("picture (")  # noqa: PT017 - either outcome is right


def test_no_frame_of_an_animation_is_played(monkeypatch):
    """The frames here cannot even be decoded: their content is no pixels."""
    control = chunk(b"acTL", (5000).to_bytes(4, "big") + bytes(4))
    frame = chunk(b"fcTL", bytes(26)) + chunk(b"fdAT", bytes(4) + b"no pixels")
    text = chunk(b"tEXt", b"parameters\0" + f"a cat\n{VALUES}".encode())
    data = raw_png(8, 8, 8, 2, [bytes(24)] * 8, control)
    end = data.index(b"IEND") - 4
    monkeypatch.setattr(Image.Image, "seek", None)
    assert images.read(data[:end] + frame * 5000 + text + data[end:]).prompt == "a cat"
    with pytest.raises(ValueError, match="carries no request"):
        images.read(data[:end] + frame * 5000 + data[end:])


def test_a_text_is_read_though_the_pixels_end_early():
    data = images.encoded(result())
    assert images.read(data[: data.index(b"IDAT") + 20]) == result().request


def test_packed_texts_have_a_bound_all_together():
    one = chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"0" * 6_000_000))
    assert len(one) < 10_000
    with pytest.raises(ValueError, match=r"more than 16 MB.*get the file again"):
        images.read(png(one * 3))


@pytest.mark.parametrize("body", [b"", b"parameters", b"parameters\0", b"parameters\0\1\0", b"\0"])
@pytest.mark.parametrize("name", [b"tEXt", b"zTXt", b"iTXt"])
def test_texts_that_end_early_are_value_errors(name, body):
    with pytest.raises(ValueError, match=r"carries no request|damaged text|no line of values"):
        images.read(png(chunk(name, body)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "made",
    [
        result("a " * 20_000_000),
        replace(result(), notes=tuple(f"note {i}, {'猫' * 20}" for i in range(200_000))),
    ],
    ids=["a prompt of 40 MB", "200000 notes"],
)
def test_a_recipe_that_saves_is_read(made, tmp_path):
    (path,) = images.save(made, tmp_path)
    saved = images.inspect(path)
    assert (saved.request, saved.notes) == (made.request, made.notes)
    assert images.open(images.picture(path)).tobytes() == made.images[0].tobytes()
    assert path.stat().st_size > 10_000_000
