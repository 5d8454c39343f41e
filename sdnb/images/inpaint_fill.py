"""Filling the masked part of a picture with the colours around it, as a start for inpainting.

Pull-push interpolation (Gortler et al. 1996, "The Lumigraph", section 3.4): average the known
pixels over larger and larger cells, then go back to finer levels, each of which takes its unknown
pixels from the coarser one. NumPy, no torch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_Floats = NDArray[np.float64]


def filled(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """Fill `picture` (RGB) where `mask` (L, same size) is white.

    Pixels under black mask stay bit for bit the same. An all white mask gives mid-grey.
    """
    colours = np.asarray(picture, dtype=np.float64)  # [h, w, 3]
    known = 1 - np.asarray(mask, dtype=np.float64)[..., None] / 255  # [h, w, 1]
    if not known.any():
        return Image.new("RGB", picture.size, (127, 127, 127))
    smooth = _pulled(colours, known)
    smooth = known * colours + (1 - known) * smooth
    return Image.fromarray(np.round(smooth).clip(0, 255).astype(np.uint8))


def _pulled(colours: _Floats, known: _Floats) -> _Floats:
    """The colours `[h, w, 3]`; where `known` is less than 1, from the coarser level."""
    if colours.shape[:2] == (1, 1):
        return colours
    weighted, weight = _halved(colours * known), _halved(known)
    coarse = np.divide(weighted, weight, out=np.zeros_like(weighted), where=weight > 0)
    # A cell of four pixels is known if one of them is.
    coarse = _pulled(coarse, np.minimum(1, 4 * weight))
    return known * colours + (1 - known) * _doubled(coarse, colours.shape)


def _halved(values: _Floats) -> _Floats:
    """Means over cells of 2x2. An odd side repeats its last row or column."""
    h, w, _ = values.shape
    values = np.pad(values, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    return (values[::2, ::2] + values[1::2, ::2] + values[::2, 1::2] + values[1::2, 1::2]) / 4


def _doubled(values: _Floats, shape: tuple[int, ...]) -> _Floats:
    """Enlarge twice, linearly between the centres of cells, and crop to `shape`."""
    for axis in (0, 1):
        before = np.take(values, np.maximum(np.arange(values.shape[axis]) - 1, 0), axis)
        after = np.minimum(np.arange(values.shape[axis]) + 1, values.shape[axis] - 1)
        after = np.take(values, after, axis)
        pairs = np.stack([0.75 * values + 0.25 * before, 0.75 * values + 0.25 * after], axis + 1)
        size = list(values.shape)
        size[axis] *= 2
        values = pairs.reshape(size)
    return values[: shape[0], : shape[1]]
