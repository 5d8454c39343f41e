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
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from sdnb.engine.networks import pieces

#: The side of a tile, and of one with its rim.
TILE, INPUT_TILE = 4, 6
POINTS = (0.0, 2 / 3, -2 / 3, 1.5, -1.5)  # and infinity

#: Channels below which transforming costs what it saves, and tiles below which it costs more to
#: read the weights, which are four times as many, or to transform them for this once.
_MIN_CHANNELS, _MIN_TILES, _MIN_TILES_ONCE = 64, 16, 128

#: Floats of the transformed map that are in work at once, and so stay in the processor's cache.
_AT_ONCE = 2**20

#: The largest transformed weights that are kept, in bytes: a small model's. Larger ones are made
#: anew for each call, since those of a whole SD 1.4 would take gigabytes.
KEPT = 3 * 2**20


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, *, once: bool = False) -> Tensor:
    """Convolve x `[b, c, h, w]` with 3 x 3 weights and zero padding, by the faster of both ways.
    `once`: the weights are not used again soon, so nothing is kept for them.
    """
    if is_faster(x, weight, once=once):
        return winograd_conv(x, weight, bias, keep=not once)
    return pieces.convolve(x, weight, bias, padding=1)


_on_cpu = {"cpu"}  # devices whose tensors are the CPU's


@contextmanager
def rehearsed() -> Iterator[None]:
    """Have tensors without data, on meta, stand for the CPU's in the block: so what its
    convolutions take besides their maps is rehearsed.
    """
    # They are kept for all to come, and in a rehearsal nothing has values.
    for transform in (_input_transform, _output_transform, _weight_transform):
        transform()
    _on_cpu.add("meta")
    try:
        yield
    finally:
        _on_cpu.discard("meta")


def is_faster(x: Tensor, weight: Tensor, *, once: bool = False) -> bool:
    """Whether `winograd_conv` can take these, and is faster."""
    if x.device.type not in _on_cpu or x.dtype != torch.float32 or weight.dtype != torch.float32:
        return False
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    b, _, h, w = x.shape
    tiles = b * -(-h // TILE) * -(-w // TILE)
    few = _MIN_TILES_ONCE if once or _size(weight) > KEPT else _MIN_TILES
    return min(weight.shape[:2]) >= _MIN_CHANNELS and tiles >= few


def winograd_conv(x: Tensor, weight: Tensor, bias: Tensor | None, *, keep: bool = True) -> Tensor:
    """Convolve x `[b, c, h, w]` with weight `[o, c, 3, 3]` and zero padding: `[b, o, h, w]`,
    channels-last. All are float32, of any height and width. Gradients are not recorded.
    """
    b, _, h, w = x.shape
    out = len(weight)
    down, across = -(-h // TILE), -(-w // TILE)  # tiles
    weights = _transformed_weight(weight, keep)  # [36, c, o]
    add = x.new_zeros(()) if bias is None else bias
    y = x.new_empty(b, down, TILE, across, TILE, out)
    rows = max(1, _AT_ONCE // (36 * b * across * max(weight.shape[:2])))
    x = x.permute(0, 2, 3, 1)  # [b, h, w, c]
    for first in range(0, down, rows):
        pieces.look()
        end = min(first + rows, down)
        tiles = _input_tiles(x, first, end, across)
        part = _convolve_tiles(tiles, weights)  # [4, 4, b, end - first, across, o]
        torch.add(part.permute(2, 3, 0, 4, 1, 5), add, out=y[:, first:end])
        if x.is_meta:  # the others take as much
            break
    y = y.view(b, down * TILE, across * TILE, out)[:, :h, :w]
    return y.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _input_tiles(x: Tensor, first: int, end: int, across: int) -> Tensor:
    """The tiles of rows `first` to `end` of x `[b, h, w, c]` with their rims, zero outside x: a
    view `[6, 6, b, rows, across, c]` of a copy.
    """
    h, w = x.shape[1:3]
    top, bottom = first * TILE - 1, end * TILE + 1
    padding = (0, 0, 1, across * TILE + 1 - w, max(-top, 0), max(bottom - h, 0))
    some = F.pad(x[:, max(top, 0) : min(bottom, h)], padding)  # [b, 4 rows + 2, 4 across + 2, c]
    return some.unfold(1, INPUT_TILE, TILE).unfold(2, INPUT_TILE, TILE).permute(4, 5, 0, 1, 2, 3)


def _convolve_tiles(seen: Tensor, weights: Tensor) -> Tensor:
    """Convolve tiles `[6, 6, b, rows, across, c]` to pixels `[4, 4, b, rows, across, o]`."""
    *tiles, c = seen.shape[2:]
    n, out = tiles[0] * tiles[1] * tiles[2], weights.shape[2]
    size = 36 * n * max(c, out)
    one, two = seen.new_empty(size), seen.new_empty(size)  # in turn: they stay in the cache
    flat = one[: 36 * n * c].view(seen.shape).copy_(seen)
    flat = _transform(
        _input_transform().to(seen.device), flat.view(INPUT_TILE, INPUT_TILE, n * c), two, one
    )
    each = torch.bmm(flat.view(36, n, c), weights, out=two[: 36 * n * out].view(36, n, out))
    pixels = _transform(
        _output_transform().to(seen.device), each.view(INPUT_TILE, INPUT_TILE, n * out), one, two
    )
    return pixels.view(TILE, TILE, *tiles, out)


def _transform(matrix: Tensor, x: Tensor, one: Tensor, two: Tensor) -> Tensor:
    """Multiply x `[6, 6, k]` along both of its axes: `[m, m, k]`, in `two`; `one` is work space."""
    k, (to, size) = x.shape[2], matrix.shape
    half = one[: size * to * k].view(size, to, k)
    torch.bmm(matrix.expand(size, to, size), x, out=half)
    return torch.mm(matrix, half.view(size, to * k), out=two[: to * to * k].view(to, to * k))


# -- weights -----------------------------------------------------------------------------------
_kept: dict[int, tuple[weakref.ref[Tensor], int, Tensor]] = {}


def _size(weight: Tensor) -> int:
    """Bytes of the transformed weights."""
    return 4 * 36 * len(weight) * weight.shape[1]


def _transformed_weight(weight: Tensor, keep: bool) -> Tensor:
    """Transform a weight `[o, c, 3, 3]` to `[36, c, o]`. The result is kept while the weight exists
    and is not written to, unless it is large or its writes cannot be seen.
    """
    if (
        not keep
        or weight.is_meta
        or _size(weight) > KEPT
        or weight.requires_grad
        or weight.is_inference()
    ):
        return _transform_weight(weight)
    key, version = id(weight), weight._version  # noqa: SLF001 - counts what is written to it
    found = _kept.get(key)
    if found is None or found[0]() is not weight or found[1] != version:
        with torch.inference_mode():
            made = _transform_weight(weight).contiguous()
        found = weakref.ref(weight, lambda _: _kept.pop(key, None)), version, made
        _kept[key] = found
    return found[2]


def _transform_weight(weight: Tensor) -> Tensor:
    out, c = weight.shape[:2]
    flat = weight.permute(0, 2, 3, 1).reshape(out, 9, c)
    return torch.matmul(_weight_transform().to(flat.device), flat).permute(1, 2, 0)  # [36, c, o]


# -- the transforms ----------------------------------------------------------------------------
@functools.cache
def _input_transform() -> Tensor:
    """The input transform B of F(4x4, 3x3), along one axis: `[6, 6]`."""
    return torch.linalg.inv(_powers(INPUT_TILE)).T.float().contiguous()


@functools.cache
def _output_transform() -> Tensor:
    """The output transform A, along one axis: `[4, 6]`."""
    return _powers(TILE).T.float().contiguous()


@functools.cache
def _weight_transform() -> Tensor:
    """The weight transform G, along both axes: `[36, 9]`."""
    powers = _powers(3)
    return torch.kron(powers, powers).float()


def _powers(count: int) -> Tensor:
    """The powers below `count` of each point, and of infinity: `[6, count]`."""
    points = torch.tensor(POINTS, dtype=torch.float64)[:, None]
    last = torch.zeros(1, count, dtype=torch.float64)
    last[0, -1] = 1
    return torch.cat([points ** torch.arange(count), last])
