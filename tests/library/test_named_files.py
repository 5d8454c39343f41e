"""Which files a request names, and which of them are others elsewhere."""

import hashlib
import shutil
from dataclasses import replace

import pytest
from helpers.any_request import png

from sdnb import Control, Library, Lora
from sdnb.images.used_files import UsedFile, of_json
from sdnb.library import lacking, named, others
from sdnb.request import Request


@pytest.fixture
def library(webui, cache):
    return Library(webui)


def digest(webui, path):
    return hashlib.sha256((webui / path).read_bytes()).hexdigest()


def test_the_files_of_a_request(library, webui, tmp_path):
    pixelart = digest(webui, "models/Lora/pixelart.safetensors")
    path = shutil.copy(webui / "models" / "Lora" / "peft.safetensors", tmp_path)
    request = Request(
        "(EasyNegative:0.5) <lora:pixelart-final:0.5> <lora:gone:1> <cat-toy>", "a two, easy",
        loras=[Lora("styles/sd2"), Lora(path, 0.1), Lora("pixelart", sha256="0" * 64)],
    )  # fmt: skip
    assert named(request, library) == (
        UsedFile("lora", "styles/sd2", digest(webui, "models/Lora/styles/sd2.safetensors")),
        UsedFile("lora", path, digest(webui, "models/Lora/peft.safetensors")),
        UsedFile("lora", "pixelart", "0" * 64),
        UsedFile("lora", "pixelart-final", pixelart),
        UsedFile("embedding", "easynegative", digest(webui, "embeddings/easynegative.safetensors")),
        UsedFile("embedding", "learned_embeds", digest(webui, "embeddings/learned_embeds.bin")),
        UsedFile("embedding", "two", digest(webui, "embeddings/two.bin")),
    )
    assert [file.name for file in named(request, None)] == [path, "pixelart"]
    assert named(Request("<lora:x:lbwe=1>"), library) == ()  # a run refuses it


def test_control_networks_are_among_them(library, webui):
    canny = digest(webui, "models/ControlNet/canny.safetensors")
    nets = (Control("canny", png()), Control("gone", png()), Control("x", png(), sha256="0" * 64))
    there = named(Request(controls=nets), library)
    assert there == (UsedFile("control", "canny", canny), UsedFile("control", "x", "0" * 64))
    assert of_json([file.plain() for file in there]) == there
    changed = (replace(there[0], hash="ab" * 32),)
    assert others(changed, Request(controls=nets), library) == [
        f"the control 'canny' (sha256 abababababab expected, {canny[:12]} found)"
    ]


def test_others(library, webui):
    request = Request("<lora:faces/fog:1> <lora:styles/fog:1> <lora:gone:1>", "two")
    for folder, name in (("faces", "pixelart"), ("styles", "peft")):
        (webui / "models" / "Lora" / folder).mkdir(exist_ok=True)
        one = webui / "models" / "Lora" / f"{name}.safetensors"
        shutil.copy(one, one.parent / folder / "fog.safetensors")
    there = named(request, library)
    assert [file.name for file in there] == ["faces/fog", "styles/fog", "two"]
    assert others(there, request, library, missing=True) == []
    assert others(of_json([file.plain() for file in there]), request, library) == []
    changed = (
        replace(there[1], hash="ab" * 32), UsedFile("lora", "gone", "cd" * 32),
        UsedFile("checkpoint", "v1", "ef" * 32), UsedFile("lora", "faces/fog"),
    )  # fmt: skip
    found = there[1].hash[:12]
    style = f"the lora 'styles/fog' (sha256 abababababab expected, {found} found)"
    assert others(changed, request, library) == [style]
    gone = "the lora 'gone' (sha256 cdcdcdcdcdcd expected, none found)"
    assert lacking(changed, request, library) == [style, gone]
    assert others(there, request, None) == []


def test_what_came_lately_is_not_lacking(library, webui, tmp_path):
    path = webui / "embeddings" / "two.bin"
    request = Request("two")
    there = named(request, library)
    path.rename(tmp_path / "two.bin")
    library.refresh()
    assert lacking(there, request, library)
    (tmp_path / "two.bin").rename(path)
    assert lacking(there, request, library) == []
