"""Weights with which an autoencoder works before training: 2x2 averages down, smoothed copies up.

All residual branches begin at 0. Three channels, one in each of three norm groups, carry red, green
and blue through. Before each last norm their group also holds -x, +C and -C, so that the norm
divides by nearly a constant, and silu(b + x) - silu(b - x) is nearly linear in x. Training begins
at about 20 dB instead of 8, and spends no time on finding the colours.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from sdnb.engine.networks.vae import VAE, AttnBlock, ResnetBlock

_BIAS = 2.4  # b: where silu is nearly linear
_LARGE = 4.0  # C
_QUIET = -7.0  # log variance at the start: little noise


@torch.no_grad()
def prepare(vae: VAE) -> None:
    """Set the weights of a new VAE."""
    groups = vae.config.groups
    for module in vae.modules():
        if isinstance(module, ResnetBlock):
            _silence(module.conv2)
            if hasattr(module, "nin_shortcut"):
                _carry(module.nin_shortcut, groups)
        elif isinstance(module, AttnBlock):
            _silence(module.proj_out)
    for level in vae.encoder.down:
        if level.resample:
            _shrink(level.downsample.conv, groups)
    for level in vae.decoder.up:
        if level.resample:
            _smooth(level.upsample.conv, groups)
    encoder, decoder = vae.encoder, vae.decoder
    _pass(encoder.conv_in, _at(encoder.conv_in.out_channels, groups), range(3))
    _pass(decoder.conv_in, _at(decoder.conv_in.out_channels, groups), range(3))
    last = encoder.down[-2].downsample.conv
    _ending(last, encoder.mid.block_2.conv2, encoder.norm_out, encoder.conv_out)
    top = decoder.up[0].block
    _ending(top[0].nin_shortcut, top[-1].conv2, decoder.norm_out, decoder.conv_out)
    _identities(vae)


def _at(width: int, groups: int) -> list[int]:
    """The channels that carry the colours: the first of each of three groups."""
    return [width // groups * i for i in range(3)]


def _silence(conv: nn.Conv2d) -> None:
    conv.weight.zero_()
    _bias(conv).zero_()


def _carry(conv: nn.Conv2d, groups: int) -> None:
    """Let a 1x1 convolution pass the three channels on."""
    for out, into in zip(
        _at(conv.out_channels, groups), _at(conv.in_channels, groups), strict=True
    ):
        conv.weight[out] = 0
        conv.weight[out, into] = 1
        _bias(conv)[out] = 0


def _shrink(conv: nn.Conv2d, groups: int) -> None:
    """Average 2x2: padding is on the right and below only, so the first taps do it."""
    for channel in _at(conv.out_channels, groups):
        conv.weight[channel] = 0
        conv.weight[channel, channel, :2, :2] = 0.25
        _bias(conv)[channel] = 0


def _smooth(conv: nn.Conv2d, groups: int) -> None:
    """Smooth copied pixels by a triangle in both directions."""
    taps = torch.tensor([0.25, 0.5, 0.25], device=conv.weight.device)
    for channel in _at(conv.out_channels, groups):
        conv.weight[channel] = 0
        conv.weight[channel, channel] = taps[:, None] * taps
        _bias(conv)[channel] = 0


def _pass(conv: nn.Conv2d, outs: list[int], ins: range) -> None:
    for out, into in zip(outs, ins, strict=True):
        conv.weight[out] = 0
        conv.weight[out, into, 1, 1] = 1
        _bias(conv)[out] = 0


def _ending(conv: nn.Conv2d, last: nn.Conv2d, norm: nn.GroupNorm, out: nn.Conv2d) -> None:
    """Make norm, silu and the last convolution nearly linear for the three colours.

    `conv` is the last layer that carries them, `last` the end of the last residual branch.
    """
    width = norm.num_channels // norm.num_groups
    out.weight[:3] *= 0.1
    _bias(out)[:3] = 0
    gate = 1 / (1 + math.exp(-_BIAS))
    slope = 2 * gate * (1 + _BIAS * (1 - gate))  # of silu(b + x) - silu(b - x) at 0
    for color, c in enumerate(_at(norm.num_channels, norm.num_groups)):
        conv.weight[c + 1] = -conv.weight[c]
        _bias(conv)[c + 1] = 0
        for offset, sign in ((2, 1), (3, -1)):
            conv.weight[c + offset] = 0
            _bias(conv)[c + offset] = 0
            _bias(last)[c + offset] = sign * _LARGE
        conv.weight[c + 4 : c + width] *= 0.3
        norm.weight[c : c + 2] = _LARGE * (2 / width) ** 0.5
        norm.bias[c : c + 2] = _BIAS
        out.weight[color, c : c + 2] = 0
        out.weight[color, c, 1, 1] = 1 / slope
        out.weight[color, c + 1, 1, 1] = -1 / slope


def _identities(vae: VAE) -> None:
    for conv in (vae.quant_conv, vae.post_quant_conv):
        conv.weight.copy_(torch.eye(conv.out_channels)[:, :, None, None])
        _bias(conv).zero_()
    n = vae.config.latent_channels
    vae.encoder.conv_out.weight[n:] *= 0.1
    _bias(vae.quant_conv)[n:] = _QUIET


def _bias(conv: nn.Conv2d) -> torch.Tensor:
    assert conv.bias is not None
    return conv.bias
