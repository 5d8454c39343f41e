"""The UNet with a time for each picture of a batch.

In sampling all pictures of a batch are at one time, and `networks.unet` relies on that. In training
each has its own. The weights and their names are the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdnb.engine.networks.resnet import ResBlock, Upsample
from sdnb.engine.networks.transformer import SpatialTransformer
from sdnb.engine.networks.unet import UNet


class TimedUNet(UNet):
    """`model(x, t, context)`: `x` `[b, 4, h, w]`, `t` `[b]`, `context` `[b, 77, d]`.

    `maps` are those of a T2I-Adapter, one a level, added at the level's last block on the way down.
    """

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        *_: object,
        maps: Sequence[Tensor] = (),
        keep: bool = False,
        kept: Tensor | None = None,
        merge: float = 0.0,
    ) -> Tensor:
        if keep or kept is not None or merge:
            raise ValueError("a UNet in training computes all of its blocks, with all tokens")
        keys = iter(self.prepare(context))
        emb = self.time_embed(embedding(t, self.config.channels[0]))  # [b, 4c]
        skips: list[Tensor] = []
        for n, block in enumerate(self.input_blocks):
            x = _run(block, x, emb, keys)
            level, place = divmod(n, self.config.blocks + 1)
            if maps and place == self.config.blocks:
                x = x + maps[level]
            skips.append(x)
        x = _run(self.middle_block, x, emb, keys)
        for block in self.output_blocks:
            x = _run(block, torch.cat([x, skips.pop()], dim=1), emb, keys)
        return self.out(x)


def _run(block: nn.Module, x: Tensor, emb: Tensor, keys: Iterator[tuple[Tensor, Tensor]]) -> Tensor:
    for layer in block.children():
        if isinstance(layer, ResBlock):
            x = _residual(layer, x, emb)
        elif isinstance(layer, SpatialTransformer):
            x = layer(x, keys)
        elif isinstance(layer, Upsample):
            x = layer.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        else:
            x = layer(x)
    return x


def _residual(block: ResBlock, x: Tensor, emb: Tensor) -> Tensor:
    """The block with a time embedding for each picture, `[b, 4c]`."""
    norm, act, conv = block.in_layers
    h = conv(act(norm(x))) + block.emb_layers(emb)[:, :, None, None]
    norm, act, _, conv = block.out_layers
    return conv(act(norm(h))) + block.skip_connection(x)


def embedding(t: Tensor, width: int) -> Tensor:
    """Sinusoids of the times `[b]`, cosines first: `[b, width]`."""
    half = width // 2
    rate = torch.arange(half, dtype=torch.float32, device=t.device) * (-math.log(10000) / half)
    angle = t[:, None].float() * torch.exp(rate)
    return torch.cat([angle.cos(), angle.sin()], dim=1)
