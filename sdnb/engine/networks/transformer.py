"""The attention layers of the UNet: transformer blocks over the pixels and the text. The attribute
names are those of CompVis `attention.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdnb.engine.networks import attention, fused, kernels, pieces
from sdnb.engine.networks.attention import merge_heads, split_heads
from sdnb.engine.networks.config import UNetConfig
from sdnb.engine.networks.kernels import pointwise
from sdnb.engine.networks.resnet import repeat_batch
from sdnb.engine.networks.token_merging import Merged


class Attention(nn.Module):
    """Multi-head attention of x over itself, or over what `keys_values` made before.

    Where x has more tokens than `chunk`, only some of the heads are in work at a time.
    """

    def __init__(self, width: int, context_dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.width, self.chunk = heads, width, 0
        self.kernel = attention.sdpa
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_dim, width, bias=False)
        self.to_v = nn.Linear(context_dim, width, bias=False)
        self.to_out = nn.Sequential(nn.Linear(width, width))

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """`[b, m, context_dim]` to keys and values `[b, heads, m, d]`."""
        k, v = self.to_k(context), self.to_v(context)
        return split_heads(k, self.heads), split_heads(v, self.heads)

    def forward(
        self, make: Callable[[], Tensor], keys: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Attend from x `[b, n, c]`, which `make` gives: so x is freed before the kernel runs."""
        return pieces.linear(self.to_out[0], self._attend(make, keys))

    def add_to(
        self, x: Tensor, norm: nn.LayerNorm, keys: tuple[Tensor, Tensor] | None = None
    ) -> None:
        """Add what it gives for `norm(x)` to x, in place."""
        kernels.of(x).add_residual(x, norm, lambda make: self._attend(make, keys), self.to_out[0])

    def _attend(self, make: Callable[[], Tensor], keys: tuple[Tensor, Tensor] | None) -> Tensor:
        """All but the last layer."""
        x = make()
        some = self._heads_at_once(x)
        if keys is None and some < self.heads:
            return self._by_heads(x, some)
        if keys is None:
            weights = self.to_q.weight, self.to_k.weight, self.to_v.weight
            q, k, v = (split_heads(y, self.heads) for y in kernels.of(x).projections(x, weights))
        else:
            q, (k, v) = split_heads(pieces.linear(self.to_q, x), self.heads), keys
        del x
        return merge_heads(pieces.attend(self.kernel, q, k, v))

    def _heads_at_once(self, x: Tensor) -> int:
        """How many heads are in work at once: as many as make `chunk` tokens' worth of numbers, but
        at least a quarter of them, which keeps a card busy.
        """
        tokens = x.shape[0] * x.shape[1]
        if not self.chunk or tokens <= self.chunk or torch.is_grad_enabled():
            return self.heads
        wanted = max(self.heads * self.chunk // tokens, self.heads // 4, 1)
        return next(n for n in range(wanted, 0, -1) if self.heads % n == 0)

    def _by_heads(self, x: Tensor, some: int) -> Tensor:
        """Attention of x `[b, n, c]` over itself, `some` heads at a time."""
        out = torch.empty_like(x)
        width = x.shape[-1] // self.heads * some
        for at in range(0, x.shape[-1], width):
            part = slice(at, at + width)
            q, k, v = (
                split_heads(F.linear(x, layer.weight[part]), some)
                for layer in (self.to_q, self.to_k, self.to_v)
            )
            out[..., part] = merge_heads(pieces.attend(self.kernel, q, k, v))
        return out


class GEGLU(nn.Module):
    """A gated linear unit with exact GELU (https://arxiv.org/abs/2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * hidden)

    def forward(self, x: Tensor) -> Tensor:
        return kernels.of(x).geglu(x, self.proj)


class FeedForward(nn.Module):
    """The gated unit and a projection back to `width`, for `chunk` tokens at a time (0: all)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.chunk = width, 0
        hidden = 4 * width
        self.net = nn.Sequential(GEGLU(width, hidden), nn.Identity(), nn.Linear(hidden, width))

    def add_to(self, x: Tensor, norm: nn.LayerNorm) -> None:
        """Add the unit's output for `norm(x)` to x `[b, n, c]`, in place."""
        tokens = x.view(-1, x.shape[-1])
        gated, _, last = self.net
        for part in tokens.split(self.chunk or len(tokens)):
            kernels.of(x).add_residual(part, norm, lambda make: gated(make()), last)


class TransformerBlock(nn.Module):
    """Self-attention, text attention, feed-forward; each normed before and added after."""

    def __init__(self, width: int, context_dim: int, heads: int) -> None:
        super().__init__()
        self.attn1 = Attention(width, width, heads)
        self.ff = FeedForward(width)
        self.attn2 = Attention(width, context_dim, heads)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(
        self, x: Tensor, keys: tuple[Tensor, Tensor], merged: Merged | None = None
    ) -> Tensor:
        """x `[b, n, c]` is the projection's own output: it is added to in place. With `merged`,
        self-attention sees its tokens merged so.
        """
        if torch.is_grad_enabled():
            return self._recorded(x, keys)
        if merged is None:
            self.attn1.add_to(x, self.norm1)
        else:
            x.add_(merged.spread(self.attn1(lambda: merged.merge(self.norm1(x)))))
        # Here the texts part: what came before is shared.
        x = repeat_batch(x, len(keys[0]) // len(x))
        self.attn2.add_to(x, self.norm2, keys)
        self.ff.add_to(x, self.norm3)
        return x

    def _recorded(self, x: Tensor, keys: tuple[Tensor, Tensor]) -> Tensor:
        """The same with nothing in place, for gradients."""
        x = x + self.attn1(lambda: self.norm1(x))
        x = repeat_batch(x, len(keys[0]) // len(x))
        x = x + self.attn2(lambda: self.norm2(x), keys)
        return x + self.ff.net(self.norm3(x))


class SpatialTransformer(nn.Module):
    """Transformer blocks over the pixels of a feature map, `depth` of them."""

    def __init__(self, width: int, config: UNetConfig, depth: int) -> None:
        super().__init__()
        heads = width // config.head_width if config.head_width else config.heads
        self.norm = nn.GroupNorm(config.groups, width, eps=1e-6)
        self.proj_in = nn.Conv2d(width, width, 1)
        blocks = (TransformerBlock(width, config.context_dim, heads) for _ in range(depth))
        self.transformer_blocks = nn.ModuleList(blocks)
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(
        self, x: Tensor, keys: Iterator[tuple[Tensor, Tensor]], merge: float = 0.0
    ) -> Tensor:
        """x `[b, c, h, w]`; each block takes the next pair of `keys`. In self-attention the share
        `merge` of the tokens joins others.
        """
        y = fused.norm_silu(x, self.norm, act=False)
        y = pointwise(self.proj_in, y.permute(0, 2, 3, 1))  # [b, h, w, c]
        _, h, w, c = y.shape
        for block in self.transformer_blocks:
            y = y.reshape(len(y), h * w, c)
            merged = Merged.of(y, h, w, merge) if merge else None
            y = block(y, next(keys), merged)
        y = pointwise(self.proj_out, y.view(-1, h, w, c))
        return y.permute(0, 3, 1, 2).add_(repeat_batch(x, len(y) // len(x)))
