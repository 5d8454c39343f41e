"""Pictures to tensors and back."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def tensor(picture: Image.Image) -> Tensor:
    """RGB to `[1, 3, h, w]` in -1..1, float32."""
    array = np.asarray(picture.convert("RGB"), dtype=np.float32)  # [h, w, 3]
    return torch.from_numpy(array / 127.5 - 1).permute(2, 0, 1)[None]


def mask_tensor(mask: Image.Image) -> Tensor:
    """L to `[1, 1, h, w]` in 0..1, float32."""
    array = np.asarray(mask.convert("L"), dtype=np.float32)  # [h, w]
    return torch.from_numpy(array / 255)[None, None]


def image(pixels: Tensor) -> Image.Image:
    """`[1, 3, h, w]` of about -1..1 to RGB: clipped, and rounded to the nearest of 256."""
    array = ((pixels[0].float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)  # [3, h, w]
    return Image.fromarray(array.permute(1, 2, 0).cpu().numpy())
