"""Copies of a model's networks to train with, and what they are trained on.

They have the checkpoint's values in full precision, with what the model always lays over them and
without what requests have laid over it. The model itself stays as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor, nn

from sdnb.engine import checkpoint
from sdnb.engine.adapters import merge
from sdnb.engine.networks import text
from sdnb.engine.stages import adapt, autoencode
from sdnb.images import canvas
from sdnb.images import picture as as_png
from sdnb.request import Request, picture_input

from .timed import TimedUNet

if TYPE_CHECKING:
    from sdnb.engine.model import Model

Picture = Image.Image | str | Path


def check(model: Model, pictures: Sequence[Picture], captions: Sequence[str]) -> None:
    """Raises ValueError where there is not one caption for each picture, or for a model that takes
    more than a latent.
    """
    if not pictures or len(pictures) != len(captions):
        raise ValueError(
            f"{len(pictures)} pictures and {len(captions)} captions: one caption for each is "
            "expected, and at least one"
        )
    if model.config.unet.in_channels != model.config.vae.latent_channels:
        raise ValueError(
            f"{model.name} is for inpainting: its UNet takes a mask and a picture, too. Train on "
            "the model that it was made of; the LoRA fits both"
        )


def digest(captions: Sequence[str]) -> str:
    """Tells one list of captions from another."""
    return hashlib.sha256("\n".join(captions).encode()).hexdigest()[:12]


def half_on(device: torch.device) -> AbstractContextManager[object]:
    """On a card that computes in bfloat16, products in it; elsewhere all in full precision."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def unet(model: Model) -> TimedUNet:
    """The UNet with a time for each picture, on the model's device."""
    with torch.device("meta"):
        net = TimedUNet(model.config.unet)
    return _filled(model, "unet", net.to(memory_format=torch.channels_last))


def encoder(model: Model) -> text.TextModel:
    """The text encoder, on the model's device."""
    return _filled(model, "text", text.build(model.config.text))


def contexts(model: Model, captions: Sequence[str]) -> Tensor:
    """What the UNet attends to for each caption, `[n, 77, d]`; of a long one its first 75 tokens
    count.
    """
    ids = [model.tokenizer(caption).ids for caption in captions]
    with torch.no_grad():
        return encoder(model)(torch.tensor(ids, device=model.device))


def latents(model: Model, pictures: Sequence[Picture], size: int | None = None) -> Tensor:
    """The latents `[n, 4, h/8, w/8]` of pictures or their files, on the model's device. With `size`
    each is cropped to a square and resized to it.

    Raises ValueError where they are of several sizes, or of one that 8 does not divide.
    """
    opened = [as_png(each) for each in pictures]
    sizes = {picture_input.open(each).size for each in opened} if size is None else {(size, size)}
    if len(sizes) != 1 or any(side % 8 for each in sizes for side in each):
        found = ", ".join(f"{width}x{height}" for width, height in sorted(sizes))
        raise ValueError(
            f"the pictures have the sizes {found}; one size is expected, a multiple of 8. With "
            "size=256, say, each is cropped and resized"
        )
    fitted = [_fitted(each, *sizes) for each in opened]
    notes: list[str] = []
    with model.run_lock.ask() as turn, torch.no_grad():
        turn.wait()
        return torch.cat([autoencode.encode(model, each, notes) for each in fitted])


def _fitted(png: bytes, size: tuple[int, int]) -> Image.Image:
    width, height = size
    found, _ = canvas.fit(Request("", image=png, width=width, height=height, fit="crop"))
    assert found is not None
    return found.picture


def _filled(model: Model, network: str, net: nn.Module) -> nn.Module:
    """The network with the values of the checkpoint and of the model's own LoRAs."""
    source = model.weights.source(network)
    checkpoint.assign_weights(net, source, dtype=torch.float32, device="cpu", what=network)
    overlay = adapt.choose(model, Request("")).overlay
    for weight, additions in overlay.additions.get(network, {}).items():
        merge.write_sum(source[weight], additions, net.get_parameter(weight), torch.float32)
    return net.to(model.device).requires_grad_(False)
