"""The UNet in parts equals the UNet at once, in a fraction of the memory.

Truth is the whole computation, which test_unet.py holds against diffusers'. Tolerance in fp32: 1e-5
largest absolute error, of outputs of about 1.
"""

import pytest
import torch
from oracles import diffusers_models as oracle
from torch import nn

from sdnb.engine import memory
from sdnb.engine.networks import resnet
from sdnb.engine.networks.config import UNetConfig
from sdnb.engine.networks.resnet import ResBlock, Upsample
from sdnb.engine.networks.transformer import Attention
from sdnb.engine.networks.unet import UNet
from sdnb.engine.planning import footprint

TINY = UNetConfig(channels=(32, 64, 96, 64), heads=4, context_dim=48, groups=8)
TOLERANCE = 1e-5
WHOLE = 10**9  # pixels: all at once, by the same code


def random(*shape, seed=4):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def seeded(module):
    module.load_state_dict(oracle.random_weights(module, 3), assign=True)
    return module.eval()


@pytest.fixture(scope="module")
def unet():
    with torch.device("meta"):
        model = UNet(TINY)
    return seeded(model)


def chunked(module, chunk):
    for part in module.modules():
        if hasattr(part, "chunk"):
            part.chunk = chunk
    return module


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("widths", [(32, 32), (64, 32), (32, 96)])
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 16, 16), (2, 13, 9), (3, 8, 21)])
@torch.inference_mode()
def test_a_block_by_bands_equals_the_whole_block(layout, widths, batch, height, width):
    """Bands of one row, of some that do not divide the height, and of more than there are."""
    block = seeded(ResBlock(*widths, 128, 8)).to(memory_format=layout)
    x = (3 + 2 * random(batch, widths[0], height, width)).to(memory_format=layout)
    x[:, :, height // 2 :] -= 9  # no band's own statistics are the map's
    before, time = x.clone(), block.time(random(1, 128))[0]
    truth = chunked(block, 0)(x, time)
    assert truth.std() > 0.1
    for rows in (1, 3, 5, 100):
        chunked(block, rows * batch * width)
        assert (block(x, time) - truth).abs().max() <= TOLERANCE
    assert torch.equal(x, before)


@pytest.mark.parametrize("size", [(7, 6), (8, 9), (5, 5)])
@torch.inference_mode()
def test_a_doubling_by_bands_equals_the_whole_one_and_leaves_room(size):
    layer, x = seeded(Upsample(16)), random(2, 16, *size)
    for height, width in ((2 * size[0], 2 * size[1]), (2 * size[0] - 1, 2 * size[1] - 1)):
        skip = random(1, 3, height, width, seed=5)
        truth = torch.cat([layer(x, skip.shape), skip.expand(2, -1, -1, -1)], dim=1)
        for rows in (1, 3, 4):
            whole = resnet.concat_skip(chunked(layer, 2 * width * rows)(x, skip.shape), skip, 19)
            assert (whole - truth).abs().max() <= TOLERANCE
        chunked(layer, 0)


@pytest.mark.parametrize(("heads", "chunk"), [(8, 1), (8, 30), (5, 1), (6, 20)])
@torch.inference_mode()
def test_some_heads_at_a_time_equal_all_heads(heads, chunk):
    layer, x = seeded(Attention(8 * heads, 8 * heads, heads)), random(2, 30, 8 * heads)
    truth, seen, kernel = layer(lambda: x), [], layer.kernel
    layer.kernel = lambda q, k, v: (seen.append(q.shape[1]), kernel(q, k, v))[1]
    assert (chunked(layer, chunk)(lambda: x) - truth).abs().max() <= TOLERANCE
    assert sum(seen) == heads
    assert max(seen) <= max(heads // 4, heads * chunk // 60, 1)


@pytest.mark.parametrize("texts", [1, 2])
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 32, 32), (2, 13, 27), (1, 9, 40)])
@torch.inference_mode()
@pytest.mark.slow
def test_a_unet_in_parts_equals_the_whole_one(unet, texts, batch, height, width):
    """Any batch, with and without both halves of guidance in one pass, sizes odd at every level."""
    x, text = random(batch, 4, height, width), unet.prepare(random(texts * batch, 77, 48, seed=5))
    unet.set_chunk(0)
    truth = unet(x, 321.0, text)
    assert truth.std() > 0.1
    for chunk in (20, 200):
        unet.set_chunk(chunk)
        assert (unet(x, 321.0, text) - truth).abs().max() <= TOLERANCE
    unet.set_chunk(WHOLE)
    assert torch.equal(unet(x, 321.0, text), truth)


@torch.inference_mode()
@pytest.mark.slow
def test_half_precision_in_parts_is_as_near_to_the_truth(unet):
    """bf16: the error against fp32 grows by less than half of what bf16 costs anyway."""
    x, context = random(1, 4, 24, 24), random(1, 77, 48, seed=5)
    unet.set_chunk(0)
    truth = unet(x, 321.0, unet.prepare(context))
    with torch.device("meta"):
        half = UNet(TINY)
    half.load_state_dict({k: v.bfloat16() for k, v in unet.state_dict().items()}, assign=True)
    half.eval()
    text = half.prepare(context.bfloat16())
    errors = []
    for chunk in (0, 50):
        half.set_chunk(chunk)
        errors.append((half(x.bfloat16(), 321.0, text).float() - truth).square().mean().sqrt())
    assert errors[1] <= 1.5 * errors[0]


@pytest.mark.slow
def test_gradients_are_those_of_the_whole(unet):
    x = random(1, 4, 16, 16).requires_grad_()
    text = unet.prepare(random(1, 77, 48, seed=5))
    found = []
    for chunk in (0, 20):
        unet.set_chunk(chunk)
        found.append(torch.autograd.grad(unet(x, 321.0, text).square().sum(), x)[0])
    assert torch.equal(*found)


def test_wider_levels_take_fewer_pixels(unet):
    unet.set_chunk(640)
    taken = {m.width: m.chunk for m in unet.modules() if hasattr(m, "chunk")}
    assert taken == {32: 640, 64: 320, 96: 214}


def peak(size, chunk, texts):
    """Bytes at the most of a pass of SD 1.4's UNet at fp16, in maps of 320 channels."""
    what = footprint.Workload(size, size, 1, texts, pictured=False)
    together = texts == 2
    found = footprint.unet_peak(UNetConfig(), torch.float16, what, together, chunk, batch=1)
    return found / (size // 8) ** 2 / (2 * 320 * texts)


@pytest.mark.parametrize(("texts", "whole", "parts"), [(2, 17, 7.3), (1, 17.5, 8)])
@pytest.mark.slow
def test_the_peak_is_that_of_maps_and_not_of_layers(texts, whole, parts):
    """A pass at 2048 holds `parts` maps in all: what a layer adds to the skips is hardly more."""
    assert whole - 1 <= peak(2048, 0, texts) <= whole
    assert peak(2048, 8192, texts) <= parts
    assert peak(4096, 32768, texts) <= parts


def test_a_rehearsal_counts_no_weights():
    layer = nn.Conv2d(1000, 1000, 1, device="meta")
    given = torch.empty(1, 1000, device="meta")
    work = memory.rehearse(lambda: nn.functional.linear(given, layer.weight.flatten(1)))
    assert work == 4096  # 1000 floats, in grains of 512 bytes
