"""Measures one picture: its background colour, its things, its distance from others."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sdnb.engine.networks.tiny_vae import TinyVAE
from sdnb.engine.networks.vae import VAE

from . import phrases

_LEAST = 0.001  # share of the picture: a smaller spot is no thing
# Half the width of a bridge between two things, as a share of the picture's. Chosen on scenes of
# real sprites, which often touch: it counts 100, 92 and 80 % of scenes with one, two and three of
# them right; without cut bridges 100, 67 and 28 %.
_BRIDGE = 0.07
_CONTRAST = 0.16  # share of the distance from black to white: more is no background
_SIDE = 64  # pixels at which pictures are compared


def border_color(picture: np.ndarray) -> str:
    """The main colour nearest to the mean of the picture's rim. `picture` is uint8 `[h, w, 3]`."""
    rim = _rim(picture).mean(0)
    distance = {name: np.abs(rim - phrases.COLORS[name]) for name in phrases.MAIN_COLORS}
    return min(distance, key=lambda name: float((distance[name] ** 2).sum()))


def _rim(picture: np.ndarray) -> np.ndarray:
    """The pixels `[n, 3]` of the top, left and right twelfth; things stand at the bottom."""
    width = picture.shape[1] // 12
    parts = (picture[:width], picture[:, :width], picture[:, -width:])
    return np.concatenate([part.reshape(-1, 3) for part in parts]).astype(np.float64)


def count_things(picture: np.ndarray, bridge: float = _BRIDGE) -> int:
    """The number of things on a plain background; `picture` is uint8 `[h, w, 3]`.

    It counts connected components of the pixels that differ from the rim's median, with gaps closed
    and holes filled. Things often touch, so bridges between them are cut: a pixel counts only if it
    is further from the background than `bridge`, a share of the picture's width.
    """
    from scipy import ndimage

    background = np.median(_rim(picture), axis=0)
    distance = np.sqrt(((picture - background) ** 2).mean(-1)) / 255  # [h, w]
    solid = ndimage.binary_closing(distance > _CONTRAST, iterations=2)
    framed = np.pad(ndimage.binary_fill_holes(solid), 1)  # beyond the edge is background
    depth = ndimage.distance_transform_edt(framed)[1:-1, 1:-1]
    labels, count = ndimage.label(depth > bridge * picture.shape[1], np.ones((3, 3)))
    sizes = ndimage.sum_labels(np.ones_like(labels), labels, range(1, count + 1))
    return int((np.asarray(sizes) > _LEAST * labels.size).sum())


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Decibels of each picture `[n]`; both `[n, 3, h, w]` in -1..1, so the peak is 2."""
    return 10 * torch.log10(4 / (a - b).square().mean((1, 2, 3)))


@torch.no_grad()
def coded_psnr(vae: VAE, pictures: Tensor) -> Tensor:
    """Decibels `[n]` that are left of pictures `[n, 3, h, w]` once encoded and decoded."""
    return psnr(pictures, vae.decode(vae.encode(pictures)).clamp(-1, 1))


@torch.no_grad()
def tiny_vae_figures(full: VAE, tiny: TinyVAE, pictures: Iterable[Tensor]) -> dict[str, float]:
    """Mean and least decibels of a tiny VAE against the full one on pictures `[1, 3, h, w]`: its
    decoder beside the full decoder, and the full decoder on its latents beside that on the full
    encoder's; each half of it also computed in float16.
    """
    nets = {"": tiny, "_fp16": copy.deepcopy(tiny).half()}
    values: dict[str, list[float]] = {}
    for picture in pictures:
        latent = full.encode(picture)
        expected = full.decode(latent).clamp(-1, 1)
        for numbers, net in nets.items():
            dtype = torch.float16 if numbers else torch.float32
            made = {
                "decoder": net.decode(latent.to(dtype)).float(),
                "encoder": full.decode(net.encode(picture.to(dtype)).float()),
            }
            for half, seen in made.items():
                decibels = psnr(expected, seen.clamp(-1, 1)).item()
                values.setdefault(half + numbers, []).append(decibels)
    means = {name: sum(its) / len(its) for name, its in values.items()}
    return means | {f"{name}_least": min(its) for name, its in values.items()}


def nearest(picture: Tensor, known: Tensor) -> tuple[float, int]:
    """The RMS distance (0..1) to the nearest of the known pictures, and its index.

    `picture` is `[3, h, w]` and `known` `[n, 3, h, w]`, both in -1..1, compared at 64x64.
    """
    small = [F.interpolate(x, size=(_SIDE, _SIDE), mode="area") for x in (picture[None], known)]
    distances = (small[0] - small[1]).square().mean((1, 2, 3)).sqrt() / 2
    at = int(distances.argmin())
    return float(distances[at]), at


def share(right: Sequence[bool]) -> float:
    """The share that is right, or 0 if there is none."""
    return sum(right) / len(right) if right else 0.0
