"""A picture that a run begins with becomes a latent, its mask comes to that size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sdnb.engine import pixels
from sdnb.engine.model import Model
from sdnb.engine.stages import autoencode
from sdnb.images.canvas import Canvas


@dataclass(frozen=True)
class FromPicture:
    """What a run takes from the picture that it was given, on the device."""

    latent: Tensor | None = None  # [1, 4, h/8, w/8] of the picture: what is kept
    begin: Tensor | None = None  # the same, but for what the masked part starts from
    mask: Tensor | None = None  # [1, 1, h/8, w/8]: 1 is repainted
    extra: Tensor | None = None  # [1, 5, h/8, w/8] instead of it, for a 9-channel model


def from_picture(
    model: Model, canvas: Canvas | None, strength: float, notes: list[str]
) -> FromPicture:
    """The picture as a latent, the mask at its size, and what a 9-channel model also sees."""
    if canvas is None:
        return FromPicture()
    latent = begin = autoencode.encode(model, canvas.picture, notes)
    if model.is_inpainting:
        if canvas.content == "fill":
            begin = autoencode.encode(model, canvas.filled_picture(), notes)
        hole = autoencode.encode(model, canvas.masked_picture(), notes)
        hidden = pixels.mask_tensor(canvas.hidden_cells()).to(latent)
        if canvas.content == "noise":
            begin = latent * (1 - hidden)
        return FromPicture(latent, begin, extra=torch.cat([hidden, hole], dim=1))
    small = canvas.latent_mask()
    if small is None:
        return FromPicture(latent, begin)
    mask = pixels.mask_tensor(small).to(latent)
    rim = (mask > 0) & (mask < 1)
    if canvas.content == "fill" or rim.any():
        filled = autoencode.encode(model, canvas.filled_picture(), notes)
        # A cell that is white in part is mixed with what is kept there. The old latent would bring
        # back what is to go; the filled picture has the kept pixels and nothing of that.
        gone = strength if canvas.content == "original" else 1.0
        latent = torch.where(rim, torch.lerp(latent, filled, gone), latent)
        begin = filled if canvas.content == "fill" else begin
    if canvas.content == "noise":
        begin = latent * (1 - mask)  # nothing of the picture there, so that noise alone is left
    return FromPicture(latent, begin, mask)
