"""Noise that is the same on every device, and the two ends of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


class Noise:
    """Unit normal noise for a batch, from a CPU generator for each picture.

    Row i depends on seeds[i] and the number of draws alone, so picture i of a batch can be made
    again by itself, on any device. Raises ValueError without seeds.
    """

    def __init__(self, seeds: Sequence[int], shape: Sequence[int]) -> None:
        if not seeds:
            raise ValueError("seeds is empty; noise needs one seed an image")
        self.shape = tuple(shape)  # [c, h, w]
        self._generators = [torch.Generator("cpu").manual_seed(int(seed)) for seed in seeds]

    def __call__(self) -> Tensor:
        """A fresh draw [b, c, h, w], float32 on the CPU."""
        draws = [
            torch.randn(self.shape, generator=g, dtype=torch.float32) for g in self._generators
        ]
        return torch.stack(draws)


def start(latent: Tensor | None, noise: Tensor, sigma: float) -> Tensor:
    """Where a run begins: noise of level sigma, on a latent if there is one. [b, 4, h/8, w/8]

    Without one, the noise is scaled by sqrt(1 + sigma^2), since a latent has unit variance too: in
    variance-preserving coordinates that is the original's x_T ~ N(0, 1).
    """
    if latent is None:
        return noise * math.sqrt(1 + sigma * sigma)
    return latent + noise * sigma


def finish(x: Tensor, sigma: float) -> Tensor:
    """The latent at the end of a run whose last level is sigma: at 0, x itself.

    Above 0 (the original's schedule ends at 0.0292) x still holds noise, and the original decodes
    it in variance-preserving coordinates, which is x / sqrt(1 + sigma^2).
    """
    return x / math.sqrt(1 + sigma * sigma) if sigma > 0 else x
