"""Photographs for the autoencoder, so that it can encode one for img2img; the UNet sees none."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sdnb.engine import pixels


def read(folder: Path | None, device: torch.device) -> list[Tensor]:
    """The photographs (JPEG) of a folder, each `[1, 3, h, w]` in -1..1."""
    files = sorted(folder.glob("*.jpg")) if folder else []
    return [pixels.tensor(Image.open(file)).to(device) for file in files]


def crop(photos: list[Tensor], size: int) -> Tensor:
    """A random square of a random photograph, resized to `[1, 3, size, size]`."""
    photo = photos[int(torch.randint(len(photos), ()))]
    height, width = photo.shape[2:]
    side = int(torch.randint(min(size, height, width), min(height, width) + 1, ()))
    top = int(torch.randint(height - side + 1, ()))
    left = int(torch.randint(width - side + 1, ()))
    part = photo[..., top : top + side, left : left + side]
    part = F.interpolate(part, size=(size, size), mode="bilinear", antialias=True)
    return part.flip(3) if torch.rand(()) < 0.5 else part
