"""The denoiser of Stable Diffusion: a U-shaped convolution net with text cross-attention.

Rombach et al. 2022 (https://arxiv.org/abs/2112.10752), CompVis `openaimodel.py`. Attribute names
are those of a CompVis checkpoint, so that a `.ckpt` loads strictly and unmapped: positions of an
`nn.Sequential` without weights (SiLU, dropout) are kept for their numbers. Nothing here moves,
casts or frees weights: `sdnb.engine.memory` does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from sdnb.engine.networks import fused, pieces
from sdnb.engine.networks.config import UNetConfig
from sdnb.engine.networks.resnet import (
    Downsample,
    ResBlock,
    Upsample,
    concat_skip,
    repeat_batch,
)
from sdnb.engine.networks.transformer import SpatialTransformer, TransformerBlock

#: Keys and values of the text, a pair for each cross-attention in order of execution.
Text = Sequence[tuple[Tensor, Tensor]]


class UNet(nn.Module):
    """`model(x, t, text)` predicts the noise in `x` at time `t`.

    `x` is `[b, in_channels, h, w]` (any h and w from 8), `t` a time in 0..999 (fractions are fine),
    `text` what `prepare(context)` returned, of k * b texts; the result is `[k * b, out_channels, h,
    w]`, all in the weights' dtype. With k = 2 (guidance) the layers before the first text attention
    run once for both texts. Where conditions are added to the times (`config.added_dim`), `t` is a
    row of `time_rows`, and every layer runs for each text.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        first = config.channels[0]
        wide = 4 * first
        self.time_embed = nn.Sequential(nn.Linear(first, wide), nn.SiLU(), nn.Linear(wide, wide))
        if config.added_dim:
            layers = nn.Linear(config.added_dim, wide), nn.SiLU(), nn.Linear(wide, wide)
            self.label_emb = nn.Sequential(nn.Sequential(*layers))
        skips = self._build_down(first)
        last = config.channels[-1]
        middle = SpatialTransformer(last, config, config.depth_at(-1))
        self.middle_block = nn.ModuleList([self._res(last, last), middle, self._res(last, last)])
        self._build_up(skips)
        conv = nn.Conv2d(first, config.out_channels, 3, padding=1)
        self.out = Head(nn.GroupNorm(config.groups, first), nn.SiLU(inplace=True), conv)
        self.widths = [m.in_layers.width for m in self.modules() if isinstance(m, ResBlock)]

    def _res(self, width_in: int, width: int) -> ResBlock:
        return ResBlock(width_in, width, 4 * self.config.channels[0], self.config.groups)

    def _block(self, level: int, width_in: int, width: int) -> list[nn.Module]:
        layers: list[nn.Module] = [self._res(width_in, width)]
        if level in self.config.attention_levels:
            layers.append(SpatialTransformer(width, self.config, self.config.depth_at(level)))
        return layers

    def _build_down(self, width: int) -> list[int]:
        """The way down; returns the widths of the skip connections, in order."""
        config, skips = self.config, [width]
        blocks: list[list[nn.Module]] = [[nn.Conv2d(config.in_channels, width, 3, padding=1)]]
        for level, channels in enumerate(config.channels):
            for _ in range(config.blocks):
                blocks.append(self._block(level, width, channels))
                width = channels
                skips.append(width)
            if level < len(config.channels) - 1:
                blocks.append([Downsample(width)])
                skips.append(width)
        self.input_blocks = nn.ModuleList(map(nn.ModuleList, blocks))
        return skips

    def _build_up(self, skips: list[int]) -> None:
        config, width = self.config, self.config.channels[-1]
        blocks = []
        for level, channels in reversed(list(enumerate(config.channels))):
            for i in range(config.blocks + 1):
                parts = self._block(level, width + skips.pop(), channels)
                if level and i == config.blocks:
                    parts.append(Upsample(channels))
                blocks.append(nn.ModuleList(parts))
                width = channels
        self.output_blocks = nn.ModuleList(blocks)

    def prepare(self, context: Tensor) -> Text:
        """Keys and values of the text `[b, m, context_dim]`, once a run instead of once a step."""
        blocks = (m for m in self.modules() if isinstance(m, TransformerBlock))
        return [block.attn2.keys_values(context) for block in blocks]

    def time_rows(self, t: Sequence[float], like: Tensor, added: Tensor | None = None) -> Tensor:
        """What the times `t` add in each residual block, `[len(t), all their widths]`, on `like`'s
        device and in its dtype. A row is a `t` for `forward`. With the conditions `added`
        `[b, config.added_dim]`, one for each text of `prepare`, it is `[len(t), b, their widths]`.

        Raises ValueError for conditions that this UNet has no layers for, or for none where it has.
        """
        given = 0 if added is None else added.shape[-1]
        if given != self.config.added_dim:
            raise ValueError(
                f"added is {given} wide; this UNet adds conditions {self.config.added_dim} wide to "
                "its times (0: none)"
            )
        emb = self.time_embed(time_embedding(t, self.config.channels[0], like))  # [t, 4c]
        if added is not None:
            emb = emb[:, None] + self.label_emb(added)  # [t, b, 4c]
        return torch.cat([m.time(emb) for m in self.modules() if isinstance(m, ResBlock)], dim=-1)

    def once_a_run(self) -> list[nn.Module]:
        """The modules that work once a run (`prepare`, `time_rows`), not once a step."""
        texts = [m.attn2 for m in self.modules() if isinstance(m, TransformerBlock)]
        times = [m.emb_layers[1] for m in self.modules() if isinstance(m, ResBlock)]
        added = self.label_emb[0] if self.config.added_dim else ()
        return [*self.time_embed, *added, *times, *(m for a in texts for m in (a.to_k, a.to_v))]

    def set_chunk(self, chunk: int) -> None:
        """Have the layers work on about `chunk` tokens or pixels at a time, or on all (0). That is
        for the first level's width; of a wider one they take fewer.
        """
        for module in self.modules():
            if hasattr(module, "chunk"):
                module.chunk = math.ceil(chunk * self.config.channels[0] / module.width)

    def execution_order(self) -> list[nn.Module]:
        """The modules that `forward` calls, in that order, in small parts."""
        parts: list[nn.Module] = []
        for block in [*self.input_blocks, self.middle_block, *self.output_blocks]:
            for layer in block:
                if isinstance(layer, ResBlock):
                    parts += [layer.in_layers, layer.skip_connection, layer.out_layers]
                else:
                    parts.append(layer)
        return [*parts, self.out]

    def forward(self, x: Tensor, t: float | Tensor, text: Text) -> Tensor:
        keys = iter(text)
        row = t if isinstance(t, Tensor) else self.time_rows([t], x)[0]
        if row.ndim > 1:  # the texts differ from the first layer on
            x = repeat_batch(x, len(row) // len(x))
        times = iter(row.split(self.widths, dim=-1))
        skips: list[Tensor] = []
        for block in self.input_blocks:
            for layer in block:  # flat, so that a layer's input is freed with it
                x = _run(layer, x, times, keys)
            skips.append(x)
        for layer in self.middle_block:
            x = _run(layer, x, times, keys)
        for block in self.output_blocks:
            x = concat_skip(x, skips.pop(), block[0].in_layers[0].num_channels)
            for layer in block:
                x = _run(layer, x, times, keys, skips[-1].shape if skips else None)
        return self.out(x)


class Head(nn.Sequential):
    """The last norm and convolution."""

    def forward(self, x: Tensor) -> Tensor:
        norm, _, conv = self
        return conv(fused.norm_silu(x, norm))


def _run(
    layer: nn.Module,
    x: Tensor,
    times: Iterator[Tensor],
    keys: Iterator[tuple[Tensor, Tensor]],
    skip: torch.Size | None = None,
) -> Tensor:
    pieces.look()
    if isinstance(layer, ResBlock):
        return layer(x, next(times))
    if isinstance(layer, SpatialTransformer):
        return layer(x, keys)
    if isinstance(layer, Upsample):
        return layer(x, skip)
    return layer(x)


def time_embedding(t: Sequence[float], width: int, like: Tensor) -> Tensor:
    """Sinusoids of the times, cosines first `[len(t), width]` (https://arxiv.org/abs/1706.03762),
    in `like`'s dtype.
    """
    half = width // 2
    rate = torch.arange(half, dtype=torch.float32, device=like.device) * (-math.log(10000) / half)
    angle = torch.tensor(t, dtype=torch.float32, device=like.device)[:, None] * torch.exp(rate)
    return torch.cat([angle.cos(), angle.sin()], dim=1).to(like.dtype)
