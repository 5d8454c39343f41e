"""The convolutional layers of the UNet: residual blocks, halving and doubling.

The attribute names are those of CompVis `openaimodel.py`. Where a memory plan sets `chunk`, a layer
works on bands of rows of about that many pixels (see `row_bands`): the result is the same to
rounding, and besides its input and its output a layer holds one band.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sdnb.engine.networks import fused, kernels, pieces, row_bands
from sdnb.engine.networks.row_bands import conv_rows, doubled_rows, halo
from sdnb.engine.networks.winograd import convolve

#: The first row of each band of a map, and the first one past it.
Spans = list[tuple[int, int]]


class NormConv(nn.Sequential):
    """Half of a residual block, its convolution last."""

    chunk = 0

    @property
    def width(self) -> int:
        """Channels of the output."""
        return self[-1].out_channels


class NormConvTime(NormConv):
    """A residual block's first half: norm, SiLU, convolution."""

    def forward(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor | None]:
        """`time` is `[c]`, or `[b, c]`: of each row its own. Returns the output and the bias that
        is still to be added.
        """
        norm, _, conv = self
        if time.ndim > 1:  # what the kernels add is one for all rows
            out, later = self.forward(x, torch.zeros_like(time[0]))
            return out.add_(time[:, :, None, None]), later
        bias = time + conv.bias
        spans = chunk_spans(x, self.chunk)
        if not spans:
            return kernels.of(x).convolve(fused.norm_silu(x, norm), conv.weight, bias)
        now, later = (None, bias) if fused.supports(x) else (bias, None)
        out, height = empty_map(x, conv.out_channels), x.shape[2]
        rows = normed_rows(x, norm, None, spans)
        for a, b in spans:
            out[:, :, a:b] = conv_rows(rows(*halo(a, b, height)), conv, now, (a, b), height)
        return out, later


class NormConvAdd(NormConv):
    """A residual block's second half: norm, SiLU, dropout's place, convolution, and the sum."""

    def forward(self, h: Tensor, bias: Tensor | None, skip: Tensor, *, own: bool = False) -> Tensor:
        """`bias` is still to be added to h. By bands, the sum is written over `skip` where that is
        the block's `own`.
        """
        norm, _, _, conv = self
        spans = chunk_spans(h, self.chunk)
        if spans:
            rows, height = normed_rows(h, norm, bias, spans), h.shape[2]
            out = skip if own else empty_map(h, conv.out_channels)
            for a, b in spans:
                y = conv_rows(rows(*halo(a, b, height)), conv, None, (a, b), height)
                out[:, :, a:b] = fused.add_biased(y, conv.bias, skip[:, :, a:b])
                del y
            return out
        h, bias = kernels.of(h).convolve(fused.norm_silu(h, norm, bias), conv.weight, conv.bias)
        return fused.add_biased(h, bias, skip)


class ChannelMatch(nn.Conv2d):
    """The 1 x 1 convolution past a residual block that changes the width."""

    def forward(self, x: Tensor) -> Tensor:
        return kernels.of(x).convolve_1x1(self, x)


class ResBlock(nn.Module):
    """Two convolutions with the time embedding added between them."""

    def __init__(self, width_in: int, width: int, time_dim: int, groups: int) -> None:
        super().__init__()
        self.in_layers = NormConvTime(
            nn.GroupNorm(groups, width_in), nn.SiLU(), nn.Conv2d(width_in, width, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time_dim, width))
        self.out_layers = NormConvAdd(
            nn.GroupNorm(groups, width),
            nn.SiLU(),
            nn.Identity(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        changes = width_in != width
        self.skip_connection = ChannelMatch(width_in, width, 1) if changes else nn.Identity()

    def time(self, emb: Tensor) -> Tensor:
        """What the times' embeddings `[..., 4c]` add to the first convolution's output:
        `[..., c]`.
        """
        return self.emb_layers(emb)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """`time` `[c]`, one for the whole batch, or `[b, c]`."""
        h, bias = self.in_layers(x, time)  # [b, c, h, w]
        skip = self.skip_connection(x)
        return self.out_layers(h, bias, skip, own=skip is not x)


class Downsample(nn.Module):
    """Halve height and width, rounding up."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return pieces.convolve(x, self.op.weight, self.op.bias, stride=2, padding=1)


class Upsample(nn.Module):
    """Nearest-neighbour to the size of the skip connection that comes next, then a convolution.

    That is the original's factor 2 where the latent halves without a remainder; with it any
    multiple of 8 pixels will do.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.chunk = width, 0
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, skip: torch.Size) -> Tensor:
        """To the size of a skip connection `[b, c, h, w]`; with a chunk there is room for its
        channels behind this layer's own: see `concat_skip`.
        """
        _, more, height, width = skip
        conv = self.conv
        spans = chunk_spans(x, self.chunk, height, width)
        if not spans:
            x = fused.nearest(x, height, width)
            return convolve(x, conv.weight, conv.bias)
        out = empty_map(x, conv.out_channels + more, height, width)
        for a, b in spans:
            rows = doubled_rows(lambda i, j: x[:, :, i:j], *halo(a, b, height))[..., :width]
            out[:, : conv.out_channels, a:b] = conv_rows(rows, conv, conv.bias, (a, b), height)
        return out


def concat_skip(x: Tensor, skip: Tensor, channels: int) -> Tensor:
    """Join x and a skip connection into one map of so many `channels`, in x itself where it has
    room. Under guidance x has 2b rows and skip b: both texts share the pictures' skips.
    """
    texts = len(x) // len(skip)
    if x.shape[1] < channels:
        return torch.cat([x, repeat_batch(skip, texts)], dim=1)
    x[:, -skip.shape[1] :].unflatten(0, (texts, len(skip))).copy_(skip)
    return x


def repeat_batch(x: Tensor, times: int) -> Tensor:
    """Repeat `[b, ...]` to `[times * b, ...]`: all pictures for one text, then all for the next."""
    return x if times == 1 else torch.cat([x] * times)  # keeps the layout


# -- by bands ----------------------------------------------------------------------------------
def chunk_spans(x: Tensor, chunk: int, height: int = 0, width: int = 0) -> Spans:
    """The bands of about `chunk` pixels of a map of x's size, or of the size given. No bands where
    one would hold all rows, or where gradients are recorded, which need whole maps.
    """
    b, height, width = len(x), height or x.shape[2], width or x.shape[3]
    if not chunk or b * height * width <= chunk or torch.is_grad_enabled():
        return []
    return list(row_bands.row_spans(height, max(1, chunk // (b * width))))


def empty_map(x: Tensor, channels: int, height: int = 0, width: int = 0) -> Tensor:
    """A map without values, in x's layout."""
    last = x.is_contiguous(memory_format=torch.channels_last)
    return torch.empty(
        (len(x), channels, height or x.shape[2], width or x.shape[3]),
        dtype=x.dtype,
        device=x.device,
        memory_format=torch.channels_last if last else torch.contiguous_format,
    )


def normed_rows(
    x: Tensor, norm: nn.GroupNorm, bias: Tensor | None, spans: Spans
) -> Callable[[int, int], Tensor]:
    """Compute `silu(norm(x + bias))` for any rows at a time."""
    if fused.supports(x):
        return fused.GroupNormed(x, norm, bias)
    source = row_bands.StoredMap(x if bias is None else x + bias[:, None, None], x.device)
    after = row_bands.BandedGroupNorm(norm, source, spans)
    return lambda a, b: after(source(a, b))
