"""Control networks in AUTOMATIC1111's text: what is written there, and what other texts tell."""

import re

import pytest
from helpers.any_request import controls, png
from hypothesis import given, settings
from hypothesis import strategies as st

from sdnb.images import infotext
from sdnb.images.control_text import read, write
from sdnb.images.used_files import UsedFile
from sdnb.request import Request, Settings
from sdnb.request.control import Control

LINE = "a cat\nSteps: 20, Sampler: Euler, Seed: 1, Size: 512x512, {}Version: v1.10.1"
PICTURE = png()


def told(text):
    return infotext.read(LINE.format(f"{text}, "))


def test_the_keys_are_those_of_the_web_uis_extension():
    request = Request("a cat", controls=[
        Control("nets/control_v11p_sd15_canny.pth", PICTURE, 0.8, 0, 0.5, "canny", "prompt", (50,)),
        Control("tile, one: two", PICTURE, prepare="tile", fit="crop"),
        Control("pose", PICTURE),
    ]).resolved(Settings())  # fmt: skip
    files = (UsedFile("control", "nets/control_v11p_sd15_canny.pth", "ab" * 32, short="d14c016b"),)
    text = infotext.write(request, "v1-5", "0" * 64, "1", files)
    assert (
        'ControlNet 0: "Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 0.8, '
        "Resize Mode: Just Resize, Threshold A: 50, Threshold B: 200, "
        "Guidance Start: 0, Guidance End: 0.5, Pixel Perfect: True, "
        'Control Mode: My prompt is more important", '
        'ControlNet 1: "Module: tile_resample, Model: tile one two, Weight: 1, '
        "Resize Mode: Crop and Resize, Threshold A: 1, Guidance Start: 0, "
    ) in text
    assert 'ControlNet 2: "Module: none, Model: pose, Weight: 1, ' in text
    back = infotext.read(text)
    assert [(f.kind, f.name, f.hash) for f in back.files if f.kind == "control"] == [
        ("control", "control_v11p_sd15_canny", "d14c016b"),
        ("control", "tile one two", ""), ("control", "pose", ""),
    ]  # fmt: skip
    assert sum(note.startswith("Left out: the control network") for note in back.notes) == 3
    assert "ControlNet" not in "".join(back.notes)


def test_a_control_without_a_picture_is_laid_as_the_picture_is():
    (text,) = write([Control("tile", prepare="tile")], (), "crop").values()
    assert "Resize Mode: Crop and Resize" in text
    (text,) = write([Control("tile", fit="fill")], (), "fit").values()
    assert "Resize Mode: Just Resize" in text


UNITS = [
    (  # 2024
        (
            'ControlNet 0: "Module: tile_resample, '
            "Model: control_v11f1e_sd15_tile_fp16 [3b860298], Weight: 0.6, "
            "Resize Mode: Crop and Resize, Processor Res: 512, Threshold A: 1.0, "
            "Threshold B: 0.5, Guidance Start: 0.0, Guidance End: 1.0, Pixel Perfect: True, "
            'Control Mode: ControlNet is more important"'
        ),
        ("control_v11f1e_sd15_tile_fp16", "3b860298"),
        "picture, scale=0.6, prepare='tile', mode='control', fit='crop')",
    ),
    (  # 2023, with numbers for modes
        (
            'ControlNet 1: "Module: none, Model: qrCodeMonster_v20 [5e5778cb], Weight: 1.34, '
            "Resize Mode: 2, Low Vram: False, Guidance Start: 0.23, Guidance End: 0.5, Pixel "
            'Perfect: False, Control Mode: 1"'
        ),
        ("qrCodeMonster_v20", "5e5778cb"),
        "picture, scale=1.34, start=0.23, end=0.5, mode='prompt', fit='fill')",
    ),
    (  # before
        (
            'ControlNet: "preprocessor: canny, model: control_v11p_sd15_canny [d14c016b], '
            "weight: 1, starting/ending: (0, 0.8), resize mode: Just Resize, pixel perfect: False, "
            'control mode: Balanced, preprocessor params: (512, 100, 200)"'
        ),
        ("control_v11p_sd15_canny", "d14c016b"),
        "picture, end=0.8, prepare='canny')",
    ),
    (
        (
            'ControlNet 0: "Module: lineart_standard (from white bg & black line), Model: x, '
            'Weight: 1.0, Control Mode: ControlMode.CONTROL"'
        ),
        ("x", ""),
        "picture, prepare='lineart', mode='control')",
    ),
    (
        (
            'ControlNet 0: "Module: depth_leres++, Model: control_v11f1p_sd15_depth [cfd03158], '
            'Weight: 0.4"'
        ),
        ("control_v11f1p_sd15_depth", "cfd03158"),
        "give it again (a hint that 'depth_leres++' makes: give it ready-made)",
    ),
]


@pytest.mark.parametrize(("text", "net", "words"), UNITS)
def test_what_other_texts_tell_is_said_as_code(text, net, words):
    saved = told(text)
    (file,) = [f for f in saved.files if f.kind == "control"]
    assert (file.name, file.hash) == net
    (note,) = [n for n in saved.notes if n.startswith("Left out: the control network")]
    assert words in note
    assert "the picture that it followed is not stored in it" in note
    assert saved.request.controls == ()
    assert saved.request.seed == 1


def test_the_code_of_a_note_makes_the_control():
    given_ = Control("net", PICTURE, 0.5, 0.25, 0.75, "xdog", "control", fit="crop")
    (text,) = write([given_], ()).values()
    note = read({"ControlNet 0": text})[1][0]
    code = re.search(r"controls=(\[.*\])\.$", note)[1]
    assert eval(code, {"sdnb": __import__("sdnb"), "picture": PICTURE}) == [given_]


def test_a_unit_without_a_net_and_what_is_no_unit():
    saved = told('ControlNet 0: "Module: reference_only, Model: None, Weight: 1"')
    assert not saved.files
    assert not any("control network" in note for note in saved.notes)
    values = {"ControlNet version": "1", "ControlNets": "2", "ControlNet 1": ""}
    assert read(values) == ((), [])
    assert set(values) == {"ControlNet version", "ControlNets"}


@settings(max_examples=30)
@given(st.lists(controls(), max_size=3))
def test_any_controls_can_be_written_and_read(several):
    request = Request("a", controls=several).resolved(Settings())
    assert infotext.read(infotext.write(request, "m", "0" * 64, "1")).request.seed == request.seed


@settings(max_examples=50)
@given(st.text())
def test_no_text_of_a_unit_is_an_error(text):
    files, notes = read({"ControlNet 0": text, "ControlNet 1": f"Model: {text}, Weight: {text}"})
    assert len(files) == len(notes) <= 2
    assert all(len(note) < 1000 for note in notes)
