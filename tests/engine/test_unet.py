"""The UNet against diffusers' on the same weights, in fp32: largest absolute error <= 1e-4."""

import pytest
import torch
from oracles import diffusers_models as oracle

from sdnb.engine.networks import attention
from sdnb.engine.networks.config import UNetConfig
from sdnb.engine.networks.unet import UNet
from sdnb.engine.networks.unet_encoder import time_embedding

TINY = UNetConfig(channels=(32, 64, 96, 64), heads=4, context_dim=48, groups=8)
TOLERANCE = 1e-4


def slower(*values):
    """Parameters that the quick gear leaves out."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def pair(config, seed=0, **options):
    with torch.device("meta"):
        ours = UNet(config)
    weights = oracle.random_weights(ours, seed)
    ours.load_state_dict(weights, assign=True)
    return ours.eval(), oracle.unet(config, weights, **options)


@torch.inference_mode()
def largest_error(ours, theirs, latent, t, context):
    mine = ours(latent, t, ours.prepare(context))
    truth = theirs(latent, t, encoder_hidden_states=context).sample
    assert truth.std() > 0.1  # a dead net would agree with anything
    return (mine - truth).abs().max().item()


def inputs(config, height, width, batch=2):
    generator = torch.Generator().manual_seed(1)
    latent = torch.randn(batch, config.in_channels, height, width, generator=generator)
    return latent, torch.randn(batch, 77, config.context_dim, generator=generator)


@pytest.fixture(scope="module")
def tiny_pair():
    return pair(TINY)


@pytest.mark.parametrize("size", [(13, 27), *slower((32, 32), (16, 40), (8, 9))])
@pytest.mark.parametrize("t", [500.25, *slower(0, 1, 999)])
def test_tiny_unet_equals_diffusers(tiny_pair, size, t):
    ours, theirs = tiny_pair
    latent, context = inputs(TINY, *size)
    assert largest_error(ours, theirs, latent, t, context) <= TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        UNetConfig(channels=(32, 64), blocks=1, attention_levels=(1,), heads=2, context_dim=32),
        UNetConfig(channels=(32, 48, 80), attention_levels=(0, 1), head_width=16, groups=8),
        UNetConfig(in_channels=9, channels=(32, 32, 64, 64), heads=8, context_dim=32, groups=4),
    ],
)
def test_other_widths_blocks_and_nine_channels_equal_diffusers(config):
    ours, theirs = pair(config)
    latent, context = inputs(config, 16, 24)
    assert largest_error(ours, theirs, latent, 321, context) <= TOLERANCE


THREE_LEVELS = UNetConfig(
    channels=(32, 64, 96), blocks=1, attention_levels=(1, 2), depth=(0, 1, 2), head_width=16,
    context_dim=48, groups=8, added_dim=20 + 6 * oracle.SINUSOIDS,
)  # fmt: skip


@torch.inference_mode()
@pytest.mark.parametrize("chunk", [0, *slower(64)])
def test_added_conditions_and_0_1_and_2_transformers_equal_diffusers(chunk):
    """As in SDXL, with a pooled text and six numbers of its own for each of four texts, of which
    two and two share a latent.
    """
    config = THREE_LEVELS
    ours, theirs = pair(config, as_linear=True)
    ours.set_chunk(chunk)
    latent = inputs(config, 9, 14)[0]
    context = inputs(config, 9, 14, batch=4)[1]
    pooled = context[:, 0, :20]
    sizes = torch.arange(24).reshape(4, 6) * 41.0
    sinusoids = [time_embedding(row.tolist(), oracle.SINUSOIDS, latent).flatten() for row in sizes]
    rows = ours.time_rows([7, 500.25], latent, torch.cat([pooled, torch.stack(sinusoids)], dim=1))
    mine = ours(latent, rows[1], ours.prepare(context))
    truth = theirs(
        latent.repeat(2, 1, 1, 1), 500.25, encoder_hidden_states=context,
        added_cond_kwargs={"text_embeds": pooled, "time_ids": sizes},
    ).sample  # fmt: skip
    assert (truth[:2] - truth[2:]).std() > 0.1
    assert (mine - truth).abs().max() <= TOLERANCE


def test_conditions_and_the_layers_that_read_them_go_together():
    with torch.device("meta"):
        plain, adding = UNet(TINY), UNet(THREE_LEVELS)
    like = torch.empty(0, device="meta")
    assert not hasattr(plain, "label_emb")
    assert {*adding.label_emb[0]} <= {*adding.once_a_run()}
    with pytest.raises(ValueError, match=r"added is 0 wide; .*conditions 116 wide"):
        adding.time_rows([1], like)
    with pytest.raises(ValueError, match=r"added is 5 wide; .*conditions 0 wide"):
        plain.time_rows([1], like, torch.empty(1, 5, device="meta"))


@pytest.mark.picture
def test_sd1_unet_equals_diffusers():
    config = UNetConfig()
    ours, theirs = pair(config)
    latent, context = inputs(config, 16, 16, batch=1)
    assert largest_error(ours, theirs, latent, 981, context) <= TOLERANCE


@pytest.mark.parametrize("kernel", ["sliced", "sdpa"])
@pytest.mark.parametrize("elements", [100, 2**22])
def test_attention_kernels_agree_in_float64(kernel, elements, monkeypatch):
    monkeypatch.setattr(attention, "SLICE_ELEMENTS", elements)
    generator = torch.Generator().manual_seed(2)
    q = torch.randn(2, 3, 37, 8, generator=generator, dtype=torch.float64)
    k, v = torch.randn(2, 2, 3, 77, 8, generator=generator, dtype=torch.float64)
    truth = torch.softmax(q @ k.transpose(-1, -2) / 8**0.5, dim=-1) @ v
    assert (attention.KERNELS[kernel](q, k, v) - truth).abs().max() <= 1e-12


def large_scores(dtype, device="cpu", d=64):
    """q, k, v whose scores are beyond what float16 holds, as in SD 2.1, and the truth."""
    generator = torch.Generator().manual_seed(3)
    q, k, v = (torch.randn(2, 5, 64, d, generator=generator) for _ in range(3))
    q, k, v = ((scale * x).to(device, dtype) for scale, x in ((300, q), (300, k), (1, v)))
    scores = q.double() @ k.double().transpose(-1, -2) / d**0.5
    assert scores.abs().max() > 3 * 65504
    return q, k, v, torch.softmax(scores, dim=-1) @ v.double()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("kernel", ["sliced", "sdpa", "auto"])
@pytest.mark.parametrize("d", [64, 40])  # the scale of one is no number of float16
def test_scores_have_the_range_of_float32_in_half_precision(kernel, dtype, d):
    q, k, v, truth = large_scores(dtype, d=d)
    assert (attention.KERNELS[kernel](q, k, v) - truth).abs().max() <= 0.03


def test_unknown_kernel_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'dense'.*sdpa, flash.*sliced, xformers"):
        attention.set_kernel(torch.nn.Identity(), "dense")


@pytest.mark.slow
def test_every_kernel_gives_the_unet_the_same_output():
    ours, theirs = pair(TINY)
    latent, context = inputs(TINY, 16, 16)
    attention.set_kernel(ours, "sliced")
    assert largest_error(ours, theirs, latent, 400, context) <= TOLERANCE
