"""The tiny autoencoder (TAESD): a small network in place of the VAE, distilled from it.

https://github.com/madebyollin/taesd, with its numbers of layers as the weights' names. Its latents
are those that the UNet works on, with no factor between them. It has no norms and no attention, so
that bands of rows need no sums over the whole map. 1.2 million weights in each half; decoding takes
an eighteenth of the VAE's multiplications.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdnb.engine.networks import pieces, row_bands
from sdnb.engine.networks.config import VAEConfig
from sdnb.engine.networks.row_bands import BandedLayers, Bands, LazyMap, MapStorage, StoredMap
from sdnb.engine.networks.winograd import convolve

#: Latents beyond this are bent towards it before they are decoded.
BOUND = 3.0


class Conv(nn.Conv2d):
    """A padded 3 x 3 convolution, halving with a stride of 2."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 3, stride, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride != (1, 1):
            return pieces.convolve(x, self.weight, self.bias, stride=2, padding=1)
        return convolve(x, self.weight, self.bias, once=True)


class Block(nn.Module):
    """Three convolutions with ReLUs, to which the input is added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        one, two, three = (Conv(width, width) for _ in range(3))
        self.conv = nn.Sequential(one, nn.ReLU(inplace=True), two, nn.ReLU(inplace=True), three)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu_(self.conv(x).add_(x))


class Bend(nn.Module):
    """Keep latents within `BOUND`."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / BOUND) * BOUND


class TinyVAE(nn.Module):
    """Encoder and decoder, with the methods of `VAE`."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        width, latent = config.channels[0], config.latent_channels
        encoder: list[nn.Module] = [Conv(3, width), Block(width)]
        decoder: list[nn.Module] = [Bend(), Conv(latent, width), nn.ReLU(inplace=True)]
        for _ in config.channels[1:]:
            halve = Conv(width, width, stride=2, bias=False)
            encoder += [halve, *(Block(width) for _ in range(config.blocks))]
            double = [nn.Upsample(scale_factor=2), Conv(width, width, bias=False)]
            decoder += [*(Block(width) for _ in range(config.blocks)), *double]
        self.encoder = nn.Sequential(*encoder, Conv(width, latent))
        self.decoder = nn.Sequential(*decoder, Block(width), Conv(width, 3))

    def encode(self, pixels: Tensor) -> Tensor:
        """Pixels `[b, 3, h, w]` in -1..1 (h, w multiples of 8) to the UNet's latents `[b, 4, h/8,
        w/8]`. Nothing is drawn.
        """
        return self.encoder(_unsigned(pixels))

    def encode_tiled(self, pixels: Tensor, bands: Bands, storage: MapStorage) -> Tensor:
        """What `encode` gives for one picture, to rounding, with a band of it in work at a time:
        one map of each resolution is stored.
        """
        source: LazyMap = StoredMap(_unsigned(pixels), pixels.device)
        for stage in _stages(self.encoder):
            layers = BandedLayers(stage, source, halo=_reach(stage), halves=_halves(stage[0]))
            source = row_bands.store_map(layers, bands, storage, None)
        return source(0, source.height)

    def decode(self, latent: Tensor) -> Tensor:
        """The UNet's latents `[b, 4, h, w]` to pixels `[b, 3, 8h, 8w]`, about -1..1, not
        clipped.
        """
        return _signed(self.decoder(latent))

    def decode_tiled(self, latent: Tensor, bands: Bands, storage: MapStorage) -> Iterator[Tensor]:
        """What `decode` gives for one latent `[1, 4, h, w]`, to rounding, as bands of rows from the
        top `[1, 3, n, 8w]`, with one band of the picture in work at a time.
        """
        source: LazyMap = StoredMap(latent, latent.device)
        *stages, last = _stages(self.decoder)
        for stage in stages:
            layers = BandedLayers(stage, source, halo=_reach(stage), doubles=_doubles(stage[0]))
            source = row_bands.store_map(layers, bands, storage, None)
        layers = BandedLayers(last, source, halo=_reach(last), doubles=_doubles(last[0]))
        for a, b in bands(layers):
            yield _signed(layers(a, b))


def _unsigned(pixels: Tensor) -> Tensor:
    """-1..1 to 0..1, in which this network sees pixels."""
    return pixels.add(1).div_(2)


def _signed(pixels: Tensor) -> Tensor:
    return pixels.mul_(2).sub_(1)


def _halves(layer: nn.Module) -> bool:
    return isinstance(layer, Conv) and layer.stride == (2, 2)


def _doubles(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Upsample)


def _stages(layers: nn.Sequential) -> list[nn.Sequential]:
    """The layers of each resolution: what halves or doubles begins the next."""
    starts = [i for i, layer in enumerate(layers) if _halves(layer) or _doubles(layer)]
    return [layers[a:b] for a, b in zip([0, *starts], [*starts, len(layers)], strict=True)]


def _reach(stage: nn.Sequential) -> int:
    """Rows beyond a band that its convolutions read, in the resolution that they give."""
    return sum(isinstance(layer, Conv) for layer in stage.modules())
