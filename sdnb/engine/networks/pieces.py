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

#: Multiplications of a piece for two threads: two slow cores do 20e9 in a second.
MOST = 5_400_000_000
#: And of a piece of attention on a card: a small one does 1.5e12 in a second. They begin at 1300².
MOST_ON_CARD = 1_000_000_000_000

#: The CPU's attention takes 256 queries at a time where it has so many, and else 64, which is 6 %
#: slower: https://github.com/pytorch/pytorch, FlashAttentionKernel.cpp.
_QUERIES = 768
#: Outputs of a piece of a convolution are a multiple of what a processor has in work at once.
_CHANNELS = 64

#: Work on tokens `[n, c]`, which writes its result to `out` if one is given.
Work = Callable[[Tensor, Tensor | None], Tensor]


def look() -> None:
    """Raise `stop.Stopped` if the run is to stop; nothing in a graph that is being compiled."""
    if not torch.compiler.is_compiling():
        stop.look()


def most(x: Tensor, on_card: float = math.inf) -> float:
    """Multiplications of a piece on x's device; all at once where gradients are recorded."""
    if torch.is_grad_enabled():
        return math.inf
    return MOST * max(torch.get_num_threads() // 2, 1) if x.device.type == "cpu" else on_card


def spans(count: int, size: float, grain: int = 1) -> Iterator[tuple[int, int]]:
    """The first of each piece of `count` rows, and the first one past it: pieces of at most `size`
    rows, all alike, in multiples of `grain`.
    """
    step = max(count, 1)
    if size < count:
        grains, largest = -(-count // grain), max(int(size) // grain, 1)
        step = grain * -(-grains // -(-grains // largest))
    for first in range(0, count, step):
        look()
        yield first, min(first + step, count)


def tokens(work: Work, x: Tensor, cost: int, width: int) -> Tensor:
    """`work` of tokens x `[..., c]`, each by itself, to `[..., width]`, for `cost` multiplications
    a token.
    """
    flat, out = x.reshape(-1, x.shape[-1]), None
    for a, b in spans(len(flat), most(x) / cost):
        if b - a == len(flat):
            return work(flat, None).view(*x.shape[:-1], width)
        if out is None:
            out = flat.new_empty(len(flat), width)
        work(flat[a:b], out[a:b])
    return x.new_empty(*x.shape[:-1], width) if out is None else out.view(*x.shape[:-1], width)


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """A linear layer of tokens `[..., c]`."""
    return product(x, layer.weight, layer.bias)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear` of tokens x `[..., c]` with weight `[o, c]`."""

    def work(some: Tensor, out: Tensor | None) -> Tensor:
        if out is None:
            return F.linear(some, weight, bias)
        if bias is None:
            return torch.mm(some, weight.T, out=out)
        return torch.addmm(bias, some, weight.T, out=out)

    return tokens(work, x, weight.numel(), len(weight))


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, *, stride: int = 1, padding: int = 0
) -> Tensor:
    """A convolution of a map `[b, c, h, w]` by bands of its rows; by some of its outputs where the
    weights are larger than the map, since they are read for each band.
    """
    side = weight.shape[-1]
    height, width = ((n + 2 * padding - side) // stride + 1 for n in x.shape[2:])
    share = most(x) / (len(x) * height * width * weight.numel())  # of it that is a piece
    if share >= 1:
        look()
        return F.conv2d(x, weight, bias, stride, padding)
    out = x.new_empty(len(x), len(weight), height, width)
    out = out.to(memory_format=torch.channels_last)
    if weight.numel() > x.numel():
        for a, b in spans(len(weight), share * len(weight), _CHANNELS):
            its = None if bias is None else bias[a:b]
            out[:, a:b] = F.conv2d(x, weight[a:b], its, stride, padding)
        return out
    for a, b in spans(height, share * height):
        top, bottom = a * stride - padding, (b - 1) * stride - padding + side
        rows = x[:, :, max(top, 0) : min(bottom, x.shape[2])]
        rows = F.pad(rows, (0, 0, max(-top, 0), max(bottom - x.shape[2], 0)))
        out[:, :, a:b] = F.conv2d(rows, weight, bias, stride, (0, padding))
    return out


def attend(
    kernel: Callable[[Tensor, Tensor, Tensor], Tensor], q: Tensor, k: Tensor, v: Tensor
) -> Tensor:
    """Attention of q `[b, heads, n, d]` over k and v `[b, heads, m, d]`: all heads or some of them,
    queries by pieces.
    """
    b, heads, n, d = q.shape
    most_rows = most(q, MOST_ON_CARD) / (2 * b * k.shape[2] * d)  # of one head
    if most_rows >= heads * n:
        look()
        return kernel(q, k, v)
    some = heads if q.device.type != "cpu" else min(max(int(most_rows) // _QUERIES, 1), heads)
    grain = 256 if most_rows >= some * _QUERIES else 64
    out = q.new_empty(b, n, heads, v.shape[-1]).transpose(1, 2)
    for h in range(0, heads, some):
        at = slice(h, h + some)
        for first, end in spans(n, most_rows / some, grain):
            out[:, at, first:end] = kernel(q[:, at, first:end], k[:, at], v[:, at])
    return out
