"""3 x 3 convolutions on a CPU by Winograd's F(4x4, 3x3): a quarter of the multiplications.

Lavin & Gray 2015, https://arxiv.org/abs/1509.09308. A tile of 4 x 4 pixels with its rim, 6 x 6, is
transformed, multiplied by transformed weights in 36 products of matrices instead of 144, and
transformed back. The result is that of a plain convolution to rounding. The tiles' polynomials are
taken at 0, ±2/3, ±3/2 and infinity, where the largest rounding errors were measured as one to two
times a plain convolution's; at the usual 0, ±1, ±2 they are four to six times (how to choose:
Barabasz et al. 2018, https://arxiv.org/abs/1803.10986).
"""

from __future__ import annotations

import functools
import weakref

import torch
import torch.nn.functional as F
from torch import Tensor

#: The side of a tile, and of a tile with its rim.
TILE, SEEN = 4, 6
POINTS = (0.0, 2 / 3, -2 / 3, 1.5, -1.5)

#: Channels below which transforming costs what is saved, and tiles below which it does not matter
#: that the weights are four times as many to read, or have to be transformed for this once.
_NARROW, _FEW, _FEW_ONCE = 64, 16, 128

#: Floats of the transformed map that are in work at once: they stay in the processor's cache.
_AT_ONCE = 2**20

#: The largest transformed weights that are kept, in bytes: the largest of a small model's. Others
#: are made anew for each call, since of a whole SD 1.4 they would take gigabytes.
KEPT = 3 * 2**20


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, *, once: bool = False) -> Tensor:
    """Convolve x `[b, c, h, w]` with 3 x 3 weights and zero padding, by the faster of both ways.
    `once` says that the weights are not used again soon, so nothing is kept for them.
    """
    if pays(x, weight, once=once):
        return conv(x, weight, bias, keep=not once)
    return F.conv2d(x, weight, bias, padding=1)


def pays(x: Tensor, weight: Tensor, *, once: bool = False) -> bool:
    """Whether `conv` can take these, and is faster."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or weight.dtype != torch.float32:
        return False
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    b, _, h, w = x.shape
    tiles = b * -(-h // TILE) * -(-w // TILE)
    few = _FEW_ONCE if once or _size(weight) > KEPT else _FEW
    return min(weight.shape[:2]) >= _NARROW and tiles >= few


def conv(x: Tensor, weight: Tensor, bias: Tensor | None, *, keep: bool = True) -> Tensor:
    """Convolve x `[b, c, h, w]` with weight `[o, c, 3, 3]` and zero padding: `[b, o, h, w]`,
    channels-last. All are float32, of any height and width. Gradients are not recorded.
    """
    b, _, h, w = x.shape
    out = len(weight)
    down, across = -(-h // TILE), -(-w // TILE)  # tiles
    weights = _weights(weight, keep)  # [36, c, o]
    add = x.new_zeros(()) if bias is None else bias
    y = x.new_empty(b, down, TILE, across, TILE, out)
    rows = max(1, _AT_ONCE // (SEEN * SEEN * b * across * max(weight.shape[:2])))
    x = x.permute(0, 2, 3, 1)  # [b, h, w, c]
    for first in range(0, down, rows):
        end = min(first + rows, down)
        part = _products(_around(x, first, end, across), weights)  # [4, 4, b, end - first, ...]
        torch.add(part.permute(2, 3, 0, 4, 1, 5), add, out=y[:, first:end])
    y = y.view(b, down * TILE, across * TILE, out)[:, :h, :w]
    return y.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _around(x: Tensor, first: int, end: int, across: int) -> Tensor:
    """The tiles of rows `first` to `end` of x `[b, h, w, c]` with their rims, zero outside x: a
    view `[6, 6, b, rows, across, c]` of a copy.
    """
    h, w = x.shape[1:3]
    top, bottom = first * TILE - 1, end * TILE + 1
    some = x[:, max(top, 0) : min(bottom, h)]
    some = F.pad(
        some, (0, 0, 1, across * TILE + 1 - w, max(-top, 0), max(bottom - h, 0))
    )  # [b, 4 rows + 2, 4 across + 2, c]
    return some.unfold(1, SEEN, TILE).unfold(2, SEEN, TILE).permute(4, 5, 0, 1, 2, 3)


def _products(seen: Tensor, weights: Tensor) -> Tensor:
    """Convolve tiles `[6, 6, b, rows, across, c]` to pixels `[4, 4, b, rows, across, o]`."""
    *tiles, c = seen.shape[2:]
    n, out = tiles[0] * tiles[1] * tiles[2], weights.shape[2]
    size = SEEN * SEEN * n * max(c, out)
    one, two = seen.new_empty(size), seen.new_empty(size)  # in turn: little memory, and warm
    flat = one[: SEEN * SEEN * n * c].view(seen.shape).copy_(seen)
    flat = _both_ways(_inwards(), flat.view(SEEN, SEEN, n * c), two, one)
    each = torch.bmm(flat.view(36, n, c), weights, out=two[: 36 * n * out].view(36, n, out))
    pixels = _both_ways(_back(), each.view(SEEN, SEEN, n * out), one, two)
    return pixels.view(TILE, TILE, *tiles, out)


def _both_ways(matrix: Tensor, x: Tensor, one: Tensor, two: Tensor) -> Tensor:
    """`[6, 6, k]` multiplied along both of its axes: `[m, m, k]`, in `two`; `one` is room."""
    k, (to, size) = x.shape[2], matrix.shape
    half = one[: size * to * k].view(size, to, k)
    torch.bmm(matrix.expand(size, to, size), x, out=half)
    return torch.mm(matrix, half.view(size, to * k), out=two[: to * to * k].view(to, to * k))


# -- weights -----------------------------------------------------------------------------------
_kept: dict[int, tuple[weakref.ref[Tensor], int, Tensor]] = {}


def _size(weight: Tensor) -> int:
    """Bytes of the transformed weights."""
    return 4 * SEEN * SEEN * len(weight) * weight.shape[1]


def _weights(weight: Tensor, keep: bool) -> Tensor:
    """Transform a weight `[o, c, 3, 3]` to `[36, c, o]`. The result is kept while the weight exists
    and is not written to, unless it is large or its writes cannot be seen.
    """
    if not keep or _size(weight) > KEPT or weight.requires_grad or weight.is_inference():
        return _transformed(weight)
    key, version = id(weight), weight._version  # noqa: SLF001 - counts what is written to it
    found = _kept.get(key)
    if found is None or found[0]() is not weight or found[1] != version:
        with torch.inference_mode():
            made = _transformed(weight).contiguous()
        found = weakref.ref(weight, lambda _: _kept.pop(key, None)), version, made
        _kept[key] = found
    return found[2]


def _transformed(weight: Tensor) -> Tensor:
    out, c = weight.shape[:2]
    flat = weight.permute(0, 2, 3, 1).reshape(out, 9, c)
    return torch.matmul(_of_weights(), flat).permute(1, 2, 0)  # [36, c, o]


# -- the transforms ----------------------------------------------------------------------------
@functools.cache
def _inwards() -> Tensor:
    """The input transform B of F(4x4, 3x3), along one axis: `[6, 6]`."""
    return torch.linalg.inv(_powers(SEEN)).T.float().contiguous()


@functools.cache
def _back() -> Tensor:
    """The output transform A, along one axis: `[4, 6]`."""
    return _powers(TILE).T.float().contiguous()


@functools.cache
def _of_weights() -> Tensor:
    """The weight transform G, along both axes: `[36, 9]`."""
    powers = _powers(3)
    return torch.kron(powers, powers).float()


def _powers(count: int) -> Tensor:
    """The powers below `count` of each point, and of infinity: `[6, count]`."""
    points = torch.tensor(POINTS, dtype=torch.float64)[:, None]
    last = torch.zeros(1, count, dtype=torch.float64)
    last[0, -1] = 1
    return torch.cat([points ** torch.arange(count), last])
