"""The VAE under a memory plan: it encodes a picture to a latent, and decodes latents to pictures.

When memory runs out it works in tiles, then with its maps in the computer's memory, then on the
CPU; a note for the result says so. Finished latents are never lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sdnb.engine import memory, pixels
from sdnb.engine.model import Model
from sdnb.engine.networks import row_bands

T = TypeVar("T")

CPU = torch.device("cpu")

#: What is tried, in this order, when memory runs out: the tile in pixels, and where maps are kept.
TILES = ((512, "device"), (256, "device"), (256, "host"), (128, "host"))


class DecodeError(RuntimeError):
    """Decoding failed after the last step. `latents`, `[4, h/8, w/8]` each, are kept here:
    `sdnb.decode(model, error.latents)` decodes them again.
    """

    # Without latents it is only what comes from another process, before `latents` are put back.
    def __init__(self, words: str, latents: tuple[Tensor, ...] = ()) -> None:
        super().__init__(words)
        self.latents = latents


def encode(model: Model, picture: Image.Image, notes: list[str]) -> Tensor:
    """Encode a picture to its latent `[1, 4, h/8, w/8]`, float32 on the model's device."""
    data = pixels.tensor(picture)

    def work(tile: float, store: str, device: torch.device) -> Tensor:
        x = data.to(device, _numbers(model, "encoder"), memory_format=torch.channels_last)
        if not tile:
            return _vae(model).encode(x).to(model.device, torch.float32)
        latent = _vae(model).encode_tiled(x, row_bands.Bands(tile), _map_storage(store, device))
        return latent.to(model.device, torch.float32)

    def good(latent: Tensor) -> bool:
        return bool(latent.isfinite().all().item())

    return _do(model, _Task("encoder", tuple(data.shape), work, good), notes)


def decode_all(model: Model, latents: Sequence[Tensor], notes: list[str]) -> list[Image.Image]:
    """Decode finished latents `[4, h/8, w/8]`. Raises DecodeError, which keeps them."""
    try:
        return [decode(model, latent[None], notes) for latent in latents]
    except Exception as error:
        raise DecodeError(
            f"the steps are done, but decoding failed ({type(error).__name__}: {error}). The "
            "latents are kept: sdnb.decode(model, error.latents) takes them again, also with "
            "another plan",
            tuple(latents),
        ) from error


def decode(model: Model, latent: Tensor, notes: list[str]) -> Image.Image:
    """Decode a finished latent `[1, 4, h/8, w/8]`."""

    def work(tile: float, store: str, device: torch.device) -> tuple[Image.Image, bool]:
        x = latent.to(device, _numbers(model, "decoder"), memory_format=torch.channels_last)
        if not tile:
            bands: Iterator[Tensor] = iter([_vae(model).decode(x)])
        else:
            bands = _vae(model).decode_tiled(x, row_bands.Bands(tile), _map_storage(store, device))
        return _picture(bands)

    task = _Task("decoder", tuple(latent.shape), work, lambda decoded: decoded[1])
    picture, _ = _do(model, task, notes)
    return picture


def _picture(bands: Iterator[Tensor]) -> tuple[Image.Image, bool]:
    """Join bands of pixels; also returns whether they are finite and not all of one colour."""
    parts, finite = [], []
    for band in bands:
        finite.append(band.isfinite().all())
        parts.append(pixels.array(band))
        del band
    whole = np.concatenate(parts)
    good = bool(torch.stack(finite).all().item()) and not _is_one_colour(whole)
    return Image.fromarray(whole), good


def _is_one_colour(whole: np.ndarray[Any, Any]) -> bool:
    # Nearly always the first row says it, and the whole takes a millisecond at 512x512.
    return not any(bool((part != whole[0, 0]).any()) for part in (whole[0], whole))


def _vae(model: Model) -> Any:
    """The VAE of the plan in force: the model's own, or the tiny one beside it."""
    return model.tiny_vae if model.memory.tiny_vae else model.vae


def _numbers(model: Model, half: str) -> torch.dtype:
    """The numbers in which a half computes now."""
    return next(getattr(_vae(model), half).parameters()).dtype


_DOING = {"encoder": "encoding the picture", "decoder": "decoding"}


@dataclass(frozen=True)
class _Task(Generic[T]):
    """The work of a half of the VAE on numbers of this shape, `work(tile, store, device)`; and
    whether its outcome is a picture.
    """

    half: str
    shape: tuple[int, ...]
    work: Callable[[float, str, torch.device], T]
    good: Callable[[T], bool]


def _do(model: Model, task: _Task[T], notes: list[str]) -> T:
    """Do it by the plan; where the outcome is no picture, do it again in full precision."""
    result = _with_less(model, task, notes, None)
    if task.good(result):
        return result
    trouble = f"The VAE gave no usable numbers (nan, or one colour) in {_DOING[task.half]}"
    if _numbers(model, task.half) == torch.float32:
        notes.append(f"{trouble}, in full precision.")
        return result
    result = _with_less(model, task, notes, torch.float32)
    outcome = "" if task.good(result) else ", which did not help"
    numbers = str(model.dtype).removeprefix("torch.")
    notes.append(f"{trouble} at {numbers}: done again in full precision{outcome}.")
    return result


def _with_less(model: Model, task: _Task[T], notes: list[str], dtype: torch.dtype | None) -> T:
    """Do it by the plan, then by each of `TILES`, then on the CPU."""
    plan, doing = model.memory, _DOING[task.half]
    first = (plan.tile or 0, plan.store or "device")
    part = f"tiny_{task.half}" if plan.tiny_vae else task.half
    ways = [first, *TILES[TILES.index(first) + 1 if first in TILES else 0 :]]
    for tile, store in ways:
        try:
            with model.weights.use(part, dtype) as device:
                ahead = model.weights.passes.of((part, dtype, tile, store, task.shape), device)
                with ahead.bounded():
                    result = task.work(tile, store, device)
        except torch.OutOfMemoryError:
            memory.empty_cache(model.device)
            model.weights.forget_graph()  # the decoder needs its memory more
            continue
        if (tile, store) != first:
            place = " kept in the computer's memory" if store == "host" else ""
            notes.append(f"Out of memory in {doing}: done in tiles of {tile} pixels{place}.")
        return result
    with memory.cast(_vae(model), torch.float32, CPU):
        result = task.work(512, "device", CPU)
    notes.append(f"Out of memory in {doing}: done on the CPU.")
    return result


def _map_storage(store: str, device: torch.device) -> row_bands.MapStorage:
    """Where a tiled VAE keeps its maps: on the device, or in pinned memory of the computer."""
    if store == "device" or device.type == "cpu":
        return row_bands.on_device(device)
    return row_bands.MapStorage(
        lambda shape, dtype: memory.pinned(shape, dtype, device), on_host=True
    )
