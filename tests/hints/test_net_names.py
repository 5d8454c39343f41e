"""What a network wants, by its file's name."""

import pytest

from sdnb.hints import PREPARATIONS, Wanted, wanted

NAMES = [
    ("control_v11p_sd15_canny", "canny"), ("control_v11p_sd15_scribble.pth", "scribble"),
    ("control_v11p_sd15_softedge", "softedge"), ("control_sd15_hed.safetensors", "softedge"),
    ("control_v11p_sd15_lineart", "lineart"), ("control_v11p_sd15s2_lineart_anime", "lineart"),
    ("control_v11f1e_sd15_tile [a371b31b]", "tile"), ("control_v11p_sd15_inpaint", "inpaint"),
    ("control_v11e_sd15_shuffle", "shuffle"), ("t2iadapter_canny_sd15v2", "canny"),
    ("t2iadapter_sketch_sd14v1", "scribble"), ("ioclab_sd15_recolor", "recolor"),
    (r"C:\models\depth\control_canny-fp16", "canny"), ("controlnet-canny-sd21", "canny"),
    ("lllyasviel/sd-controlnet-canny", "canny"), ("control_v1p_sd15_brightness", "recolor"),
]  # fmt: skip
NETWORKS = [
    "control_v11f1p_sd15_depth", "control_v11p_sd15_openpose", "control_v11p_sd15_normalbae",
    "control_v11p_sd15_seg", "control_v11p_sd15_mlsd", "t2iadapter_keypose_sd14v1",
    "t2iadapter_zoedepth_sd15v1", "sd-controlnet-normal", "control_mediapipe_face_sd15_v2",
]  # fmt: skip


@pytest.mark.parametrize(("name", "prepare"), NAMES)
def test_a_name_tells_the_preparation(name, prepare):
    found = wanted(name)
    assert found is not None
    assert found.prepare == prepare
    assert prepare in PREPARATIONS


@pytest.mark.parametrize("name", NETWORKS)
def test_what_needs_a_network_is_said(name):
    found = wanted(name)
    assert found is not None
    assert found.prepare is None
    assert "which a network makes" in found.note


def test_the_picture_itself_and_nothing_known():
    assert wanted("control_v11e_sd15_ip2p") == Wanted(
        None, "It takes the picture itself, and words that tell the change."
    )
    assert wanted("control_v1p_sd15_qrcode_monster").note.startswith("It takes the pattern")
    assert wanted("my_net") is None
    assert wanted("depth/my_net") is None  # a folder does not count
    assert wanted("my_net", {"modelspec.title": "My Canny", "other": "depth"}).prepare == "canny"
    assert wanted("x" * 100_000) is None
