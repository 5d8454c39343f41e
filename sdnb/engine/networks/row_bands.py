"""Norms and convolutions by bands of rows: only a band of a map is in work at a time, and the
result is that of the whole map to rounding.

A map gives any of its rows when asked. It asks its source for the rows that a convolution reaches
beyond them (the halo), and pads with zeros only where the map itself ends. Group norms see the
whole map: their statistics are gathered over all bands first, as means and sums of squared
deviations, which merge without cancellation (Chan et al. 1983,
https://doi.org/10.1080/00031305.1983.10483115). So there is no seam, at any size.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdnb.engine.networks import fused, pieces


@dataclass(frozen=True)
class MapStorage:
    """Where maps are stored: `make` gives the memory for one, `[1, c, h, w]`. `on_host` says that
    it is not the device's own, so that rows of it are copied there.
    """

    make: Callable[[tuple[int, int, int, int], torch.dtype], Tensor]
    on_host: bool = False


def on_device(device: torch.device) -> MapStorage:
    """Maps are stored where they are computed."""
    layout = torch.channels_last

    def make(shape: tuple[int, int, int, int], dtype: torch.dtype) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=device, memory_format=layout)

    return MapStorage(make)


class LazyMap(Protocol):
    """A map that computes any of its rows: from a to b, `[n, c, b - a, w]`."""

    channels: int
    widest: int  # channels of the widest map that is in work for it
    height: int
    width: int

    def __call__(self, a: int, b: int) -> Tensor: ...


class StoredMap:
    """A map in memory on any device; its rows are brought to `device`."""

    def __init__(self, data: Tensor, device: torch.device, on_host: bool = False) -> None:
        self.data, self.device, self.on_host = data, device, on_host
        _, self.channels, self.height, self.width = data.shape
        self.widest = self.channels

    def __call__(self, a: int, b: int) -> Tensor:
        return self.data[:, :, a:b].to(self.device, non_blocking=True, copy=self.on_host)


class BandedGroupNorm:
    """A group norm with the statistics of a whole map, read in `spans` of rows, then SiLU."""

    def __init__(
        self, norm: nn.GroupNorm, source: LazyMap, spans: Iterable[tuple[int, int]]
    ) -> None:
        groups = norm.num_groups
        parts = [_moments(source(a, b), groups) for a, b in spans]
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

    def __call__(self, source: LazyMap) -> Iterator[tuple[int, int]]:
        rows = max(8, int(self.area // (source.width * source.widest)))
        yield from itertools.islice(row_spans(source.height, rows), self.most)


def row_spans(height: int, rows: int) -> Iterator[tuple[int, int]]:
    """The first row of each band, and the first one past it."""
    for a in range(0, height, rows):
        pieces.look()
        yield a, min(a + rows, height)


def store_map(
    source: LazyMap, bands: Bands, storage: MapStorage, over: StoredMap | None
) -> StoredMap:
    """Compute and store all rows of a map. `over` is the map that it reads; where that has the same
    shape, it is overwritten: each band is written after the next one, which still reads its last
    rows, is computed.
    """
    shape = (1, source.channels, source.height, source.width)
    same = over is not None and over.data.shape == shape and over.on_host == storage.on_host
    data = over.data if over is not None and same else None
    write: Callable[[], Tensor] | None = None  # of the band before
    for a, b in bands(source):
        band = source(a, b)
        if data is None:
            data = storage.make(shape, band.dtype)
        if write is not None:
            write()
        write = partial(data[:, :, a:b].copy_, band, non_blocking=True)
    assert write is not None
    write()
    return StoredMap(data, band.device, storage.on_host)


class BandedConv:
    """A 3 x 3 convolution of a source, after the norm `before`."""

    def __init__(
        self, conv: nn.Conv2d, source: LazyMap, before: Callable[[Tensor], Tensor]
    ) -> None:
        self.conv, self.source, self.before = conv, source, before
        self.channels, self.height, self.width = conv.out_channels, source.height, source.width
        self.widest = max(self.channels, source.widest)

    def __call__(self, a: int, b: int) -> Tensor:
        x = self.before(self.source(*halo(a, b, self.height)))
        return conv_rows(x, self.conv, self.conv.bias, (a, b), self.height)


class BandedResnetBlock:
    """The VAE's residual block: norm, convolution, norm, convolution, and the source added."""

    def __init__(self, block: Any, source: LazyMap, bands: Bands) -> None:
        self.block, self.source = block, source
        self.height, self.width = source.height, source.width
        self.channels = block.conv2.out_channels
        self.widest = max(self.channels, source.widest)
        self.norm1 = BandedGroupNorm(block.norm1, source, bands(source))
        first = BandedConv(block.conv1, source, self.norm1)
        self.norm2 = BandedGroupNorm(block.norm2, first, bands(first))

    def __call__(self, a: int, b: int) -> Tensor:
        block, height = self.block, self.height
        inner = halo(a, b, height)
        low, high = halo(*inner, height)
        x = self.source(low, high)
        h = conv_rows(self.norm1(x), block.conv1, block.conv1.bias, inner, height)
        h = conv_rows(self.norm2(h), block.conv2, block.conv2.bias, (a, b), height)
        return h.add_(block.skip(x[:, :, a - low : b - low]))


class BandedUpsample:
    """Nearest-neighbour doubling and a convolution."""

    def __init__(self, conv: nn.Conv2d, source: LazyMap) -> None:
        self.conv, self.source, self.channels = conv, source, conv.out_channels
        self.height, self.width = 2 * source.height, 2 * source.width
        self.widest = self.channels

    def __call__(self, a: int, b: int) -> Tensor:
        x = doubled_rows(self.source, *halo(a, b, self.height))
        return conv_rows(x, self.conv, self.conv.bias, (a, b), self.height)


class BandedDownsample:
    """A halving convolution, padded on the right and below only."""

    def __init__(self, conv: nn.Conv2d, source: LazyMap) -> None:
        self.conv, self.source, self.channels = conv, source, conv.out_channels
        self.height, self.width = source.height // 2, source.width // 2
        self.widest = 4 * self.channels  # four times as many pixels of it come in

    def __call__(self, a: int, b: int) -> Tensor:
        high = min(2 * b + 1, self.source.height)
        x = F.pad(self.source(2 * a, high), (0, 1, 0, 2 * b + 1 - high))
        return F.conv2d(x, self.conv.weight, self.conv.bias, stride=2)


class BandedLayers:
    """Padded 3 x 3 convolutions and what works on each pixel alone, one after the other, of which
    the first may halve the map, or double it: computed as a whole for a band and its `halo`, a row
    for each convolution.
    """

    def __init__(
        self,
        layers: nn.Sequential,
        source: LazyMap,
        *,
        halo: int,
        halves: bool = False,
        doubles: bool = False,
    ) -> None:
        self.layers, self.source, self.halo = layers, source, halo
        self._over, self._under = 1 + doubles, 1 + halves  # the scale, as a fraction
        convs = [layer for layer in layers.modules() if isinstance(layer, nn.Conv2d)]
        self.channels = convs[-1].out_channels
        # Four times as many pixels come in where they are halved.
        self.widest = max([conv.out_channels for conv in convs]) * self._under**2
        self.height, self.width = (
            n * self._over // self._under for n in (source.height, source.width)
        )

    def __call__(self, a: int, b: int) -> Tensor:
        over, under = self._over, self._under
        # What is wrong at a cut, where rows are missing, comes a row further with each convolution.
        low, high = max(a - self.halo, 0) // over, min(b + self.halo, self.height)
        x = self.source(low * under, -(-high // over) * under)
        return self.layers(x)[:, :, a - low * over : b - low * over]


def doubled_rows(source: Callable[[int, int], Tensor], a: int, b: int) -> Tensor:
    """Rows a to b of the source with each pixel doubled in height and width."""
    top, bottom = a // 2, (b + 1) // 2
    x = source(top, bottom)
    x = fused.nearest(x, 2 * x.shape[2], 2 * x.shape[3])
    return x[:, :, a - 2 * top : b - 2 * top]


def halo(a: int, b: int, height: int) -> tuple[int, int]:
    """The rows that a 3 x 3 convolution reads for rows a to b of a map of that height."""
    return max(a - 1, 0), min(b + 1, height)


def conv_rows(
    x: Tensor, conv: nn.Conv2d, bias: Tensor | None, span: tuple[int, int], height: int
) -> Tensor:
    """The rows of a `span` of a padded 3 x 3 convolution with `bias`; x holds their `halo`."""
    top, bottom = span[0] == 0, span[1] == height
    y = F.conv2d(x, conv.weight, bias, padding=(int(top or bottom), 1))
    if top == bottom:
        return y
    return y[:, :, :-1] if top else y[:, :, 1:]  # x goes on there: what saw zeros is not wanted
