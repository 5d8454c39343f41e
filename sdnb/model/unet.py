"""The denoiser of Stable Diffusion 1.x: a U-shaped convolution net with text cross-attention.

Rombach et al. 2022 (https://arxiv.org/abs/2112.10752), CompVis `openaimodel.py` and `attention.py`.
Attribute names are the names in a CompVis checkpoint, so that a `.ckpt` loads strictly and
unmapped: `nn.Sequential` positions that hold no weights there (SiLU, dropout) are kept for their
numbers. Nothing here moves, casts or frees weights: that is `sdnb.memory`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdnb.model import attention, fused
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

    def forward(
        self, make: Callable[[], Tensor], keys: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Of the `[b, n, c]` that `make` gives: made here, it is freed before the kernel runs."""
        x = make()
        if keys is None:
            q, k, v = (attention.split(part, self.heads) for part in self._qkv(x))
        else:
            q, (k, v) = attention.split(self.to_q(x), self.heads), keys
        del x
        y = attention.merge(self.kernel(q, k, v))
        del q, k, v
        return self.to_out(y)

    def _qkv(self, x: Tensor) -> Sequence[Tensor]:
        """Queries, keys and values of x; one matrix product where the weights lie side by side, as
        they do when a memory plan has brought them to a card.
        """
        parts = self.to_q.weight, self.to_k.weight, self.to_v.weight
        if x.is_cuda and not torch.compiler.is_compiling() and _side_by_side(parts):
            width = len(parts[0])
            whole = parts[0].as_strided((3 * width, width), (width, 1))
            return F.linear(x, whole).chunk(3, dim=-1)
        return [F.linear(x, weight) for weight in parts]


def _side_by_side(weights: Sequence[Tensor]) -> bool:
    first = weights[0]
    step = first.numel() * first.element_size()
    home = first.untyped_storage().data_ptr()
    return all(
        w.data_ptr() == first.data_ptr() + i * step and w.untyped_storage().data_ptr() == home
        for i, w in enumerate(weights)
    )


class GEGLU(nn.Module):
    """A gated linear unit with exact GELU (https://arxiv.org/abs/2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        return fused.geglu(self.proj(x))


class FeedForward(nn.Module):
    """The gated unit and a projection back to `width`, for `chunk` tokens at a time (0: all)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.chunk = 0
        self.net = nn.Sequential(
            GEGLU(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width)
        )

    def add_to(self, x: Tensor, h: Tensor, norm: nn.LayerNorm) -> None:
        """Add h to x `[b, n, c]`, then what the unit gives of `norm(x)`, in place."""
        tokens, more = x.view(-1, x.shape[-1]), h.view(-1, x.shape[-1])
        size = self.chunk or len(tokens)
        for part, its in zip(tokens.split(size), more.split(size), strict=True):
            part.add_(self.net(fused.add_norm(part, its, norm)))


class TransformerBlock(nn.Module):
    """Self-attention, text attention, feed-forward; each normed before and added after."""

    def __init__(self, width: int, context_dim: int, heads: int) -> None:
        super().__init__()
        self.attn1 = Attention(width, width, heads)
        self.ff = FeedForward(width)
        self.attn2 = Attention(width, context_dim, heads)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, x: Tensor, keys: tuple[Tensor, Tensor]) -> Tensor:  # [b, n, c]
        """x `[b, n, c]` is the projection's own output: it is added to in place."""
        if torch.is_grad_enabled():
            return self._recorded(x, keys)
        h = self.attn1(lambda: self.norm1(x))
        count = len(keys[0])
        if count != len(x):  # here the texts part: what came before is shared
            x = _for_each_text(x.add_(h), count)
            h = self.attn2(lambda: self.norm2(x), keys)
        else:
            h = self.attn2(lambda: fused.add_norm(x, h, self.norm2), keys)
        self.ff.add_to(x, h, self.norm3)
        return x

    def _recorded(self, x: Tensor, keys: tuple[Tensor, Tensor]) -> Tensor:
        """The same with nothing in place, for gradients."""
        x = _for_each_text(x + self.attn1(lambda: self.norm1(x)), len(keys[0]))
        h = self.attn2(lambda: self.norm2(x), keys)
        x = x + h
        return x + self.ff.net(self.norm3(x))


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
        y = fused.norm_silu(x, self.norm, act=False)
        y = _pointwise(self.proj_in, y.permute(0, 2, 3, 1))  # [b, h, w, c]
        b, h, w, c = y.shape
        for block in self.transformer_blocks:
            y = block(y.reshape(b, h * w, c), keys)
        y = _pointwise(self.proj_out, y.view(-1, h, w, c))
        return y.permute(0, 3, 1, 2).add_(_for_each_text(x, len(y)))


def _for_each_text(x: Tensor, count: int) -> Tensor:
    """Repeat `[b, ...]` to `[count, ...]`: all pictures with one text, then all with the next."""
    return x if len(x) == count else torch.cat([x] * (count // len(x)))  # keeps the layout


def _pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A 1x1 convolution of `[b, h, w, c]` as a matrix product; channels-last, it copies nothing."""
    return F.linear(x, conv.weight.flatten(1), conv.bias)


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
        return _pointwise(self, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


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
        self.out = Head(
            nn.GroupNorm(config.groups, first),
            nn.SiLU(inplace=True),
            nn.Conv2d(first, config.out_channels, 3, padding=1),
        )
        self.widths = [
            m.out_layers[3].out_channels for m in self.modules() if isinstance(m, ResBlock)
        ]

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

    def times(self, t: Sequence[float], like: Tensor) -> Tensor:
        """What the times `t` add in each residual block, `[len(t), all their widths]`, in order;
        once a generation, on `like`'s device and in its dtype. A row is a `t` for `forward`.
        """
        emb = time_embedding(t, self.config.channels[0], like)
        emb = self.time_embed(emb)  # [t, 4c]
        return torch.cat([m.time(emb) for m in self.modules() if isinstance(m, ResBlock)], dim=1)

    def once(self) -> list[nn.Module]:
        """The modules that work once a generation (`prepare`, `times`), not once a step."""
        texts = [m.attn2 for m in self.modules() if isinstance(m, TransformerBlock)]
        times = [m.emb_layers[1] for m in self.modules() if isinstance(m, ResBlock)]
        return [*self.time_embed, *times, *(m for a in texts for m in (a.to_k, a.to_v))]

    def stages(self) -> list[nn.Module]:
        """The modules that `forward` calls, in the order in which it calls them, in small parts."""
        blocks = [*self.input_blocks, self.middle_block, *self.output_blocks]
        parts: list[nn.Module] = []
        for layer in (layer for block in blocks for layer in block):
            whole = not isinstance(layer, ResBlock)
            parts += (
                [layer] if whole else [layer.in_layers, layer.skip_connection, layer.out_layers]
            )
        return [*parts, self.out]

    def forward(self, x: Tensor, t: float | Tensor, text: Text) -> Tensor:
        keys = iter(text)
        row = t if isinstance(t, Tensor) else self.times([t], x)[0]
        times = iter(row.split(self.widths))
        skips: list[Tensor] = []
        for block in self.input_blocks:
            for layer in block:  # flat, so that a layer's input is freed with it
                x = _run(layer, x, times, keys)
            skips.append(x)
        for layer in self.middle_block:
            x = _run(layer, x, times, keys)
        for block in self.output_blocks:
            x = torch.cat([x, _for_each_text(skips.pop(), len(x))], dim=1)
            for layer in block:
                x = _run(layer, x, times, keys, skips[-1].shape[2:] if skips else None)
        return self.out(x)


class Head(nn.Sequential):
    """The last norm and convolution, with the names of a plain sequence."""

    def forward(self, x: Tensor) -> Tensor:
        norm, _, conv = self
        return conv(fused.norm_silu(x, norm))


def _run(
    layer: nn.Module,
    x: Tensor,
    times: Iterator[Tensor],
    keys: Iterator[tuple[Tensor, Tensor]],
    size: torch.Size | None = None,
) -> Tensor:
    if isinstance(layer, ResBlock):
        return layer(x, next(times))
    if isinstance(layer, SpatialTransformer):
        return layer(x, next(keys))
    if isinstance(layer, Upsample):
        return layer(x, size)
    return layer(x)


def time_embedding(t: Sequence[float], width: int, like: Tensor) -> Tensor:
    """Sinusoids of the times, cosines first `[len(t), width]` (https://arxiv.org/abs/1706.03762),
    in `like`'s dtype.
    """
    half = width // 2
    rate = torch.arange(half, dtype=torch.float32, device=like.device) * (-math.log(10000) / half)
    angle = torch.tensor(t, dtype=torch.float32, device=like.device)[:, None] * torch.exp(rate)
    return torch.cat([angle.cos(), angle.sin()], dim=1).to(like.dtype)
