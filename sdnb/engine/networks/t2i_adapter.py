"""T2I-Adapters: a small network that turns a hint into four maps, once for a whole generation.

Mou et al. 2023 (https://arxiv.org/abs/2302.08453), TencentARC/T2I-Adapter `adapter.py`, whose
attribute names these are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class T2IAdapterConfig:
    """An adapter: `full`, or a light one, whose blocks work at a quarter of their width."""

    channels: tuple[int, ...] = (320, 640, 1280, 1280)  # of each level of the UNet
    blocks: int = 2  # residual blocks a level; 4 in a light one
    hint_channels: int = 3  # of the hint: 3, or 1 for one in grey
    factor: int = 8  # pixels of the picture in one of the latent
    light: bool = False
    inner: tuple[int, ...] = ()  # of a light one: what its blocks work at, level by level


class T2IAdapter(nn.Module):
    """`adapter(hint)` gives the map of each level of the UNet, `[1, c, h, w]` and halved from level
    to level, rounding up. `hint` is `[1, 3, 8 h, 8 w]` in 0..1.
    """

    def __init__(self, config: T2IAdapterConfig) -> None:
        super().__init__()
        self.config = config
        width = config.hint_channels * config.factor**2
        if config.light:
            inputs = (width, *config.channels)
            levels = zip(inputs, config.inner, config.channels)  # noqa: B905 - one more input
            self.body = nn.ModuleList(LightLevel(*sizes, config.blocks) for sizes in levels)
            return
        first = config.channels[0]
        self.conv_in = nn.Conv2d(width, first, 3, padding=1)
        inputs = (first, *config.channels)
        blocks: list[nn.Module] = []
        for before, after in zip(inputs, config.channels):  # noqa: B905 - one more input
            blocks.append(FullBlock(before, after))
            blocks += [FullBlock(after, after) for _ in range(config.blocks - 1)]
        self.body = nn.ModuleList(blocks)

    def forward(self, hint: Tensor) -> list[Tensor]:
        if self.config.hint_channels == 1:
            hint = hint.mean(dim=1, keepdim=True)
        x = F.pixel_unshuffle(hint, self.config.factor)
        if not self.config.light:
            x = self.conv_in(x)
        maps = []
        size = 1 if self.config.light else self.config.blocks
        for level in range(len(self.config.channels)):
            if level:
                x = F.avg_pool2d(x, 2, ceil_mode=True)
            for block in self.body[level * size : (level + 1) * size]:
                x = block(x)
            maps.append(x)
        return maps


class FullBlock(nn.Module):
    """A residual block of a full adapter."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.in_conv = nn.Conv2d(width_in, width, 1) if width_in != width else nn.Identity()
        self.block1 = nn.Conv2d(width, width, 3, padding=1)
        self.block2 = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.in_conv(x)
        return x + self.block2(F.relu(self.block1(x)))


class LightBlock(nn.Module):
    """A residual block of a light adapter."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block1 = nn.Conv2d(width, width, 3, padding=1)
        self.block2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block2(F.relu(self.block1(x)))


class LightLevel(nn.Module):
    """A level of a light adapter: to the inner width, its blocks, and to the level's width."""

    def __init__(self, width_in: int, inner: int, width: int, blocks: int) -> None:
        super().__init__()
        self.in_conv = nn.Conv2d(width_in, inner, 1)
        self.body = nn.Sequential(*(LightBlock(inner) for _ in range(blocks)))
        self.out_conv = nn.Conv2d(inner, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_conv(self.body(self.in_conv(x)))
