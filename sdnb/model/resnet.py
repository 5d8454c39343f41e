"""What convolves in the denoiser: residual blocks, halving and doubling.

CompVis `openaimodel.py`, whose attribute names these are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdnb.model import fused


class In(nn.Sequential):
    """A residual block's first half, with a plain sequence's names: norm, SiLU, convolution."""

    def forward(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """`time` `[c]`; gives the convolution's output and what is still to be added to it: a card
        adds a bias in a pass of its own, and the next norm does it on its way.
        """
        norm, _, conv = self
        h = fused.norm_silu(x, norm)
        bias = time + conv.bias
        if x.is_cuda:
            return F.conv2d(h, conv.weight, None, padding=1), bias
        return F.conv2d(h, conv.weight, bias, padding=1), torch.empty(0)


class Out(nn.Sequential):
    """A residual block's second half: norm, SiLU, dropout's place, convolution, and the sum."""

    def forward(self, h: Tensor, bias: Tensor, skip: Tensor) -> Tensor:
        norm, _, _, conv = self
        if not h.is_cuda:
            return conv(fused.norm_silu(h, norm)).add_(skip)
        h = F.conv2d(fused.norm_silu(h, norm, bias), conv.weight, None, padding=1)
        return fused.add(h, conv.bias, skip)


class Skip(nn.Conv2d):
    """The 1 x 1 convolution past a residual block that changes the width."""

    def forward(self, x: Tensor) -> Tensor:
        if not x.is_cuda:
            return super().forward(x)
        return pointwise(self, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ResBlock(nn.Module):
    """Two convolutions with the time embedding added between them."""

    def __init__(self, width_in: int, width: int, time_dim: int, groups: int) -> None:
        super().__init__()
        self.in_layers = In(
            nn.GroupNorm(groups, width_in),
            nn.SiLU(),
            nn.Conv2d(width_in, width, 3, padding=1),
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_dim, width))
        self.out_layers = Out(
            nn.GroupNorm(groups, width),
            nn.SiLU(),
            nn.Identity(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.skip_connection = Skip(width_in, width, 1) if width_in != width else nn.Identity()

    def time(self, emb: Tensor) -> Tensor:
        """What the times' embeddings `[t, 4c]` add to the first convolution's output: `[t, c]`."""
        return self.emb_layers(emb)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """`time` `[c]`: one time for the whole batch."""
        h, bias = self.in_layers(x, time)  # [b, c, h, w]
        return self.out_layers(h, bias, self.skip_connection(x))


class Downsample(nn.Module):
    """Halve height and width, rounding up."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Upsample(nn.Module):
    """Nearest-neighbour to the size of the skip connection that comes next, then a convolution.

    For latents that halve without a remainder this is the factor 2 of the original; for others it
    is what lets any multiple of 8 pixels through.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        return self.conv(F.interpolate(x, size=size, mode="nearest"))


def pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A 1x1 convolution of `[b, h, w, c]` as a matrix product; channels-last, it copies nothing."""
    return F.linear(x, conv.weight.flatten(1), conv.bias)
