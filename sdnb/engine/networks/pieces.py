"""Work in pieces, between which a run looks whether it is to stop.

On a CPU one layer of a large picture takes seconds, and its attention minutes. So rows are taken as
many at a time as a fraction of a second computes, and a run looks before each piece. The result is
the same to rounding. A card's work is only enqueued here; of its layers attention alone can take
long, since it grows with the square of the pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdnb.request import stop

#: Multiplications of a piece: two slow cores do 20e9 in a second.
MOST = 4_000_000_000
#: And of a piece of attention on a card: a small one does 1.5e12 in a second. They begin at 1300².
MOST_ON_CARD = 1_000_000_000_000

#: Queries of a piece are a multiple of it: the CPU's attention takes so many at a time or more.
_GRAIN = 64


def look() -> None:
    """Raise `stop.Stopped` if the run is to stop; nothing in a graph that is being compiled."""
    if not torch.compiler.is_compiling():
        stop.look()


def spans(
    count: int, cost: int, x: Tensor, grain: int = 1, on_card: float = math.inf
) -> Iterator[tuple[int, int]]:
    """The first of each piece of `count` rows, and the first one past it; a row takes `cost`
    multiplications, of which x's device makes MOST a piece, or `on_card`. One piece where gradients
    are recorded.
    """
    size, most = max(count, 1), MOST if x.device.type == "cpu" else on_card
    if cost * count > most and not torch.is_grad_enabled():
        size = max(grain, int(most // cost) // grain * grain)
    for first in range(0, count, size):
        look()
        yield first, min(first + size, count)


def tokens(work: Callable[[Tensor], Tensor], x: Tensor, cost: int) -> Tensor:
    """`work(x)` of tokens x `[..., c]`, each by itself, for `cost` multiplications a token."""
    flat, out = x.reshape(-1, x.shape[-1]), None
    for a, b in spans(len(flat), cost, x):
        y = work(flat[a:b])
        if b - a == len(flat):
            return y.view(*x.shape[:-1], -1)
        if out is None:
            out = y.new_empty(len(flat), y.shape[-1])
        out[a:b] = y
    return torch.empty_like(x) if out is None else out.view(*x.shape[:-1], -1)


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """A linear layer of tokens `[..., c]`."""
    return tokens(layer, x, layer.weight.numel())


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, stride: int = 1, padding: int = 0
) -> Tensor:
    """A convolution of a map `[b, c, h, w]` by bands of its rows."""
    side = weight.shape[-1]
    height, width = ((n + 2 * padding - side) // stride + 1 for n in x.shape[2:])
    out = None
    for a, b in spans(height, len(x) * width * weight.numel(), x):
        if b - a == height:
            return F.conv2d(x, weight, bias, stride, padding)
        top, bottom = a * stride - padding, (b - 1) * stride - padding + side
        rows = x[:, :, max(top, 0) : min(bottom, x.shape[2])]
        rows = F.pad(rows, (0, 0, max(-top, 0), max(bottom - x.shape[2], 0)))
        y = F.conv2d(rows, weight, bias, stride, (0, padding))
        if out is None:
            out = y.new_empty(len(x), len(weight), height, width)
            out = out.to(memory_format=torch.channels_last)
        out[:, :, a:b] = y
    assert out is not None
    return out


def attend(
    kernel: Callable[[Tensor, Tensor, Tensor], Tensor], q: Tensor, k: Tensor, v: Tensor
) -> Tensor:
    """Attention of q `[b, heads, n, d]` over k and v `[b, heads, m, d]`, queries by pieces."""
    b, heads, n, d = q.shape
    out = None
    for first, end in spans(n, 2 * b * heads * k.shape[2] * d, q, _GRAIN, MOST_ON_CARD):
        if end - first == n:
            return kernel(q, k, v)
        y = kernel(q[:, :, first:end], k, v)
        if out is None:
            out = y.new_empty(b, n, heads, v.shape[-1]).transpose(1, 2)
        out[:, :, first:end] = y
    assert out is not None
    return out
