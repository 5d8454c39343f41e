"""Pictures to tensors and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def tensor(picture: Image.Image) -> Tensor:
    """Convert a picture to RGB pixels `[1, 3, h, w]` in -1..1, float32."""
    array = np.array(picture.convert("RGB"), dtype=np.float32)  # [h, w, 3]
    array /= 127.5
    array -= 1
    return torch.from_numpy(array).permute(2, 0, 1)[None]


def hint_tensor(hint: Image.Image) -> Tensor:
    """Convert a hint for a control network to RGB `[1, 3, h, w]` in 0..1, float32."""
    array = np.asarray(hint.convert("RGB"), dtype=np.float32)  # [h, w, 3]
    return torch.from_numpy(array / 255).permute(2, 0, 1)[None]


def mask_tensor(mask: Image.Image) -> Tensor:
    """Convert a mask to `[1, 1, h, w]` in 0..1, float32."""
    array = np.asarray(mask.convert("L"), dtype=np.float32)  # [h, w]
    return torch.from_numpy(array / 255)[None, None]


def preview(latent: Tensor, factors: Sequence[float]) -> Image.Image:
    """A rough look at the first of latents `[b, 4, h/8, w/8]`, at an eighth of the picture's size:
    each pixel is a mixture of the channels.

    `factors` are red, green and blue of each channel, then the constant term (`VAEConfig.preview`).
    Raises ValueError when they do not fit the channels.
    """
    channels = latent.shape[1]
    if len(factors) != 3 * (channels + 1):
        raise ValueError(
            f"{len(factors)} preview factors for {channels} latent channels: {3 * (channels + 1)} "
            "are needed (red, green and blue of each channel, and of none)"
        )
    small = latent[0].detach().to("cpu", torch.float32)  # [4, h/8, w/8]
    *table, offset = torch.tensor(factors).reshape(channels + 1, 3)
    rgb = torch.einsum("cr,chw->rhw", torch.stack(table), small) + offset[:, None, None]
    return image(rgb[None])


def array(pixels: Tensor) -> np.ndarray:
    """Convert pixels `[1, 3, h, w]` of about -1..1 to `[h, w, 3]` of 0..255, clipped, rounded."""
    whole = ((pixels[0].float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)  # [3, h, w]
    return whole.permute(1, 2, 0).cpu().numpy()


def joined(bands: Iterable[Tensor]) -> Image.Image:
    """Convert bands of pixels `[1, 3, n, w]` of about -1..1, from the top, to a picture."""
    return Image.fromarray(np.concatenate([array(band) for band in bands]))


def image(pixels: Tensor) -> Image.Image:
    """Convert pixels `[1, 3, h, w]` of about -1..1 to a picture."""
    return Image.fromarray(array(pixels))
