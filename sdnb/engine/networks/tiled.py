"""The VAE's two halves by bands of rows: exact (see `row_bands`), in the memory of a band.

What is stored between blocks is one map of the block's resolution, on the device or in host
memory; a residual block is computed over its own input. An upsampled map, twice as wide in channels
as what follows, is never stored: it is computed again for each of the three passes that read it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor

from sdnb.engine.networks import fused
from sdnb.engine.networks.row_bands import (
    Bands,
    Conv,
    Downsample,
    Home,
    Norm,
    Resnet,
    Rows,
    Stored,
    Upsample,
    store,
)

if TYPE_CHECKING:
    from sdnb.engine.networks.vae import Decoder, Encoder, Level


def decode(decoder: Decoder, x: Tensor, bands: Bands, home: Home) -> Iterator[Tensor]:
    """`[1, 4, h, w]` to bands of pixels `[1, 3, n, 8w]`, from the top; x is the decoder's input."""
    device = x.device
    x = decoder.conv_in(x)
    source: Rows = Stored(decoder.mid(x), device)  # latent resolution: as a whole
    del x
    for level in reversed(decoder.up):
        source = _blocks(level, source, bands, home)
        if level.resample:
            source = Upsample(level.upsample.conv, source)
    out = Conv(decoder.conv_out, source, Norm(decoder.norm_out, source, bands))
    for a, b in bands(out):
        yield out(a, b)


def encode(encoder: Encoder, pixels: Tensor, bands: Bands, home: Home) -> Tensor:
    """`[1, 3, h, w]` to mean and log variance `[1, 8, h/8, w/8]`."""
    source: Rows = Conv(encoder.conv_in, Stored(pixels, pixels.device), lambda x: x)
    for level in encoder.down:
        source = _blocks(level, source, bands, home)
        if level.resample:
            source = store(Downsample(level.downsample.conv, source), bands, home, None)
    x = encoder.mid(source(0, source.height))
    return encoder.conv_out(fused.norm_silu(x, encoder.norm_out))


def _blocks(level: Level, source: Rows, bands: Bands, home: Home) -> Stored:
    """A level's residual blocks, each over the map of the one before."""
    for block in level.block:
        over = source if isinstance(source, Stored) else None
        source = store(Resnet(block, source, bands), bands, home, over)
    assert isinstance(source, Stored)
    return source
