"""The networks that the built-in model brings along: equal to diffusers, and a drawing holds."""

import cv2
import numpy as np
import pytest
import torch
from diffusers import T2IAdapter as Theirs
from PIL import Image, ImageDraw

import sdnb
from sdnb.engine.adapters.control_file import matched, open_control

pytestmark = pytest.mark.picture


@torch.inference_mode()
@pytest.mark.parametrize(("name", "channels"), [("sketch", 1), ("tile", 3)])
def test_a_net_equals_diffusers(model, name, channels):
    """Largest absolute error of the maps: 1e-4."""
    folder = sdnb.assets.embedded_model() / "control" / name
    weights = matched(open_control(folder), model.config, {})
    net = weights.build().to_empty(device="cpu")
    for key, value in net.state_dict().items():
        weights.tensors[key].read_into(value)
    hint = torch.rand(1, 3, 128, 192, generator=torch.Generator().manual_seed(0))
    truth = Theirs.from_pretrained(folder, local_files_only=True)(hint[:, :channels])
    maps = net(hint[:, :1].expand(-1, 3, -1, -1) if channels == 1 else hint)
    assert len(maps) == len(truth)
    assert max((ours - its).abs().max() for ours, its in zip(maps, truth, strict=True)) <= 1e-4


def test_the_model_names_them_without_a_library(model):
    assert [file.name for file in model.control_nets] == ["sketch", "tile"]
    with pytest.raises(LookupError, match="'sketsh' among 2 files"):
        sdnb.txt2img(model, "", controls=sdnb.Control("sketsh", drawn("fish")), progress=False)


def drawn(shape):
    """Black lines on white."""
    page = Image.new("RGB", (256, 256), "white")
    pen = ImageDraw.Draw(page)
    if shape == "cat":
        ears = [(70, 95), (62, 35), (105, 62), (150, 62), (193, 35), (185, 95)]
        pen.line(ears, fill="black", width=3, joint="curve")
        pen.arc((55, 55, 200, 215), -35, 215, fill="black", width=3)
        for x in (100, 155):
            pen.ellipse((x - 9, 112, x + 9, 134), outline="black", width=3)
        pen.line([(118, 152), (137, 152), (128, 163), (118, 152)], fill="black", width=3)
        for x in (108, 128):
            pen.arc((x, 155, x + 20, 178), 10, 170, fill="black", width=3)
    else:
        pen.ellipse((30, 85, 180, 175), outline="black", width=3)
        pen.line([(176, 122), (232, 85), (232, 175), (176, 138)], fill="black", width=3)
    return page


def distance(page, picture):
    """The mean distance of drawn pixels to the nearest edge of a picture, in pixels."""
    edges = cv2.Canny(np.asarray(picture), 60, 120)
    away = cv2.distanceTransform(255 - edges, cv2.DIST_L2, 5)
    return away[np.asarray(page.convert("L")) < 128].mean()


@pytest.mark.parametrize(
    ("shape", "prompt"),
    [("cat", "a cat face on a light blue background"), ("fish", "a fish on a blue background")],
)
def test_lines_of_a_drawing_become_edges(model, shape, prompt):
    """They are at most half as far from the nearest edge as without control."""
    page = drawn(shape)
    free, held = (
        sdnb.txt2img(model, prompt, seed=7, steps=6, controls=controls, progress=False).image
        for controls in ((), sdnb.Control("sketch", page, prepare="scribble"))
    )
    assert distance(page, held) <= distance(page, free) / 2
