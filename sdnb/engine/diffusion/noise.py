"""Noise that is the same everywhere, and the way into and out of sigma coordinates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Noise", "finish", "start"]


class Noise:
    """Unit normal noise for a batch, one CPU generator an image.

    Row i depends on seeds[i] and on the number of draws alone: not on the batch, the device or the
    memory plan. So image i of a batch can be made again by itself. Raises ValueError without seeds.
    """

    def __init__(self, seeds: Sequence[int], shape: Sequence[int]) -> None:
        if not seeds:
            raise ValueError("seeds is empty; noise needs one seed an image")
        self.shape = tuple(shape)  # [c, h, w]
        self._generators = [torch.Generator("cpu").manual_seed(int(seed)) for seed in seeds]

    def __call__(self) -> Tensor:
        """A fresh draw [b, c, h, w], float32 on the CPU."""
        return torch.stack(
            [
                torch.randn(self.shape, generator=generator, dtype=torch.float32)
                for generator in self._generators
            ]
        )


def start(latent: Tensor | None, noise: Tensor, sigma: float) -> Tensor:
    """Where a run begins: noise at level sigma, on a latent or on none. [b, 4, h/8, w/8]

    Without a latent the noise also stands for the unit variance of the latent that is not there:
    sqrt(1 + sigma^2) of it is exactly the original's x_T ~ N(0, 1) in its own coordinates.
    """
    if latent is None:
        return noise * math.sqrt(1 + sigma * sigma)
    return latent + noise * sigma


def finish(x: Tensor, sigma: float) -> Tensor:
    """The latent at the end of a run whose last level is sigma.

    At 0 it is x. Above (the original's schedule ends at 0.0292) x still holds noise; the original
    decodes it in variance-preserving coordinates, which is x / sqrt(1 + sigma^2).
    """
    return x / math.sqrt(1 + sigma * sigma) if sigma > 0 else x
