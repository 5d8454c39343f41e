"""The denoiser of Stable Diffusion 1.x: a U-shaped convolution net with text cross-attention.

Rombach et al. 2022 (https://arxiv.org/abs/2112.10752), CompVis `openaimodel.py` and `attention.py`.
Attribute names are the names in a CompVis checkpoint, so that a `.ckpt` loads strictly and
unmapped: `nn.Sequential` positions that hold no weights there (SiLU, dropout) are kept for their
numbers. Nothing here moves, casts or frees weights: that is `sdnb.memory`'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdnb.model import attention
from sdnb.model.config import UNetConfig

#: Keys and values of the text, one pair for each cross-attention in order of execution.
Text = Sequence[tuple[Tensor, Tensor]]


class Attention(nn.Module):
    """Multi-head attention of `x` over itself, or over keys and values that `keys` made before."""

    def __init__(self, width: int, context_dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.kernel = attention.sdpa
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_dim, width, bias=False)
        self.to_v = nn.Linear(context_dim, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width))

    def keys(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """`[b, m, context_dim]` to keys and values `[b, heads, m, d]`."""
        k, v = self.to_k(context), self.to_v(context)
        return attention.split(k, self.heads), attention.split(v, self.heads)

    def forward(self, x: Tensor, keys: tuple[Tensor, Tensor] | None = None) -> Tensor:
        q = attention.split(self.to_q(x), self.heads)  # [b, heads, n, d]
        k, v = self.keys(x) if keys is None else keys
        return self.to_out(attention.merge(self.kernel(q, k, v)))


class GEGLU(nn.Module):
    """A gated linear unit with exact GELU (https://arxiv.org/abs/2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        x, gate = self.proj(x).chunk(2, dim=-1)
        return x * F.gelu(gate)


class FeedForward(nn.Module):
    """The gated unit and a projection back to `width`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            GEGLU(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class TransformerBlock(nn.Module):
    """Self-attention, text attention, feed-forward; each normed before and added after."""

    def __init__(self, width: int, context_dim: int, heads: int) -> None:
        super().__init__()
        self.attn1 = Attention(width, width, heads)
        self.ff = FeedForward(width)
        self.attn2 = Attention(width, context_dim, heads)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, x: Tensor, keys: tuple[Tensor, Tensor]) -> Tensor:  # [b, n, c]
        x = self.attn1(self.norm1(x)).add_(x)  # in place: each layer's output is its own
        x = _for_each_text(x, len(keys[0]))  # here the texts part: what came before is shared
        x = self.attn2(self.norm2(x), keys).add_(x)
        return self.ff(self.norm3(x)).add_(x)


class SpatialTransformer(nn.Module):
    """One transformer block over the pixels of a feature map."""

    def __init__(self, width: int, config: UNetConfig) -> None:
        super().__init__()
        heads = width // config.head_width if config.head_width else config.heads
        self.norm = nn.GroupNorm(config.groups, width, eps=1e-6)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList(
            [TransformerBlock(width, config.context_dim, heads)]
        )
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, keys: tuple[Tensor, Tensor]) -> Tensor:  # [b, c, h, w]
        y = _pointwise(self.proj_in, self.norm(x).permute(0, 2, 3, 1))  # [b, h, w, c]
        b, h, w, c = y.shape
        for block in self.transformer_blocks:
            y = block(y.reshape(b, h * w, c), keys)
        y = _pointwise(self.proj_out, y.view(-1, h, w, c))
        return y.permute(0, 3, 1, 2).add_(_for_each_text(x, len(y)))


def _for_each_text(x: Tensor, count: int) -> Tensor:
    """Repeat `[b, ...]` to `[count, ...]`: all pictures with one text, then all with the next."""
    return x if len(x) == count else x.repeat(count // len(x), *[1] * (x.ndim - 1))


def _pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A 1x1 convolution of `[b, h, w, c]` as a matrix product; channels-last, it copies nothing."""
    return F.linear(x, conv.weight.flatten(1), conv.bias)


class ResBlock(nn.Module):
    """Two convolutions with the time embedding added between them."""

    def __init__(self, width_in: int, width: int, time_dim: int, groups: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(groups, width_in),
            nn.SiLU(inplace=True),
            nn.Conv2d(width_in, width, 3, padding=1),
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_dim, width))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(groups, width),
            nn.SiLU(inplace=True),  # on the norm's own output
            nn.Identity(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.skip_connection = nn.Conv2d(width_in, width, 1) if width_in != width else nn.Identity()

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        norm, act, conv = self.in_layers
        bias = conv.bias + self.emb_layers(emb)[0]  # one time for the whole batch: it is a bias
        h = F.conv2d(act(norm(x)), conv.weight, bias, padding=1)  # [b, c, h, w]
        return self.out_layers(h).add_(self.skip_connection(x))


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


class UNet(nn.Module):
    """`model(x, t, text)` predicts the noise in `x` at time `t`.

    `x` is `[b, in_channels, h, w]` (any h and w from 8), `t` a time in 0..999 (fractions are fine),
    `text` what `prepare(context)` returned, of k * b texts; the result is `[k * b, out_channels, h,
    w]`, all in the weights' dtype. With k = 2 (guidance) the layers before the first text attention
    run once for both texts.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        first = config.channels[0]
        self.time_embed = nn.Sequential(
            nn.Linear(first, 4 * first), nn.SiLU(), nn.Linear(4 * first, 4 * first)
        )
        widths = self._build_down(first)
        last = config.channels[-1]
        self.middle_block = nn.ModuleList(
            [self._res(last, last), SpatialTransformer(last, config), self._res(last, last)]
        )
        self._build_up(widths)
        self.out = nn.Sequential(
            nn.GroupNorm(config.groups, first),
            nn.SiLU(inplace=True),
            nn.Conv2d(first, config.out_channels, 3, padding=1),
        )

    def _res(self, width_in: int, width: int) -> ResBlock:
        return ResBlock(width_in, width, 4 * self.config.channels[0], self.config.groups)

    def _attend(self, level: int, width: int) -> list[nn.Module]:
        return (
            [SpatialTransformer(width, self.config)]
            if level in self.config.attention_levels
            else []
        )

    def _build_down(self, width: int) -> list[int]:
        """The way down; returns the widths of the skip connections, in order."""
        config, widths = self.config, [width]
        blocks = [nn.ModuleList([nn.Conv2d(config.in_channels, width, 3, padding=1)])]
        for level, channels in enumerate(config.channels):
            for _ in range(config.blocks):
                blocks.append(
                    nn.ModuleList([self._res(width, channels), *self._attend(level, channels)])
                )
                width = channels
                widths.append(width)
            if level < len(config.channels) - 1:
                blocks.append(nn.ModuleList([Downsample(width)]))
                widths.append(width)
        self.input_blocks = nn.ModuleList(blocks)
        return widths

    def _build_up(self, skips: list[int]) -> None:
        config, width = self.config, self.config.channels[-1]
        blocks = []
        for level, channels in reversed(list(enumerate(config.channels))):
            for i in range(config.blocks + 1):
                parts: list[nn.Module] = [self._res(width + skips.pop(), channels)]
                parts += self._attend(level, channels)
                if level and i == config.blocks:
                    parts.append(Upsample(channels))
                blocks.append(nn.ModuleList(parts))
                width = channels
        self.output_blocks = nn.ModuleList(blocks)

    def prepare(self, context: Tensor) -> Text:
        """Keys and values of the text `[b, m, context_dim]`, once a generation instead of once a
        step.
        """
        return [
            m.transformer_blocks[0].attn2.keys(context)
            for m in self.modules()
            if isinstance(m, SpatialTransformer)
        ]

    def forward(self, x: Tensor, t: float, text: Text) -> Tensor:
        keys = iter(text)
        emb = self.time_embed(time_embedding(t, self.config.channels[0], x))  # [1, 4c]
        skips: list[Tensor] = []
        for block in self.input_blocks:
            x = _run(block, x, emb, keys)
            skips.append(x)
        x = _run(self.middle_block, x, emb, keys)
        for block in self.output_blocks:
            x = torch.cat([x, _for_each_text(skips.pop(), len(x))], dim=1)
            x = _run(block, x, emb, keys, skips[-1].shape[2:] if skips else None)
        return self.out(x)


def _run(
    block: nn.Module,
    x: Tensor,
    emb: Tensor,
    keys: Iterator[tuple[Tensor, Tensor]],
    size: torch.Size | None = None,
) -> Tensor:
    for layer in block.children():
        if isinstance(layer, ResBlock):
            x = layer(x, emb)
        elif isinstance(layer, SpatialTransformer):
            x = layer(x, next(keys))
        elif isinstance(layer, Upsample):
            x = layer(x, size)
        else:
            x = layer(x)
    return x


def time_embedding(t: float, width: int, like: Tensor) -> Tensor:
    """Sinusoids of the time, cosines first `[1, width]` (https://arxiv.org/abs/1706.03762), in
    `like`'s dtype.
    """
    half = width // 2
    rate = torch.arange(half, dtype=torch.float32, device=like.device) * (-math.log(10000) / half)
    angle = t * torch.exp(rate)
    return torch.cat([angle.cos(), angle.sin()])[None].to(like.dtype)
