"""The table of names, against CompVis' own list, diffusers' models and diffusers' converters."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import diffusers_models as oracle

from sdnb.engine.checkpoint import detect
from sdnb.engine.checkpoint.names import Row, text_table, unet_table, vae_table
from sdnb.engine.networks import text
from sdnb.engine.networks.config import ModelConfig, TextConfig, UNetConfig, VAEConfig
from sdnb.engine.networks.unet import UNet
from sdnb.engine.networks.vae import VAE

LIST = Path(__file__).parents[1] / "data" / "sd-v1-names.txt"
TINY = UNetConfig(channels=(64, 128, 192, 64), context_dim=256)
INPAINTING = UNetConfig(in_channels=9)


def listed(prefix: str) -> dict[str, tuple[int, ...]]:
    lines = [line.split() for line in LIST.read_text("utf-8").splitlines()]
    return {
        name.removeprefix(prefix): tuple(map(int, shape))
        for name, *shape in lines
        if name.startswith(prefix)
    }


def shapes(rows: list[Row]) -> dict[str, tuple[int, ...]]:
    return {row.compvis: row.shape for row in rows}


def test_the_v1_unet_is_the_686_tensors_of_the_list():
    expected = listed("model.diffusion_model.")
    assert len(expected) == 686
    assert shapes(unet_table(UNetConfig())) == expected
    with torch.device("meta"):
        module = UNet(UNetConfig())
    assert {name: tuple(p.shape) for name, p in module.state_dict().items()} == expected


def test_the_v1_vae_is_the_248_tensors_of_the_list():
    expected = listed("first_stage_model.")
    assert len(expected) == 248
    assert shapes(vae_table(VAEConfig())) == expected
    with torch.device("meta"):
        module = VAE(VAEConfig())
    assert {name: tuple(p.shape) for name, p in module.state_dict().items()} == expected


def test_the_text_encoder_is_that_of_transformers():
    module = text.build(TextConfig())
    assert {name: tuple(p.shape) for name, p in module.state_dict().items()} == shapes(
        text_table(TextConfig())
    )


@st.composite
def unets(draw: st.DrawFn) -> UNetConfig:
    widths = draw(st.lists(st.sampled_from([32, 64, 96]), min_size=1, max_size=4))
    attention_levels = draw(st.sets(st.integers(0, len(widths) - 1)))
    depth = [draw(st.integers(1, 3)) * (n in attention_levels) for n in range(len(widths))]
    depth[-1] = depth[-1] or draw(st.integers(1, 3))  # the middle's
    return UNetConfig(
        in_channels=draw(st.sampled_from([4, 9])),
        channels=tuple(widths),
        blocks=draw(st.integers(1, 3)),
        attention_levels=tuple(sorted(attention_levels)),
        depth=tuple(depth) if max(depth) > 1 else (1,),
        context_dim=draw(st.sampled_from([16, 64, 768])),
        added_dim=draw(st.sampled_from([0, 48])),
    )


@st.composite
def vaes(draw: st.DrawFn) -> VAEConfig:
    widths = draw(st.lists(st.sampled_from([32, 64, 96]), min_size=1, max_size=4))
    return VAEConfig(channels=tuple(widths), blocks=draw(st.integers(1, 3)))


@settings(max_examples=40)
@given(unets())
@pytest.mark.slow
def test_unet_names_are_a_bijection_for_every_architecture(config):
    rows = unet_table(config)
    assert len({row.compvis for row in rows}) == len({row.diffusers for row in rows}) == len(rows)
    with torch.device("meta"):
        ours = UNet(config).state_dict()
    assert shapes(rows) == {name: tuple(p.shape) for name, p in ours.items()}
    for names in ([row.compvis for row in rows], [row.diffusers for row in rows]):
        shape = {name: row.shape for name, row in zip(names, rows, strict=True)}
        assert detect.unet_config(shape) == config


SD2 = UNetConfig(head_width=64, context_dim=1024)
SDXL = UNetConfig(
    channels=(320, 640, 1280), attention_levels=(1, 2), depth=(0, 2, 10), head_width=64,
    context_dim=2048, added_dim=2816,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "numbers", "transformers"),
    [(SD2, 865_910_724, 16), (SDXL, 2_567_463_684, 70)],
)
def test_the_linear_families_are_told_by_their_shapes_and_have_their_size(
    config, numbers, transformers
):
    """SD 2 has 865.9 M numbers, SDXL 2,567.5 M."""
    rows = unet_table(config)
    assert sum(math.prod(row.shape) for row in rows) == numbers
    assert sum("attn2.to_k" in row.compvis for row in rows) == transformers
    for names in ([row.compvis for row in rows], [row.diffusers for row in rows]):
        shape = {
            name: row.shape[:2] if row.flat else row.shape
            for name, row in zip(names, rows, strict=True)
        }
        assert detect.unet_config(shape) == config
    with torch.device("meta"):
        ours = UNet(config)
    assert shapes(rows) == {name: tuple(p.shape) for name, p in ours.state_dict().items()}
    heads = {m.width: m.heads for m in ours.modules() if hasattr(m, "to_q")}
    assert heads == {width: width // 64 for width in heads}


def test_openclips_encoder_without_its_last_layer_has_its_size():
    config = TextConfig(width=1024, layers=23, heads=16, hidden=4096, activation="gelu", padding=0)
    rows = text_table(config)
    assert sum(math.prod(row.shape) for row in rows) == 340_387_840
    assert detect.text_config(shapes(rows)) == config


def test_the_two_encoders_of_sdxl_are_data():
    big = TextConfig(
        width=1280, layers=32, heads=20, hidden=5120, activation="gelu", padding=0, layer=2,
        normed=False, pooled=1280,
    )  # fmt: skip
    rows = text_table(big)
    assert sum(math.prod(row.shape) for row in rows) == 694_659_840
    assert shapes(rows) == {n: tuple(p.shape) for n, p in text.build(big).state_dict().items()}
    config = ModelConfig(unet=SDXL, text=TextConfig(layer=2, normed=False), text_2=big)
    assert sum(encoder.width for encoder in config.texts) == SDXL.context_dim
    assert big.pooled + 6 * 256 == SDXL.added_dim
    assert config.unusual()["text_2.layers"] == 32


@settings(max_examples=40)
@given(vaes())
@pytest.mark.slow
def test_vae_names_are_a_bijection_for_every_architecture(config):
    rows = vae_table(config)
    assert len({row.compvis for row in rows}) == len({row.diffusers for row in rows}) == len(rows)
    with torch.device("meta"):
        ours = VAE(config).state_dict()
    assert shapes(rows) == {name: tuple(p.shape) for name, p in ours.items()}
    for names in ([row.compvis for row in rows], [row.diffusers for row in rows]):
        shape = {name: row.shape for name, row in zip(names, rows, strict=True)}
        assert detect.vae_config(shape) == config


@pytest.mark.parametrize("config", [UNetConfig(), TINY, INPAINTING], ids=["v1", "tiny", "inpaint"])
def test_unet_names_are_those_of_diffusers_own_converter(config):
    """Every tensor is filled with its place in the table, and comes out under the table's name."""
    rows = unet_table(config)
    numbers = (
        {row.compvis: torch.full(row.shape, float(n), device="cpu") for n, row in enumerate(rows)}
        if (config is TINY)
        else {row.compvis: torch.empty(row.shape, device="meta") for row in rows}
    )
    theirs = oracle.unet(config, numbers).state_dict()
    assert {name: tuple(t.shape) for name, t in theirs.items()} == {
        row.diffusers: row.shape for row in rows
    }
    if config is TINY:
        for n, row in enumerate(rows):
            assert theirs[row.diffusers].flatten()[0] == n, row


@pytest.mark.parametrize("config", [VAEConfig(), VAEConfig(channels=(32, 64, 96), blocks=1)])
def test_vae_names_are_those_of_diffusers_own_converter(config):
    rows = vae_table(config)
    numbers = {row.compvis: torch.full(row.shape, float(n)) for n, row in enumerate(rows)}
    theirs = oracle.vae(config, numbers).state_dict()
    assert theirs.keys() == {row.diffusers for row in rows}
    for n, row in enumerate(rows):
        assert theirs[row.diffusers].flatten()[0] == n, row
        assert tuple(theirs[row.diffusers].shape) == (row.shape[:2] if row.flat else row.shape)
