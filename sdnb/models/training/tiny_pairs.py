"""A ring of scenes with their latents, and of latents with what the full VAE makes of them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from sdnb.engine.networks.vae import VAE

from .batches import Batch
from .painter import Painter

_CHANGED = 0.35  # share of the latents that are noised, blended or faded before they are decoded
_NOISE = 0.3  # the most noise that is added, of the latents' deviation

#: Scenes `[n, 3, h, w]` in -1..1, their latents `[n, 4, h/8, w/8]`, the latents that were decoded,
#: the same or changed, and the full decoder's pictures of these.
Pairs = tuple[Tensor, Tensor, Tensor, Tensor]


class PairRing:
    """What a tiny VAE learns from, on the training device; new scenes replace the oldest."""

    def __init__(self, vae: VAE, painter: Painter, batches: Iterator[Batch], room: int) -> None:
        self.vae, self.painter, self.batches = vae, painter, batches
        side, channels, device = painter.size, vae.config.latent_channels, painter.device
        latents, pixels = (room, channels, side // 8, side // 8), (room, 3, side, side)
        kinds = ((pixels, torch.uint8), (latents, torch.float16)) * 2
        scenes, known, pictures, decoded = (
            torch.empty(shape, dtype=kind, device=device) for shape, kind in kinds
        )
        self.parts = scenes, known, decoded, pictures
        self.filled = self._next = 0

    @torch.no_grad()
    def renew(self) -> None:
        """Paint, encode and decode a batch of scenes over the oldest ones."""
        scenes = self.painter(next(self.batches)[0])
        latents = mean_latents(self.vae, scenes)
        decoded = changed(latents)
        with torch.autocast(scenes.device.type, torch.bfloat16):
            pictures = self.vae.decode(decoded.contiguous(memory_format=torch.channels_last))
        if self._next + len(scenes) > len(self.parts[0]):
            self._next = 0
        at = slice(self._next, self._next + len(scenes))
        values = _bytes(scenes), latents.half(), decoded.half(), _bytes(pictures.float())
        for part, value in zip(self.parts, values, strict=True):
            part[at] = value
        self._next = at.stop
        self.filled = max(self.filled, at.stop)

    def draw(self, count: int) -> Pairs:
        """Some of them, in float32."""
        at = torch.randint(self.filled, (count,), device=self.painter.device)
        scenes, latents, decoded, pictures = (part[at].float() for part in self.parts)
        last = torch.channels_last
        scenes, pictures = (
            p.div(127.5).sub(1).contiguous(memory_format=last) for p in (scenes, pictures)
        )
        return scenes, latents, decoded, pictures


@torch.no_grad()
def mean_latents(vae: VAE, pictures: Tensor) -> Tensor:
    """The full encoder's latents of unit variance, without what is drawn."""
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    with torch.autocast(pictures.device.type, torch.bfloat16):
        return vae.encode(pictures).float()


def changed(latents: Tensor) -> Tensor:
    """Latents, some of them as they are in the middle of a run: with noise, between two scenes, or
    faded towards grey. A decoder for previews meets those too.
    """
    count, device = len(latents), latents.device
    kind = torch.rand(count, 1, 1, 1, device=device) / _CHANGED
    amount = torch.rand(count, 1, 1, 1, device=device)
    noised = latents + _NOISE * amount * torch.randn_like(latents)
    blended = latents.lerp(latents.roll(1, 0), amount / 2)
    faded = latents * (0.4 + 0.6 * amount)
    some = noised.where(kind < 1 / 3, blended.where(kind < 2 / 3, faded))
    return some.where(kind < 1, latents)


def _bytes(pictures: Tensor) -> Tensor:
    return ((pictures.clamp(-1, 1) + 1) * 127.5).round().byte()
