"""Making a control network: hints, the file that is written, and a trainer's first steps."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image
from test_training import catalog, data  # noqa: F401 - fixtures

import sdnb
from sdnb.engine.adapters.control_file import matched, open_control
from sdnb.engine.networks.config import UNetConfig
from sdnb.engine.networks.t2i_adapter import T2IAdapter, T2IAdapterConfig
from sdnb.engine.networks.unet import UNet
from sdnb.models.training import drawn_hints, recipe, train_control
from sdnb.models.training.painter import Painter
from sdnb.models.training.scenes import plain, stack
from sdnb.models.training.timed import TimedUNet


@pytest.fixture(scope="module")
def ball():
    """A red ball of half the picture's width in the middle of white: pixels and things."""
    pixels = np.full((128, 128, 3), 255, np.uint8)
    rows, columns = np.ogrid[:128, :128]
    things = ((rows - 64) ** 2 + (columns - 64) ** 2 < 32**2).astype(np.uint8)
    pixels[things > 0] = (220, 40, 40)
    return pixels, things


@pytest.mark.parametrize("seed", range(8))
def test_drawn_lines_lie_where_the_thing_ends(ball, seed):
    """Within the pen's half, a stroke's plainness and three times the tremor."""
    pixels, things = ball
    painted = drawn_hints.Painted(pixels, things, np.random.default_rng(seed))
    hint = drawn_hints._outlines(painted)
    rows, columns = np.nonzero(hint > 127)
    away = np.abs(np.hypot(rows - 64, columns - 64) - 32)
    assert len(away) > 20
    assert away.max() < 9 * painted.unit / 2 + 2.5 * painted.unit + 3 * 5 * painted.unit + 1


@pytest.mark.parametrize("kind", list(drawn_hints.KINDS))
def test_a_hint_has_its_kinds_channels_and_the_same_seed_the_same_hint(ball, kind):
    for seed in range(6):
        made = [
            drawn_hints.KINDS[kind](drawn_hints.Painted(*ball, np.random.default_rng(seed)))
            for _ in range(2)
        ]
        assert made[0].shape == (128, 128, drawn_hints.CHANNELS[kind])
        assert made[0].dtype == np.uint8
        assert made[0].any()
        assert np.array_equal(*made)


def test_blobs_are_the_mean_colours(ball):
    pixels, things = ball
    shaded = pixels.copy()
    shaded[:64][things[:64] > 0] = (200, 20, 20)
    hint = drawn_hints._blobs(drawn_hints.Painted(shaded, things, np.random.default_rng(0)))
    assert np.abs(hint[64, 64].astype(int) - shaded[things > 0].mean(axis=0)).max() < 1
    assert hint[0, 0].tolist() == [255, 255, 255]


def test_the_painter_says_what_each_pixel_belongs_to(catalog):  # noqa: F811
    scene = plain(catalog.number[1, "flat"], color=(1, 1, 1), scale=0.5)
    scene.sprite[1], scene.scale[1] = catalog.number[0, "flat"], 0.2
    pictures, things = Painter(catalog.sprites(), 64).with_things(stack([scene]))
    assert things.shape == (1, 64, 64)
    assert [int(things[0, 32, x]) for x in (2, 20, 32)] == [0, 1, 2]
    assert (pictures[0, :, things[0] == 0] == 1).all()


def _random(kind):
    torch.manual_seed(0)
    config = T2IAdapterConfig((96, 128, 160, 96), 2, drawn_hints.CHANNELS[kind])
    return T2IAdapter(config).half().float()


@pytest.mark.parametrize("kind", list(drawn_hints.KINDS))
@pytest.mark.slow
def test_what_is_written_is_read_by_ours_and_by_diffusers(kind, tmp_path):
    from diffusers import T2IAdapter as Theirs

    ours = _random(kind)
    train_control.write(ours, tmp_path / kind)
    hint = torch.rand(1, 3, 64, 64)
    weights = matched(open_control(tmp_path / kind), recipe.tiny(512), {})
    read = T2IAdapter(weights.config)
    for name, p in read.state_dict().items():
        weights.tensors[name].read_into(p)
    theirs = Theirs.from_pretrained(str(tmp_path / kind))
    channels = drawn_hints.CHANNELS[kind]
    with torch.inference_mode():
        wanted = ours(hint)
        seen = hint if channels == 3 else hint.mean(1, keepdim=True)
        for each in (read(hint), theirs(seen)):
            for one, other in zip(each, wanted, strict=True):
                assert (one - other).abs().max() < 1e-5


@pytest.mark.slow
def test_maps_come_where_the_unet_of_a_run_takes_them():
    config = UNetConfig(channels=(32, 64, 64, 32), head_width=16, context_dim=24, groups=8)
    torch.manual_seed(0)
    one, timed = UNet(config), TimedUNet(config)
    timed.load_state_dict(one.state_dict())
    x, context = torch.randn(1, 4, 16, 16), torch.randn(1, 77, 24)
    maps = [torch.randn(1, c, s, s) for c, s in zip(config.channels, (16, 8, 4, 2), strict=True)]
    with torch.inference_mode():
        features = dict(zip((2, 5, 8, 11), maps, strict=True))
        wanted = one(x, 400.0, one.prepare(context), None, features)
        assert (timed(x, torch.tensor([400]), context, maps=maps) - wanted).abs().max() < 1e-5


@pytest.mark.slow
def test_a_trained_adapter_steers_the_model(data, tmp_path, monkeypatch, capsys):  # noqa: F811
    words = ["--kind", "sketch", "--data", data, "--out", tmp_path / "sketch", "--size", 64,
             "--batch", 2, "--fresh", 4, "--fill", 4, "--room", 8, "--workers", 0, "--warm", 2,
             "--minutes", 0.01, "--snap", 0]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["train", *map(str, words)])
    train_control.main()
    assert "with hints" in capsys.readouterr().out
    file = tmp_path / "sketch" / "diffusion_pytorch_model.safetensors"
    trained = file.read_bytes()
    more = ["--init", str(tmp_path / "sketch"), "--minutes", "0"]
    monkeypatch.setattr(sys, "argv", [*sys.argv, *more])
    train_control.main()
    assert file.read_bytes() == trained
    model = sdnb.load(memory="cpu")
    drawing = Image.fromarray(np.eye(64, dtype=np.uint8) * 255)
    control = sdnb.Control(str(tmp_path / "sketch"), drawing)
    ask = {"seed": 1, "width": 64, "height": 64, "steps": 2, "progress": False}
    with_it = sdnb.txt2img(model, "a red ball", controls=control, **ask)
    assert with_it.image.tobytes() != sdnb.txt2img(model, "a red ball", **ask).image.tobytes()
