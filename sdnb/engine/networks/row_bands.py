"""Norms and convolutions by bands of rows: only a band of a map is in work at a time, and the
result is that of the whole map to rounding.

A node gives any rows of its map; it asks its source for the rows that a convolution reaches beyond
them (the halo), and pads with zeros only where the map itself ends. Group norms see the whole map:
their statistics are gathered over all bands first, as means and sums of squared deviations, which
merge without cancellation (Chan et al. 1983, https://doi.org/10.1080/00031305.1983.10483115). So
there is no seam, at any size.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class MapStorage:
    """Where maps are stored: `make` gives the memory for one, `[1, c, h, w]`. `on_host` says that
    it is not the device's own, so that rows of it are copied there.
    """

    make: Callable[[tuple[int, int, int, int], torch.dtype], Tensor]
    on_host: bool = False


class Rows(Protocol):
    """A map that computes any of its rows: from a to b, `[n, c, b - a, w]`."""

    channels: int
    widest: int  # channels of the widest map that is in work for it
    height: int
    width: int

    def __call__(self, a: int, b: int) -> Tensor: ...


class Stored:
    """A map in memory on any device; its rows are brought to `device`."""

    def __init__(self, data: Tensor, device: torch.device, on_host: bool = False) -> None:
        self.data, self.device, self.on_host = data, device, on_host
        _, self.channels, self.height, self.width = data.shape
        self.widest = self.channels

    def __call__(self, a: int, b: int) -> Tensor:
        return self.data[:, :, a:b].to(self.device, non_blocking=True, copy=self.on_host)


class Norm:
    """A group norm with the statistics of a whole map, then SiLU."""

    def __init__(
        self, norm: nn.GroupNorm, source: Rows, bands: Callable[[Rows], Iterable[tuple[int, int]]]
    ) -> None:
        groups = norm.num_groups
        parts = [_moments(source(a, b), groups) for a, b in bands(source)]
        count, mean, square = (torch.stack(x) for x in zip(*parts, strict=True))  # [k, n, groups]
        total = count.sum(0)
        middle = (mean * count).sum(0) / total
        variance = (square + count * (mean - middle).square()).sum(0) / total
        each = source.channels // groups
        rate = (variance + norm.eps).rsqrt().float().repeat_interleave(each, dim=1)  # [n, c]
        scale = norm.weight.float() * rate
        shift = norm.bias.float() - middle.float().repeat_interleave(each, dim=1) * scale
        self.scale, self.shift = scale[:, :, None, None], shift[:, :, None, None]

    def __call__(self, x: Tensor) -> Tensor:
        y = torch.addcmul(self.shift, x, self.scale)  # in float32
        return F.silu(y, inplace=True).to(x.dtype)


def _moments(x: Tensor, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """Count, mean and sum of squared deviations of each group `[n, groups]`, in float64."""
    n, c, h, w = x.shape
    each = x.permute(0, 2, 3, 1).reshape(n, h * w, groups, c // groups).float()
    variance, mean = torch.var_mean(each, dim=(1, 3), correction=0)
    count = torch.full_like(mean, h * w * (c // groups), dtype=torch.float64)
    return count, mean.double(), variance.double() * count


class Bands:
    """How many rows of a map are in work at once: about `side` squared pixels of 128 channels."""

    def __init__(self, side: float, most: int | None = None) -> None:
        self.area = side * side * 128
        self.most = most  # bands to go through: for a rehearsal, which needs only the first few

    def __call__(self, node: Rows) -> Iterator[tuple[int, int]]:
        rows = max(8, int(self.area // (node.width * node.widest)))
        yield from itertools.islice(spans(node.height, rows), self.most)


def spans(height: int, rows: int) -> Iterator[tuple[int, int]]:
    """The first row of each band, and the first one past it."""
    for a in range(0, height, rows):
        yield a, min(a + rows, height)


def store(node: Rows, bands: Bands, storage: MapStorage, over: Stored | None) -> Stored:
    """Compute and store all rows of a node. `over` is the map that the node reads; where it has the
    same shape, it is overwritten: each band is written after the next one, which still reads its
    last rows, is computed.
    """
    shape = (1, node.channels, node.height, node.width)
    same = over is not None and tuple(over.data.shape) == shape and over.on_host == storage.on_host
    data = over.data if over is not None and same else None
    late: tuple[int, int, Tensor] | None = None
    for a, b in bands(node):
        band = node(a, b)
        if data is None:
            data = storage.make(shape, band.dtype)
        if late is not None:
            data[:, :, late[0] : late[1]].copy_(late[2], non_blocking=True)
        late = a, b, band
    assert data is not None
    assert late is not None
    data[:, :, late[0] : late[1]].copy_(late[2], non_blocking=True)
    return Stored(data, late[2].device, storage.on_host)


class Conv:
    """A 3 x 3 convolution of a source, after the norm `before`."""

    def __init__(self, conv: nn.Conv2d, source: Rows, before: Callable[[Tensor], Tensor]) -> None:
        self.conv, self.source, self.before = conv, source, before
        self.channels, self.height, self.width = conv.out_channels, source.height, source.width
        self.widest = max(self.channels, source.widest)

    def __call__(self, a: int, b: int) -> Tensor:
        low, high = max(a - 1, 0), min(b + 1, self.height)
        x = self.before(self.source(low, high))
        return conv_rows(x, self.conv, a, b, self.height)


class Resnet:
    """A residual block: norm, convolution, norm, convolution, and the source added."""

    def __init__(self, block: Any, source: Rows, bands: Bands) -> None:
        self.block, self.source = block, source
        self.height, self.width = source.height, source.width
        self.channels = block.conv2.out_channels
        self.widest = max(self.channels, source.widest)
        self.norm1 = Norm(block.norm1, source, bands)
        self.first = Conv(block.conv1, source, self.norm1)
        self.norm2 = Norm(block.norm2, self.first, bands)

    def __call__(self, a: int, b: int) -> Tensor:
        block, height = self.block, self.height
        low, high = max(a - 2, 0), min(b + 2, height)
        x = self.source(low, high)
        inner = max(a - 1, 0), min(b + 1, height)
        h = conv_rows(self.norm1(x), block.conv1, *inner, height)
        h = conv_rows(self.norm2(h), block.conv2, a, b, height)
        x = x[:, :, a - low : b - low]
        return h.add_(block.nin_shortcut(x) if hasattr(block, "nin_shortcut") else x)


class DoubledRows:
    """Nearest-neighbour doubling and a convolution."""

    def __init__(self, conv: nn.Conv2d, source: Rows) -> None:
        self.conv, self.source, self.channels = conv, source, conv.out_channels
        self.height, self.width = 2 * source.height, 2 * source.width
        self.widest = self.channels

    def __call__(self, a: int, b: int) -> Tensor:
        x = doubled(self.source, max(a - 1, 0), min(b + 1, self.height))
        return conv_rows(x, self.conv, a, b, self.height)


class HalvedRows:
    """A halving convolution, padded on the right and below only."""

    def __init__(self, conv: nn.Conv2d, source: Rows) -> None:
        self.conv, self.source, self.channels = conv, source, conv.out_channels
        self.height, self.width = source.height // 2, source.width // 2
        self.widest = 4 * self.channels  # four times as many pixels of it come in

    def __call__(self, a: int, b: int) -> Tensor:
        high = min(2 * b + 1, self.source.height)
        x = F.pad(self.source(2 * a, high), (0, 1, 0, 2 * b + 1 - high))
        return F.conv2d(x, self.conv.weight, self.conv.bias, stride=2)


def doubled(source: Callable[[int, int], Tensor], a: int, b: int) -> Tensor:
    """Rows a to b of the source with each pixel doubled in height and width."""
    top, bottom = a // 2, (b + 1) // 2
    x = F.interpolate(source(top, bottom), scale_factor=2.0, mode="nearest")
    return x[:, :, a - 2 * top : b - 2 * top]


def conv_rows(x: Tensor, conv: nn.Conv2d, a: int, b: int, height: int) -> Tensor:
    """Rows a to b of a padded 3 x 3 convolution; x holds those and one more on each side, except
    where the map ends.
    """
    return padded(x, conv.weight, conv.bias, (a == 0, b == height))


def padded(x: Tensor, weight: Tensor, bias: Tensor | None, ends: tuple[bool, bool]) -> Tensor:
    """A 3 x 3 convolution with zeros beside x, and above and below it where the map `ends`."""
    top, bottom = ends
    y = F.conv2d(x, weight, bias, padding=(int(top or bottom), 1))
    if top == bottom:
        return y
    return y[:, :, :-1] if top else y[:, :, 1:]  # x goes on there: what saw zeros is not wanted
