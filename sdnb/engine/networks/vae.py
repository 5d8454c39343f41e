"""The autoencoder of Stable Diffusion: pixels `[b, 3, h, w]` in -1..1, and latents `[b, 4, h/8,
w/8]`.

CompVis `autoencoder.py` and `model.py` (KL-f8), with the checkpoint's attribute names. As there,
halving pads on the right and below only, and the norms' eps is 1e-6.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sdnb.engine.networks import attention, fused, kernels, pieces, row_bands
from sdnb.engine.networks.config import VAEConfig
from sdnb.engine.networks.kernels import pointwise
from sdnb.engine.networks.row_bands import Bands, LazyMap, MapStorage, StoredMap
from sdnb.engine.networks.winograd import convolve

#: Pixels whose queries are computed at once: those of a large picture would be three more maps.
QUERIES = 16384


def _norm(width: int, config: VAEConfig) -> nn.GroupNorm:
    return nn.GroupNorm(config.groups, width, eps=1e-6)


class ResnetBlock(nn.Module):
    """Two convolutions, each after a norm and a SiLU; the input is added to their result."""

    def __init__(self, width_in: int, width: int, config: VAEConfig) -> None:
        super().__init__()
        self.norm1 = _norm(width_in, config)
        self.conv1 = nn.Conv2d(width_in, width, 3, padding=1)
        self.norm2 = _norm(width, config)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        if width_in != width:
            self.nin_shortcut = nn.Conv2d(width_in, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        run, conv1, conv2 = kernels.of(x).convolve, self.conv1, self.conv2
        h, bias = run(fused.norm_silu(x, self.norm1), conv1.weight, conv1.bias, once=True)
        h, bias = run(fused.norm_silu(h, self.norm2, bias), conv2.weight, conv2.bias, once=True)
        return fused.add_biased(h, bias, self.skip(x))

    def skip(self, x: Tensor) -> Tensor:
        """The input as it is added to the result."""
        if not hasattr(self, "nin_shortcut"):
            return x
        return pieces.convolve(x, self.nin_shortcut.weight, self.nin_shortcut.bias)


class AttnBlock(nn.Module):
    """Single-head attention over all pixels of the smallest feature map."""

    def __init__(self, width: int, config: VAEConfig) -> None:
        super().__init__()
        self.kernel = attention.sdpa
        self.norm = _norm(width, config)
        self.q, self.k, self.v = (nn.Conv2d(width, width, 1) for _ in range(3))
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        y = fused.norm_silu(x, self.norm, act=False).permute(0, 2, 3, 1).reshape(b, h * w, c)
        k, v = (pointwise(part, y)[:, None] for part in (self.k, self.v))  # one head
        if torch.is_grad_enabled():
            y = pointwise(self.proj_out, self.kernel(pointwise(self.q, y)[:, None], k, v)[:, 0])
            return y.view(b, h, w, c).permute(0, 3, 1, 2) + x
        for some in y.split(QUERIES, dim=1):  # the result overwrites them, to need no second map
            q = pointwise(self.q, some)[:, None]
            y_some = pieces.attend(self.kernel, q, k, v)[:, 0]
            some.copy_(pointwise(self.proj_out, y_some))
        return y.view(b, h, w, c).permute(0, 3, 1, 2).add_(x)


class VAEDownsample(nn.Module):
    """Halve height and width, with padding on the right and below only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 1, 0, 1))
        return pieces.convolve(x, self.conv.weight, self.conv.bias, stride=2)


class VAEUpsample(nn.Module):
    """Double height and width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = fused.nearest(x, 2 * x.shape[2], 2 * x.shape[3])
        return convolve(x, self.conv.weight, self.conv.bias, once=True)


class Level(nn.Module):
    """The blocks of one resolution (`encoder.down.N`, `decoder.up.N`) and the step to the next."""

    def __init__(
        self, width_in: int, width: int, blocks: int, config: VAEConfig, resample: str = ""
    ) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            ResnetBlock(width_in if i == 0 else width, width, config) for i in range(blocks)
        )
        self.resample = resample
        if resample == "downsample":
            self.downsample = VAEDownsample(width)
        elif resample == "upsample":
            self.upsample = VAEUpsample(width)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x)
        return getattr(self, self.resample)(x) if self.resample else x

    def blocks_by_bands(self, source: LazyMap, bands: Bands, storage: MapStorage) -> StoredMap:
        """The residual blocks, each over the map of the one before."""
        for block in self.block:
            over = source if isinstance(source, StoredMap) else None
            result = row_bands.BandedResnetBlock(block, source, bands)
            source = row_bands.store_map(result, bands, storage, over)
        assert isinstance(source, StoredMap)
        return source


class Middle(nn.Module):
    """Two residual blocks with attention between them."""

    def __init__(self, width: int, config: VAEConfig) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(width, width, config)
        self.attn_1 = AttnBlock(width, config)
        self.block_2 = ResnetBlock(width, width, config)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Encoder(nn.Module):
    """Encode pixels `[b, 3, h, w]` to a mean and a log variance `[b, 8, h/8, w/8]`."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        first, last = config.channels[0], config.channels[-1]
        self.conv_in = nn.Conv2d(3, first, 3, padding=1)
        self.down = nn.ModuleList()
        width = first
        for i, channels in enumerate(config.channels):
            step = "downsample" if i < len(config.channels) - 1 else ""
            self.down.append(Level(width, channels, config.blocks, config, step))
            width = channels
        self.mid = Middle(last, config)
        self.norm_out = _norm(last, config)
        self.conv_out = nn.Conv2d(last, 2 * config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = pieces.convolve(x, self.conv_in.weight, self.conv_in.bias, padding=1)
        for level in self.down:
            x = level(x)
        return self.conv_out(fused.norm_silu(self.mid(x), self.norm_out))

    def by_bands(self, pixels: Tensor, bands: Bands, storage: MapStorage) -> Tensor:
        """What `forward` gives for one picture, to rounding, with a band of it in work at a time:
        between blocks one map of the block's resolution is stored.
        """
        stored = StoredMap(pixels, pixels.device)
        source: LazyMap = row_bands.BandedConv(self.conv_in, stored, lambda x: x)
        for level in self.down:
            source = level.blocks_by_bands(source, bands, storage)
            if level.resample:
                # Named nowhere: it would keep the larger map through the next level.
                source = row_bands.store_map(
                    row_bands.BandedDownsample(level.downsample.conv, source), bands, storage, None
                )
        x = self.mid(source(0, source.height))
        return self.conv_out(fused.norm_silu(x, self.norm_out))


class Decoder(nn.Module):
    """Decode `[b, 4, h/8, w/8]` to pixels `[b, 3, h, w]`."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        first, last = config.channels[0], config.channels[-1]
        self.conv_in = nn.Conv2d(config.latent_channels, last, 3, padding=1)
        self.mid = Middle(last, config)
        levels, width = [], last
        for i, channels in reversed(list(enumerate(config.channels))):
            step = "upsample" if i else ""
            levels.append(Level(width, channels, config.blocks + 1, config, step))
            width = channels
        self.up = nn.ModuleList(reversed(levels))  # numbered from the finest, run from the coarsest
        self.norm_out = _norm(first, config)
        self.conv_out = nn.Conv2d(first, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level(x)
        x, last = fused.norm_silu(x, self.norm_out), self.conv_out
        return pieces.convolve(x, last.weight, last.bias, padding=1)

    def by_bands(self, x: Tensor, bands: Bands, storage: MapStorage) -> Iterator[Tensor]:
        """What `forward` gives for one latent, to rounding, as bands of rows from the top.

        An upsampled map, twice as wide in channels as what follows, is never stored: it is computed
        again for each of the three passes that read it.
        """
        x = self.conv_in(x)
        source: LazyMap = StoredMap(self.mid(x), x.device)  # latent resolution: as a whole
        del x
        for level in reversed(self.up):
            source = level.blocks_by_bands(source, bands, storage)
            if level.resample:
                source = row_bands.BandedUpsample(level.upsample.conv, source)
        norm = row_bands.BandedGroupNorm(self.norm_out, source, bands(source))
        out = row_bands.BandedConv(self.conv_out, source, norm)
        for a, b in bands(out):
            yield out(a, b)


class VAE(nn.Module):
    """The encoder and the decoder, with the factor that gives latents of unit variance."""

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        z = config.latent_channels
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_conv = nn.Conv2d(2 * z, 2 * z, 1)
        self.post_quant_conv = nn.Conv2d(z, z, 1)

    def encode(self, pixels: Tensor) -> Tensor:
        """Pixels `[b, 3, h, w]` in -1..1 (h, w multiples of 8) to scaled latents `[b, 4, h/8,
        w/8]`: the mean of the posterior. The original draws from it, but its deviation is far below
        what the decoder can show, and a draw would tie the picture to a generator.
        """
        return self._mean(self.encoder(pixels))

    def encode_tiled(self, pixels: Tensor, bands: Bands, storage: MapStorage) -> Tensor:
        """What `encode` gives, to rounding, with a band of the picture in work at a time."""
        return self._mean(self.encoder.by_bands(pixels, bands, storage))

    def _mean(self, moments: Tensor) -> Tensor:
        mean, _ = self.quant_conv(moments).chunk(2, dim=1)
        return mean * self.config.scale

    def decode(self, latent: Tensor) -> Tensor:
        """Scaled latents `[b, 4, h, w]` to pixels `[b, 3, 8h, 8w]`, about -1..1, not clipped."""
        return self.decoder(self.post_quant_conv(latent / self.config.scale))

    def decode_tiled(self, latent: Tensor, bands: Bands, storage: MapStorage) -> Iterator[Tensor]:
        """What `decode` gives for one latent `[1, 4, h, w]`, to rounding, as bands of rows from the
        top `[1, 3, n, 8w]`, with one band of the picture in work at a time.
        """
        x = self.post_quant_conv(latent / self.config.scale)
        yield from self.decoder.by_bands(x, bands, storage)
