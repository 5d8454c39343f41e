"""Convolutions with fewer multiplications: against PyTorch's own in float64, to rounding."""

import gc

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sdnb.engine import memory
from sdnb.engine.networks import winograd

LAST = torch.channels_last


def layer(width_in, width):
    torch.manual_seed(width)
    return nn.Conv2d(width_in, width, 3, padding=1).requires_grad_(False).to(memory_format=LAST)


def truth(x, conv):
    return F.conv2d(x.double(), conv.weight.double(), conv.bias.double(), padding=1)


def error(y, wanted):
    """The largest, of values whose root mean square is 1."""
    return ((y - wanted).abs().max() / wanted.square().mean().sqrt()).item()


@pytest.mark.parametrize(
    ("b", "height", "width"),
    [(1, 32, 32), (2, 16, 16), (3, 9, 31), (4, 5, 7), (1, 1, 2), (1, 30, 4)],
)
def test_a_convolution_is_pytorchs_to_rounding(b, height, width):
    conv = layer(96, 64)
    x = torch.randn(b, 96, height, width).to(memory_format=LAST)
    with torch.inference_mode():
        y = winograd.winograd_conv(x, conv.weight, conv.bias)
    assert y.shape == (b, 64, height, width)
    assert y.is_contiguous(memory_format=LAST)
    assert error(y, truth(x, conv)) < 3e-5  # PyTorch's own: 2e-5


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_any_number_of_rows_at_once_gives_the_same(monkeypatch, rows):
    conv, x = layer(64, 80), torch.randn(2, 64, 22, 19)
    monkeypatch.setattr(winograd, "_AT_ONCE", rows * 36 * 2 * 5 * 80)
    with torch.inference_mode():
        y = winograd.winograd_conv(x, conv.weight, conv.bias)
    assert error(y, truth(x, conv)) < 3e-5


@pytest.mark.parametrize("way", ["channels first", "every second column", "part of the channels"])
def test_any_layout_of_the_input_will_do(way):
    conv = layer(64, 64)
    x = {
        "channels first": torch.randn(2, 64, 12, 12),
        "every second column": torch.randn(2, 64, 12, 24).to(memory_format=LAST)[..., ::2],
        "part of the channels": torch.randn(2, 96, 12, 12).to(memory_format=LAST)[:, 16:80],
    }[way]
    before = x.clone()
    with torch.inference_mode():
        y = winograd.winograd_conv(x, conv.weight, None)
    wanted = F.conv2d(x.double(), conv.weight.double(), padding=1)
    assert error(y, wanted) < 3e-5
    assert torch.equal(x, before)


def test_weights_that_are_not_kept_give_the_same(monkeypatch):
    conv, x = layer(64, 72), torch.randn(1, 64, 16, 16)
    monkeypatch.setattr(winograd, "KEPT", 0)
    with torch.inference_mode():
        y = winograd.winograd_conv(x, conv.weight, conv.bias)
    assert id(conv.weight) not in winograd._kept
    assert error(y, truth(x, conv)) < 3e-5


@pytest.mark.slow
def test_transformed_weights_follow_the_weights_and_go_with_them():
    conv, x = layer(64, 64), torch.randn(1, 64, 16, 16)
    gc.collect()  # what other tests have left
    kept = len(winograd._kept)
    for _ in range(2):
        with torch.inference_mode():
            y = winograd.convolve(x, conv.weight, conv.bias)
        assert error(y, truth(x, conv)) < 3e-5
        assert len(winograd._kept) == kept + 1
        conv.weight.mul_(-2)
    conv.weight = nn.Parameter(torch.randn(64, 64, 3, 3), requires_grad=False)
    with torch.inference_mode():
        assert error(winograd.convolve(x, conv.weight, conv.bias), truth(x, conv)) < 3e-5
    del conv
    gc.collect()
    assert len(winograd._kept) == kept


def test_gradients_half_precision_and_small_maps_go_pytorchs_way():
    conv, x = layer(64, 64), torch.randn(1, 64, 16, 16)
    assert not winograd.is_faster(x, conv.weight)  # gradients may be wanted
    x.requires_grad_()
    winograd.convolve(x, conv.weight, conv.bias).sum().backward()
    given, x.grad = x.grad, None
    conv(x).sum().backward()
    assert torch.equal(given, x.grad)
    with torch.inference_mode():
        assert winograd.is_faster(x, conv.weight)
        assert not winograd.is_faster(x.bfloat16(), conv.weight.bfloat16())
        assert not winograd.is_faster(x[:, :, :4, :4], conv.weight)
        assert not winograd.is_faster(x.to("meta"), conv.weight.to("meta"))


def test_a_rehearsal_leaves_the_transforms_as_they_are():
    """They are kept by the first who needs them, and a rehearsal computes nothing."""
    x, weight = torch.randn(1, 64, 64, 64), torch.randn(64, 64, 3, 3)
    truth = torch.nn.functional.conv2d(x.double(), weight.double(), padding=1)
    kept = (winograd._input_transform, winograd._output_transform, winograd._weight_transform)
    for function in kept:
        function.cache_clear()
    with torch.device("meta"):
        no_x, no_weight = torch.empty(1, 64, 64, 64), torch.empty(64, 64, 3, 3)
    with winograd.rehearsed():
        taken = memory.rehearse(lambda: winograd.convolve(no_x, no_weight, None))
    assert taken > 4 * (64**3 + 36 * 64 * 64)  # the map, and the weights transformed
    with torch.inference_mode():
        found = winograd.winograd_conv(x, weight, None)
    assert (found - truth).abs().max() <= 1e-3
