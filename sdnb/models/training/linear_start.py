"""Weights with which an autoencoder works before training: 2x2 averages down, smoothed copies up.

All residual branches begin at 0. Three channels, one in each of three norm groups, carry red, green
and blue through. Before each last norm their group also holds -x, +C and -C, so that the norm
divides by nearly a constant, and silu(b + x) - silu(b - x) is nearly linear in x. Training begins
at about 20 dB instead of 8, and spends no time on finding the colours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sdnb.engine.networks.vae import VAE, AttnBlock, ResnetBlock, VAEDownsample, VAEUpsample

_BIAS = 2.4  # b: where silu is nearly linear
_LARGE = 4.0  # C
_QUIET = -7.0  # log variance at the start: little noise
# Kernels of the channels that carry the colours.
_SAME = torch.ones(1, 1)
_CENTRE = torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]])
# A downsampling convolution is padded on the right and below only, so that its first taps do it.
_MEAN = torch.tensor([[0.25, 0.25, 0], [0.25, 0.25, 0], [0, 0, 0]])
_TRIANGLE = torch.outer(torch.tensor([0.25, 0.5, 0.25]), torch.tensor([0.25, 0.5, 0.25]))


@torch.no_grad()
def prepare(vae: VAE) -> None:
    """Set the weights of a new VAE."""
    groups, encoder, decoder = vae.config.groups, vae.encoder, vae.decoder
    for module in vae.modules():
        if isinstance(module, ResnetBlock):
            _silence(module.conv2)
            if hasattr(module, "nin_shortcut"):
                _carry(module.nin_shortcut, _SAME, groups)
        elif isinstance(module, AttnBlock):
            _silence(module.proj_out)
        elif isinstance(module, VAEDownsample):
            _carry(module.conv, _MEAN, groups)
        elif isinstance(module, VAEUpsample):
            _carry(module.conv, _TRIANGLE, groups)
    for coder in (encoder, decoder):
        _carry(coder.conv_in, _CENTRE, groups, range(3))
    last = encoder.down[-2].downsample.conv
    _ending(last, encoder.mid.block_2.conv2, encoder.norm_out, encoder.conv_out)
    top = decoder.up[0].block
    _ending(top[0].nin_shortcut, top[-1].conv2, decoder.norm_out, decoder.conv_out)
    for conv in (vae.quant_conv, vae.post_quant_conv):
        conv.weight.copy_(torch.eye(conv.out_channels)[:, :, None, None])
        conv.bias.zero_()
    n = vae.config.latent_channels
    encoder.conv_out.weight[n:] *= 0.1
    vae.quant_conv.bias[n:] = _QUIET


def _at(width: int, groups: int) -> list[int]:
    """The channels that carry the colours: the first of each of three groups."""
    return [width // groups * i for i in range(3)]


def _silence(conv: nn.Conv2d) -> None:
    conv.weight.zero_()
    conv.bias.zero_()


def _carry(conv: nn.Conv2d, taps: Tensor, groups: int, ins: Sequence[int] | None = None) -> None:
    """Let a convolution pass the three colours on through `taps`, from the channels `ins`."""
    ins = ins or _at(conv.in_channels, groups)
    for out, into in zip(_at(conv.out_channels, groups), ins, strict=True):
        conv.weight[out] = 0
        conv.weight[out, into] = taps
        conv.bias[out] = 0


def _ending(conv: nn.Conv2d, last: nn.Conv2d, norm: nn.GroupNorm, out: nn.Conv2d) -> None:
    """Make norm, silu and the last convolution nearly linear for the three colours.

    `conv` is the last layer that carries them, `last` the end of the last residual branch.
    """
    width = norm.num_channels // norm.num_groups
    out.weight[:3] *= 0.1
    out.bias[:3] = 0
    gate = 1 / (1 + math.exp(-_BIAS))
    slope = 2 * gate * (1 + _BIAS * (1 - gate))  # of silu(b + x) - silu(b - x) at 0
    for color, c in enumerate(_at(norm.num_channels, norm.num_groups)):
        conv.weight[c + 1] = -conv.weight[c]
        conv.bias[c + 1] = 0
        for offset, sign in ((2, 1), (3, -1)):
            conv.weight[c + offset] = 0
            conv.bias[c + offset] = 0
            last.bias[c + offset] = sign * _LARGE
        conv.weight[c + 4 : c + width] *= 0.3
        norm.weight[c : c + 2] = _LARGE * (2 / width) ** 0.5
        norm.bias[c : c + 2] = _BIAS
        out.weight[color, c : c + 2] = 0
        out.weight[color, c, 1, 1] = 1 / slope
        out.weight[color, c + 1, 1, 1] = -1 / slope
