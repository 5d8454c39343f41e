"""Control networks: a copy of the UNet's way down that reads a second picture, the hint.

Zhang et al. 2023 (https://arxiv.org/abs/2302.05543), lllyasviel/ControlNet `cldm/cldm.py`, whose
attribute names these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from sdnb.engine.networks import pieces
from sdnb.engine.networks.config import UNetConfig
from sdnb.engine.networks.unet_encoder import (
    LayerInputs,
    Text,
    UNetEncoder,
    in_parts,
    run_layer,
)


@dataclass(frozen=True)
class ControlNetConfig:
    """A control network: the UNet that it copies, and the widths of its hint's encoder, which
    halves the hint between each two of them.
    """

    unet: UNetConfig = field(default_factory=UNetConfig)
    hint_widths: tuple[int, ...] = (16, 32, 96, 256)

    @property
    def residuals(self) -> int:
        """How many maps it gives: one for each input block of the UNet, and one for the middle."""
        levels = len(self.unet.channels)
        return levels * (self.unet.blocks + 1) + 1


class ControlNet(UNetEncoder):
    """`net(x, t, text, hint)` gives what the UNet adds to its skip connections and, last, behind
    its middle: a map for each, `[b or k * b, c, h, w]` of the same shapes.

    `x`, `t` and `text` are as the UNet's, but prepared by this network itself; `x` has the latent's
    four channels alone. `hint` is what `encode_hint` gave.
    """

    def __init__(self, config: ControlNetConfig) -> None:
        super().__init__(config.unet)
        self.input_hint_block = HintEncoder(config.hint_widths, config.unet.channels[0])
        self.zero_convs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 1)) for width in self.skips
        )
        last = config.unet.channels[-1]
        self.middle_block_out = nn.Sequential(nn.Conv2d(last, last, 1))
        self._built()

    def encode_hint(self, hint: Tensor) -> Tensor:
        """A picture `[1 or b, 3, 8 h, 8 w]` of red, green and blue in 0..1 as the map `[1 or b, c,
        h, w]` that is added behind the first convolution: once a run instead of once a step.
        """
        return self.input_hint_block(hint)

    def once_a_run(self) -> list[nn.Module]:
        """The modules that work once a run, not once a step."""
        return [*super().once_a_run(), self.input_hint_block]

    def execution_order(self) -> list[nn.Module]:
        """The modules that `forward` calls, in that order, in small parts."""
        order = []
        for block, zero in zip(self.input_blocks, self.zero_convs, strict=True):
            order += [*in_parts([block]), zero]
        return [*order, *in_parts([self.middle_block]), self.middle_block_out]

    def forward(self, x: Tensor, t: float | Tensor, text: Text, hint: Tensor) -> list[Tensor]:
        given = LayerInputs(self._times(t, x), iter(text))
        residuals: list[Tensor] = []
        for n, (block, zero) in enumerate(zip(self.input_blocks, self.zero_convs, strict=True)):
            for layer in block:
                x = run_layer(layer, x, given)
            if n == 0:
                x = x + hint
            residuals.append(zero(x))
        for layer in self.middle_block:
            x = run_layer(layer, x, given)
        residuals.append(self.middle_block_out(x))
        return residuals


class HintEncoder(nn.Sequential):
    """3 x 3 convolutions with SiLU between them; every second one halves the map."""

    def __init__(self, widths: Sequence[int], width: int) -> None:
        convs = [nn.Conv2d(3, widths[0], 3, padding=1)]
        for narrow, wide in pairwise(widths):
            convs.append(nn.Conv2d(narrow, narrow, 3, padding=1))
            convs.append(nn.Conv2d(narrow, wide, 3, padding=1, stride=2))
        convs.append(nn.Conv2d(widths[-1], width, 3, padding=1))
        # The names count the SiLUs.
        super().__init__(*(layer for conv in convs for layer in (conv, nn.SiLU())))
        del self[-1]

    def forward(self, x: Tensor) -> Tensor:
        convs = [layer for layer in self if isinstance(layer, nn.Conv2d)]
        for conv in convs:
            x = pieces.convolve(x, conv.weight, conv.bias, stride=conv.stride[0], padding=1)
            x = x if conv is convs[-1] else F.silu(x, inplace=True)
        return x
