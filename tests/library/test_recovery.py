"""A picture's LoRAs and embeddings in a library: by hash, by name, or said to be missing."""

import hashlib
from dataclasses import dataclass

import pytest
from helpers.any_request import png
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sdnb
from sdnb import Library, Lora
from sdnb.images import infotext
from sdnb.images.used_files import UsedFile
from sdnb.library import with_files
from sdnb.request import Request

TEXT = (
    "a castle <lora:pixelart:0.5:0.8>, (EasyNegative:0.5)\nNegative prompt: easynegative, x\n"
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, Clip skip: 2, "
    'Lora hashes: "pixelart: {lora}", TI hashes: "easynegative: {ti}", Version: v1.10.1'
)


@dataclass
class Made:
    request: Request
    files: tuple[UsedFile, ...] = ()


@pytest.fixture
def library(webui, cache):
    return Library(webui)


@pytest.fixture
def hashes(library):
    lora, ti = library.find("lora", "pixelart"), library.find("embedding", "easynegative")
    return {"lora": lora.short_hash, "ti": ti.short_hash}


def test_files_that_are_there_change_nothing(library, hashes):
    saved = infotext.read(TEXT.format(**hashes))
    assert with_files(saved, library) == (saved.request, [])
    assert (saved.request.syntax, saved.request.clip_skip) == ("a1111", 2)


def test_renamed_files_are_found_by_their_hash(library, hashes, webui):
    lora = webui / "models" / "Lora"
    (lora / "pixelart.safetensors").rename(lora / "styles" / "retro.safetensors")
    old = webui / "embeddings" / "easynegative.safetensors"
    old.rename(old.with_name("bad hands.safetensors"))
    library.refresh()
    request, notes = with_files(infotext.read(TEXT.format(**hashes)), library)
    assert request.prompt == "a castle <lora:retro:0.5:0.8>, (bad hands:0.5)"
    assert request.negative == "bad hands, x"
    assert notes == [
        "The lora 'pixelart' is 'styles/retro' in this library: its hash says so.",
        "The embedding 'easynegative' is 'bad hands' in this library: its hash says so.",
    ]


def test_a_hash_that_was_never_computed_is_on_demand(library, webui):
    path = webui / "models" / "Lora" / "pixelart.safetensors"
    data = path.read_bytes()
    digest = hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()
    path.rename(path.with_name("retro.safetensors"))
    library.refresh()
    made = Made(Request("<lora:pixelart:1>"), (UsedFile("lora", "pixelart", digest[:12]),))
    request, (note,) = with_files(made, library)
    assert request == made.request
    assert digest[:12] in note
    request, _ = with_files(made, library, hash_missing=True)
    assert request.prompt == "<lora:retro:1>"


def test_another_file_of_the_name_is_said(library):
    saved = infotext.read(TEXT.format(lora="0" * 12, ti="1" * 12))
    request, notes = with_files(saved, library)
    assert request == saved.request
    assert [note.split(" is another file ")[0] for note in notes] == [
        "Lora 'pixelart'",
        "Embedding 'easynegative'",
    ]
    assert "not 000000000000" in notes[0]


def test_missing_files_stay_in_the_request_and_are_said(library):
    text = TEXT.replace("pixelart", "gone").format(lora="0" * 12, ti="1" * 12)
    saved = infotext.read(text.replace("easyn", "n"))
    request, notes = with_files(saved, library)
    assert request == saved.request
    assert "no lora 'gone'" in notes[0]
    assert "000000000000" in notes[0]
    assert "no embedding 'negative'" in notes[1]
    made = Made(Request(loras=[Lora("styles/gone", sha256="0" * 64)]))
    assert "no lora 'styles/gone'" in with_files(made, library)[1][0]
    assert "hash_missing" not in with_files(made, library, hash_missing=True)[1][0]


def test_the_field_gets_names_and_digests_of_this_library(library, webui):
    file = library.find("lora", "pixelart")
    asked = (
        Lora("C:\\loras\\old.safetensors", 0.5, sha256=file.sha256),
        Lora("other/folders/pixelart.safetensors", 0.6, 0.1),
        Lora(str(file.path), 0.7),
        Lora("pixelart", 0.8, sha256="0" * 64),
        Lora("pixelart", 0.8),
    )
    request, notes = with_files(Made(Request(loras=asked)), library)
    assert request.loras == (
        Lora("pixelart", 0.5, sha256=file.sha256),
        Lora("pixelart", 0.6, 0.1, sha256=file.sha256),
        asked[2],
        Lora("pixelart", 0.8, sha256=file.sha256),
        Lora("pixelart", 0.8, sha256=file.sha256),
    )
    assert [note[:20] for note in notes] == ["The lora 'C:\\\\loras\\", "Lora 'pixelart' is a"]


def test_controls_get_the_names_of_this_library(library):
    file, picture = library.find("control", "canny"), png()
    asked = (
        sdnb.Control("theirs", picture, 0.5, sha256=file.sha256),
        sdnb.Control("canny", picture, prepare="canny"),
        sdnb.Control(str(file.path), picture),
        sdnb.Control("gone", picture, sha256="0" * 64),
    )
    request, notes = with_files(Made(Request(controls=asked)), library)
    assert request.controls == (
        sdnb.Control("canny", picture, 0.5, sha256=file.sha256),
        sdnb.Control("canny", picture, prepare="canny", sha256=file.sha256),
        asked[2], asked[3],
    )  # fmt: skip
    assert [note[:30] for note in notes] == [
        "The control 'theirs' is 'canny", "There is no control network 'g",
    ]  # fmt: skip
    request, (note,) = with_files(Made(Request(controls=asked)), None)
    assert request.controls == asked
    assert note.startswith(
        "It was made with the net theirs, the net canny, the net gone. A library"
    )


def test_without_a_library_they_are_named(library, hashes):
    saved = infotext.read(TEXT.format(**hashes))
    request, (note,) = with_files(saved, None)
    assert request == saved.request
    assert note.startswith("It was made with the LoRA pixelart, the embedding easynegative. A lib")
    assert with_files(Made(Request("a cat")), None) == (Request("a cat"), [])


def test_a_lora_of_unknown_strength_is_left_out(library, hashes):
    saved = infotext.read(TEXT.format(**hashes).replace("<lora:pixelart:0.5:0.8>", ""))
    request, (note,) = with_files(saved, library)
    assert request == saved.request
    assert "the LoRA 'pixelart', too, which is left out" in note


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.text(min_size=1), st.sampled_from(["", "0" * 12, "ab"]))
@pytest.mark.slow
def test_no_name_is_an_error(library, text, name, digest):
    files = (UsedFile("embedding", name, digest), UsedFile("lora", name, digest))
    request = Request(f"{text} <lora:{name}:1>", text, loras=[f"~{name}"])
    got, notes = with_files(Made(request, files), library)
    assert got == request
    assert notes
