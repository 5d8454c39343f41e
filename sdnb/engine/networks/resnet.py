"""The convolutional layers of the UNet: residual blocks, halving and doubling.

CompVis `openaimodel.py`, whose attribute names these are. Where a memory plan sets `chunk`, a layer
works on bands of rows of about that many pixels. Norms see the whole map, and convolutions a row
beyond the band (see `row_bands`), so the result is the same to rounding; besides its input and its
output, a layer holds one band.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdnb.engine.networks import fused, kernels, row_bands
from sdnb.engine.networks.winograd import convolve

#: The rows of each part of a map.
Bands = list[slice]


class NormConv(nn.Sequential):
    """Half of a residual block; its weights have a plain sequence's names, convolution last."""

    chunk = 0

    @property
    def width(self) -> int:
        """Channels of the output."""
        return self[-1].out_channels


class NormConvTime(NormConv):
    """A residual block's first half: norm, SiLU, convolution."""

    def forward(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor | None]:
        """`time` is `[c]`. Returns the output and the bias that is still to be added."""
        norm, _, conv = self
        bias = time + conv.bias
        parts = bands(x, self.chunk)
        if parts:
            return self._by_bands(x, bias, parts)
        return kernels.of(x).convolve(fused.norm_silu(x, norm), conv.weight, bias)

    def _by_bands(self, x: Tensor, bias: Tensor, parts: Bands) -> tuple[Tensor, Tensor | None]:
        norm, _, conv = self
        later = fused.fits(x)
        out, source = like(x, conv.out_channels), normed(x, norm, None, parts)
        for part in parts:
            out[:, :, part] = convolved(source, conv, None if later else bias, part, x.shape[2])
        return out, bias if later else None


class NormConvAdd(NormConv):
    """A residual block's second half: norm, SiLU, dropout's place, convolution, and the sum."""

    def forward(self, h: Tensor, bias: Tensor | None, skip: Tensor, *, own: bool = False) -> Tensor:
        """`bias` is still to be added to h. By bands, the sum is written over `skip` where that is
        the block's `own`.
        """
        norm, _, _, conv = self
        parts = bands(h, self.chunk)
        if parts:
            source = normed(h, norm, bias, parts)
            out = skip if own else like(h, conv.out_channels)
            for part in parts:
                y = convolved(source, conv, None, part, h.shape[2])
                out[:, :, part] = fused.add(y, conv.bias, skip[:, :, part])
                del y
            return out
        h, bias = kernels.of(h).convolve(fused.norm_silu(h, norm, bias), conv.weight, conv.bias)
        return fused.add(h, bias, skip)


class ChannelMatch(nn.Conv2d):
    """The 1 x 1 convolution past a residual block that changes the width."""

    def forward(self, x: Tensor) -> Tensor:
        return kernels.of(x).convolve_1x1(self, x)


class ResBlock(nn.Module):
    """Two convolutions with the time embedding added between them."""

    def __init__(self, width_in: int, width: int, time_dim: int, groups: int) -> None:
        super().__init__()
        self.in_layers = NormConvTime(
            nn.GroupNorm(groups, width_in),
            nn.SiLU(),
            nn.Conv2d(width_in, width, 3, padding=1),
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_dim, width))
        self.out_layers = NormConvAdd(
            nn.GroupNorm(groups, width),
            nn.SiLU(),
            nn.Identity(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.skip_connection = (
            ChannelMatch(width_in, width, 1) if width_in != width else nn.Identity()
        )

    def time(self, emb: Tensor) -> Tensor:
        """What the times' embeddings `[t, 4c]` add to the first convolution's output: `[t, c]`."""
        return self.emb_layers(emb)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """`time` `[c]`: one time for the whole batch."""
        h, bias = self.in_layers(x, time)  # [b, c, h, w]
        skip = self.skip_connection(x)
        return self.out_layers(h, bias, skip, own=skip is not x)


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
        self.width = width
        self.chunk = 0
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, skip: torch.Size) -> Tensor:
        """To the size of a skip connection `[b, c, h, w]`; with a chunk there is room for its
        channels behind this layer's own: see `beside`.
        """
        _, more, height, width = skip
        conv = self.conv
        parts = bands(x, self.chunk, height, width)
        if not parts:
            x = F.interpolate(x, size=(height, width), mode="nearest")
            return convolve(x, conv.weight, conv.bias)

        def twice(a: int, b: int) -> Tensor:
            return row_bands.doubled(lambda i, j: x[:, :, i:j], a, b)[..., :width]

        out = like(x, conv.out_channels + more, height, width)
        for part in parts:
            out[:, : conv.out_channels, part] = convolved(twice, conv, conv.bias, part, height)
        return out


def beside(x: Tensor, skip: Tensor, channels: int) -> Tensor:
    """Join x and a skip connection into one map of so many `channels`, in x itself where it has
    room. Under guidance x has 2b rows and skip b: both texts share the pictures' skips.
    """
    times = len(x) // len(skip)
    if x.shape[1] < channels:
        return torch.cat([x, for_each(skip, times)], dim=1)
    x[:, -skip.shape[1] :].unflatten(0, (times, len(skip))).copy_(skip)
    return x


def for_each(x: Tensor, times: int) -> Tensor:
    """Repeat `[b, ...]` to `[times * b, ...]`: all pictures for one text, then all for the next."""
    return x if times == 1 else torch.cat([x] * times)  # keeps the layout


# -- by bands ----------------------------------------------------------------------------------
def bands(x: Tensor, chunk: int, height: int = 0, width: int = 0) -> Bands:
    """The bands of about `chunk` pixels of a map of x's size, or of the size given. No bands where
    one would hold all rows, or where gradients are recorded, which need whole maps.
    """
    b, height, width = len(x), height or x.shape[2], width or x.shape[3]
    if not chunk or b * height * width <= chunk or torch.is_grad_enabled():
        return []
    return [slice(*span) for span in row_bands.spans(height, max(1, chunk // (b * width)))]


def like(x: Tensor, channels: int, height: int = 0, width: int = 0) -> Tensor:
    """A map without values, in x's layout."""
    last = x.is_contiguous(memory_format=torch.channels_last)
    return torch.empty(
        (len(x), channels, height or x.shape[2], width or x.shape[3]),
        dtype=x.dtype,
        device=x.device,
        memory_format=torch.channels_last if last else torch.contiguous_format,
    )


def normed(
    x: Tensor, norm: nn.GroupNorm, bias: Tensor | None, parts: Bands
) -> Callable[[int, int], Tensor]:
    """Compute `silu(norm(x + bias))` for any rows at a time."""
    if fused.fits(x):
        return fused.GroupNormed(x, norm, bias)
    source = row_bands.Stored(x if bias is None else x + bias[:, None, None], x.device)
    after = row_bands.Norm(norm, source, lambda _: [(part.start, part.stop) for part in parts])
    return lambda a, b: after(source(a, b))


def convolved(
    x: Callable[[int, int], Tensor], conv: nn.Conv2d, bias: Tensor | None, part: slice, end: int
) -> Tensor:
    """Convolve some rows of x, which has `end` rows, with `bias` in place of the layer's own."""
    a, b = part.start, part.stop
    near = max(a - 1, 0), min(b + 1, end)
    return row_bands.padded(x(*near), conv.weight, bias, (a == 0, b == end))
