"""A ring of encoded scenes on the training device, which new scenes replace one batch at a time.

Composing and encoding a picture takes about as long as a training step on it, so each is used
several times, with other noise and times. The ring is large enough that none is learnt by heart.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from sdnb.engine.networks.vae import VAE

from .batches import Batch
from .painter import Painter


class Ring:
    """Latents of unit variance, half precision, and the token ids of their captions."""

    def __init__(self, vae: VAE, painter: Painter, batches: Iterator[Batch], room: int) -> None:
        side, channels = painter.size // 8, vae.config.latent_channels
        self.vae, self.painter, self.batches = vae, painter, batches
        device = painter.device
        self.latents = torch.empty(room, channels, side, side, dtype=torch.float16, device=device)
        self.ids = torch.empty(room, 77, dtype=torch.int16, device=device)
        self.filled = self._next = 0

    @torch.no_grad()
    def renew(self) -> None:
        """Encode a batch of new scenes over the oldest ones."""
        plans, ids = next(self.batches)
        latents = encoded(self.vae, self.painter(plans))
        if self._next + len(ids) > len(self.ids):
            self._next = 0
        at = slice(self._next, self._next + len(ids))
        self.latents[at] = latents.half()
        self.ids[at] = ids.to(self.ids.device)
        self._next = at.stop
        self.filled = max(self.filled, at.stop)

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Random latents `[count, 4, h, w]` float32 and ids `[count, 77]`."""
        at = torch.randint(self.filled, (count,), device=self.latents.device)
        return self.latents[at].float(), self.ids[at].long()


@torch.no_grad()
def encoded(vae: VAE, pictures: Tensor) -> Tensor:
    """Latents of unit variance, drawn from what the autoencoder says of pictures in -1..1."""
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    with torch.autocast(pictures.device.type, torch.bfloat16):
        moments = vae.quant_conv(vae.encoder(pictures))
    mean, log_variance = moments.float().chunk(2, 1)
    drawn = mean + torch.randn_like(mean) * (0.5 * log_variance.clamp(-30, 20)).exp()
    return drawn * vae.config.scale
