"""Pictures with a hint each, made in worker processes; a ring of them on the training device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from sdnb.engine.networks.tokenizer import Tokenizer
from sdnb.engine.networks.vae import VAE
from sdnb.hints.opencv import cv2

from .catalog import Catalog
from .drawn_hints import CHANNELS, KINDS, Painted
from .latents import encoded
from .painter import Painter
from .scenes import Composer, stack

#: Pictures uint8 `[n, 3, s, s]`, hints uint8 `[n, c, s, s]`, ids int16 `[n, 77]`, captions.
Hinted = tuple[Tensor, Tensor, Tensor, list[str]]


class HintedBatches(IterableDataset):
    """Endless batches of `count` scenes, painted on the CPU, with their hints of one kind.

    `sprites` are the catalog's; worker processes share them.
    """

    def __init__(
        self, data: Path, sprites: Tensor, kind: str, count: int, *, size: int, tokens: Path,
        seed: int,
    ) -> None:  # fmt: skip
        self.data, self.sprites, self.kind, self.count = data, sprites, kind, count
        self.size, self.tokens, self.seed = size, tokens, seed

    def __iter__(self) -> Iterator[Hinted]:
        worker = get_worker_info()
        if worker:
            cv2().setNumThreads(0)  # its threads do not survive the fork
        seed = self.seed * 1000 + (worker.id if worker else 0)  # no two workers draw the same
        composer, random = Composer(Catalog(self.data), seed), np.random.default_rng(seed)
        painter, tokenizer = Painter(self.sprites, self.size), Tokenizer(self.tokens)
        while True:
            scenes, captions = zip(*[composer.draw() for _ in range(self.count)], strict=True)
            painted, things = painter.with_things(stack(scenes))
            pixels = ((painted + 1) * 127.5).round().byte()
            rows = pixels.permute(0, 2, 3, 1).contiguous().numpy()
            made = [
                KINDS[self.kind](Painted(row, thing, random))
                for row, thing in zip(rows, things.numpy(), strict=True)
            ]
            hints = torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).contiguous()
            ids = torch.tensor([tokenizer(words).ids for words in captions], dtype=torch.int16)
            yield pixels, hints, ids, list(captions)


def stream(batches: HintedBatches, workers: int) -> Iterator[Hinted]:
    """The batches, made ahead by `workers` processes (0: by this one)."""
    ahead = 4 if workers else None
    return iter(DataLoader(batches, batch_size=None, num_workers=workers, prefetch_factor=ahead))


class HintRing:
    """Latents, hints and ids of the last `room` pictures, of which each is used several times."""

    def __init__(
        self, vae: VAE, batches: Iterator[Hinted], room: int, size: int, kind: str
    ) -> None:
        device = next(vae.parameters()).device
        side = size // 8
        shape = room, vae.config.latent_channels, side, side
        self.vae, self.batches = vae, batches
        self.latents = torch.empty(shape, dtype=torch.float16, device=device)
        self.hints = torch.empty(room, CHANNELS[kind], size, size, dtype=torch.uint8, device=device)
        self.ids = torch.empty(room, 77, dtype=torch.int16, device=device)
        self.filled = self._next = 0

    def renew(self) -> None:
        """Encode a batch of new pictures over the oldest ones."""
        pixels, hints, ids, _ = next(self.batches)
        if self._next + len(ids) > len(self.ids):
            self._next = 0
        at, device = slice(self._next, self._next + len(ids)), self.ids.device
        self.latents[at] = encoded(self.vae, pixels.to(device).float() / 127.5 - 1).half()
        self.hints[at], self.ids[at] = hints.to(device), ids.to(device)
        self._next = at.stop
        self.filled = max(self.filled, at.stop)

    def set_aside(self) -> tuple[Tensor, Tensor, Tensor]:
        """A batch that is not among those that are drawn, to judge by; before any other."""
        self.renew()
        kept = self.at(torch.arange(self.filled, device=self.ids.device))
        self.filled = self._next = 0
        return kept

    def draw(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Random latents `[count, 4, h, w]`, hints `[count, c, 8 h, 8 w]` in 0..1, and ids."""
        return self.at(torch.randint(self.filled, (count,), device=self.ids.device))

    def at(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Those of these rows."""
        return self.latents[rows].float(), self.hints[rows].float() / 255, self.ids[rows].long()
