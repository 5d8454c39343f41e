"""Endless batches of plans and captions, composed in worker processes while the GPU works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from sdnb.engine.networks.tokenizer import Tokenizer

from .catalog import Catalog
from .scenes import Composer, stack

# Plans, and token ids int16 [n, 77], or [n, 0] without a tokenizer.
Batch = tuple[dict[str, Tensor], Tensor]


class Batches(IterableDataset):
    """Batches of `size` scenes, with their captions' ids if `tokens` is a tokenizer's folder."""

    def __init__(
        self, data: Path, size: int, *, seed: int, which: str = "train", tokens: Path | None = None
    ) -> None:
        self.data, self.size, self.seed, self.which, self.tokens = data, size, seed, which, tokens

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        seed = self.seed * 1000 + (worker.id if worker else 0)  # no two workers draw the same
        composer = Composer(Catalog(self.data), seed, self.which)
        tokenizer = Tokenizer(self.tokens) if self.tokens else None
        while True:
            scenes, captions = zip(*[composer.draw() for _ in range(self.size)], strict=True)
            ids = [tokenizer(words).ids if tokenizer else () for words in captions]
            yield stack(scenes), torch.tensor(ids, dtype=torch.int16)


def stream(batches: Batches, workers: int) -> Iterator[Batch]:
    """The batches, composed ahead by `workers` processes (0: by this one)."""
    ahead = 8 if workers else None
    return iter(DataLoader(batches, batch_size=None, num_workers=workers, prefetch_factor=ahead))
