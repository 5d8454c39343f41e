"""The tiny autoencoder against diffusers' AutoencoderTiny on the same weights: largest absolute
error <= 1e-5 in fp32. Whole pictures are in `test_tiny_vae_runs.py`.
"""

import copy
import json
from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderTiny
from helpers import tiny_checkpoints as tiny
from helpers import tiny_vaes
from safetensors.torch import load_file, save_file

import sdnb
from sdnb.engine.checkpoint import CheckpointError, read
from sdnb.engine.checkpoint.names import vae_table
from sdnb.engine.checkpoint.reader import read_vae
from sdnb.engine.networks.config import TINY_VAE
from sdnb.engine.networks.row_bands import Bands, MapStorage
from sdnb.engine.networks.tiny_vae import TinyVAE
from sdnb.engine.planning.footprint import Workload, vae_peak
from sdnb.headers.errors import MissingCheckpointError
from sdnb.models.training import train_tiny_vae
from sdnb.request import stop

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def theirs():
    return tiny_vaes.diffusers()


@pytest.fixture(scope="module")
def exact(theirs):
    """diffusers' in double precision: its own rounding is as large as ours."""
    return copy.deepcopy(theirs).double()


@pytest.fixture(scope="module")
def ours(theirs):
    model = TinyVAE(TINY_VAE).eval()
    halves = {h: tiny_vaes.half(theirs, h) for h in ("encoder", "decoder")}
    model.load_state_dict({f"{h}.{n}": t for h, its in halves.items() for n, t in its.items()})
    return model.to(memory_format=torch.channels_last)


def random(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("size", [(64, 64), (72, 40)])
@torch.inference_mode()
def test_it_equals_diffusers(ours, exact, size):
    pixels = random(2, 3, *size).clamp(-1, 1)
    before = pixels.clone()
    truth = exact.encode(pixels.double()).latents
    assert truth.std() > 0.1
    assert (ours.encode(pixels) - truth).abs().max() <= TOLERANCE
    assert torch.equal(pixels, before)
    latent = 2 * random(2, 4, size[0] // 8, size[1] // 8)  # some beyond the bound
    truth = exact.decode(latent.double()).sample
    assert truth.std() > 0.1
    assert (ours.decode(latent) - truth).abs().max() <= TOLERANCE


@torch.inference_mode()
def test_one_of_another_width_equals_diffusers(tmp_path):
    """What the trainer writes is diffusers' folder, and its width is read from the shapes."""
    trained = TinyVAE(replace(TINY_VAE, channels=(16,) * 4)).eval()
    train_tiny_vae.begin(trained)
    train_tiny_vae.write(trained, tmp_path / "tiny")
    theirs = AutoencoderTiny.from_pretrained(tmp_path / "tiny").eval()
    model = sdnb.load(precision="full", tiny_vae=tmp_path / "tiny")
    assert model.tiny_vae.config.channels == (16,) * 4
    assert model.facts().tiny_vae == model.tiny_vae.config
    latent = random(1, 4, 6, 5)
    truth = theirs.decode(latent).sample
    assert truth.std() > 0.1
    assert (model.tiny_vae.decode(latent) - truth).abs().max() <= TOLERANCE * truth.abs().max()
    pixels = random(1, 3, 48, 40).clamp(-1, 1)
    truth = theirs.encode(pixels).latents
    assert (model.tiny_vae.encode(pixels) - truth).abs().max() <= TOLERANCE * truth.abs().max()


@pytest.mark.parametrize(
    ("size", "side", "on_host"),
    [((1, 3), 8, False), ((11, 5), 8, True), ((11, 5), 8, False), ((19, 3), 16, False)],
)
@torch.inference_mode()
def test_bands_equal_the_whole_on_every_pixel(ours, size, side, on_host):
    """A band is at least 8 rows, less than what convolutions reach into the next one."""
    latent, pixels = random(1, 4, *size), random(1, 3, 8 * size[0], 8 * size[1]).clamp(-1, 1)
    home = MapStorage(lambda shape, dtype: torch.full(shape, torch.nan, dtype=dtype), on_host)
    bands = [*ours.decode_tiled(latent, Bands(side), home)]
    assert len(bands) > 1 or size == (1, 3)
    assert (torch.cat(bands, dim=2) - ours.decode(latent)).abs().max() <= TOLERANCE
    coded = ours.encode_tiled(pixels, Bands(side), home)
    assert (coded - ours.encode(pixels)).abs().max() <= TOLERANCE


@torch.inference_mode()
def test_it_stops_inside(ours):
    with stop.heard(lambda: True):
        for work, given in ((ours.decode, random(1, 4, 8, 8)), (ours.encode, random(1, 3, 8, 8))):
            with pytest.raises(stop.Stopped):
                work(given)


def test_its_memory_is_rehearsed():
    """For 512x512 in fp16 a map of 64 channels takes 33.6 MB: three of them when whole; in bands
    decoding stores one of half the height and width, encoding one of the whole.
    """
    work, half = Workload(512, 512, 1, 2, pictured=False), torch.float16
    assert 3 * 33.5e6 < vae_peak(TINY_VAE, half, work, 0, "device") < 4 * 33.5e6
    assert vae_peak(TINY_VAE, half, work, 128, "device") < 33.5e6
    coding = replace(work, pictured=True)
    assert 33.5e6 < vae_peak(TINY_VAE, half, coding, 128, "device") < 2 * 33.5e6
    assert vae_peak(TINY_VAE, half, coding, 128, "host") < 33.5e6


# -- files -------------------------------------------------------------------------------------
LAYOUTS = ("encoder", "decoder", "comfy", "unscaled", "folder", "diffusers file")


def written(folder, model, layout):
    if layout in ("encoder", "decoder"):
        return tiny_vaes.pair(folder, model)[layout == "decoder"]
    if layout in ("comfy", "unscaled"):
        path = folder / "taesd.safetensors"
        save_file(tiny_vaes.comfy(model, 0.18215 if layout == "comfy" else None), path)
        return path
    model.save_pretrained(folder / "taesd")
    file = "diffusion_pytorch_model.safetensors" if layout == "diffusers file" else ""
    return folder / "taesd" / file


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read(tmp_path, theirs, layout):
    weights, _ = read_vae(written(tmp_path, theirs, layout), [])
    named = {n: n for n in weights}
    if layout in ("folder", "diffusers file"):
        named = {row.compvis: row.diffusers for row in vae_table(TINY_VAE)}
    halves = {h: tiny_vaes.half(theirs, h) for h in ("encoder", "decoder")}
    truth = {f"{h}.{n}": t for h, its in halves.items() for n, t in its.items()}
    assert {row.compvis: row.shape for row in vae_table(TINY_VAE)} == {
        name: tuple(tensor.shape) for name, tensor in truth.items()
    }
    assert weights.keys() == {named[name] for name in truth}
    assert all(torch.equal(weights[named[n]].read(), tensor) for n, tensor in truth.items())


@pytest.mark.parametrize("prefix", ["first_stage_model.", "vae."])
def test_a_whole_model_may_have_one(tmp_path, parts, theirs, prefix):
    """Told by its tensors; what was said of the full VAE in a YAML is not said of it."""
    others = tiny.compvis({name: part for name, part in parts.items() if name != "vae"})
    its = {prefix + name: tensor for name, tensor in tiny_vaes.comfy(theirs, None).items()}
    path = tiny.safetensors(tmp_path / "any.safetensors", others | its)
    path.with_suffix(".yaml").write_text("vae: {channels: [128, 256, 512, 512], groups: 32}")
    found = read(path)
    assert found.config.vae == TINY_VAE
    assert torch.equal(found.vae["decoder.19.bias"].read(), theirs.decoder.layers[18].bias)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shift_factor": 0.1159}, "shift_factor is 0.1159, not 0"),
        ({"act_fn": "silu"}, "act_fn is 'silu', not 'relu'"),
        ({"scaling_factor": [1]}, r"scaling_factor is \[1\], not 1"),
    ],
)
def test_configs_of_another_architecture(tmp_path, theirs, changes, said):
    config = written(tmp_path, theirs, "folder") / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text("utf-8")) | changes), "utf-8")
    with pytest.raises(CheckpointError, match=said):
        read_vae(config.parent, [])


@pytest.mark.parametrize("one", ["encoder", "decoder"])
def test_one_of_a_pair_needs_the_other(tmp_path, theirs, one):
    paths = dict(zip(("encoder", "decoder"), tiny_vaes.pair(tmp_path, theirs), strict=True))
    other = ({"encoder", "decoder"} - {one}).pop()
    paths[other].unlink()
    said = f"is the {one} of a tiny.*without its {other}: put the other file beside it as taesd_"
    with pytest.raises(MissingCheckpointError, match=said):
        read_vae(paths[one], [])
    renamed = paths[one].rename(tmp_path / f"any{paths[one].suffix}")
    with pytest.raises(FileNotFoundError, match=f"{other}.*name this one taesd_{one}"):
        read_vae(renamed, [])
    renamed.rename(paths[one])
    save_file(tiny_vaes.half(theirs, one), paths[other].with_suffix(".safetensors"))
    with pytest.raises(CheckpointError, match=f"named as the {other} of taesd_{one}.*none"):
        read_vae(paths[one], [])


@pytest.mark.parametrize(
    ("scale", "said"), [(0.13025, "XL"), (1.5305, "Diffusion 3"), (0.3611, "Flux")]
)
def test_the_scale_in_comfyuis_file_says_whose_it_is(tmp_path, theirs, scale, said):
    path = tmp_path / "any.safetensors"
    save_file(tiny_vaes.comfy(theirs, scale), path)
    with pytest.raises(CheckpointError, match=f"tiny autoencoder of .*{said}.*vae_scale"):
        read_vae(path, [])
    save_file(load_file(path) | {"vae_scale": torch.ones(3)}, path)
    with pytest.raises(CheckpointError, match="vae_scale has 3 numbers"):
        read_vae(path, [])


def test_a_name_of_sdxls_is_said_since_tensors_do_not_tell(tmp_path, theirs):
    notes = []
    read_vae(tiny_vaes.pair(tmp_path, theirs, "taesdxl")[0], notes)
    assert any("named like SDXL's" in note for note in notes)
