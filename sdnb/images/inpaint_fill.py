"""Filling a hole in a picture with the colours around it. NumPy, no torch.

Pull-push interpolation (Gortler et al. 1996, "The Lumigraph", section 3.4): means of the known
pixels over ever larger cells, then back, each level taking what it does not know from the coarser
one. The result has no detail of what stood there, only the colours around it: a start for
inpainting.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_Floats = NDArray[np.float64]


def filled(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """`picture` (RGB) with what `mask` (L, of the same size) shows white in the colours around it.

    Where the mask is black the picture is the same, bit for bit. An all white mask gives mid-grey.
    """
    colours = np.asarray(picture, dtype=np.float64)  # [h, w, 3]
    known = 1 - np.asarray(mask, dtype=np.float64)[..., None] / 255  # [h, w, 1]
    if not known.any():
        return Image.new("RGB", picture.size, (127, 127, 127))
    smooth = _pulled(colours, known)
    smooth = known * colours + (1 - known) * smooth
    return Image.fromarray(np.round(smooth).clip(0, 255).astype(np.uint8))


def _pulled(colours: _Floats, known: _Floats) -> _Floats:
    """The colours everywhere, `[h, w, 3]`: where `known` is less than 1, from the coarser level."""
    if colours.shape[:2] == (1, 1):
        return colours
    weighted, weight = _halved(colours * known), _halved(known)
    coarse = np.divide(weighted, weight, out=np.zeros_like(weighted), where=weight > 0)
    # A cell of four is known when one of its pixels is.
    coarse = _pulled(coarse, np.minimum(1, 4 * weight))
    return known * colours + (1 - known) * _doubled(coarse, colours.shape)


def _halved(values: _Floats) -> _Floats:
    """Means over cells of 2x2; an odd side is continued by its last row or column."""
    h, w, _ = values.shape
    values = np.pad(values, ((0, h % 2), (0, w % 2), (0, 0)), mode="edge")
    return (values[::2, ::2] + values[1::2, ::2] + values[::2, 1::2] + values[1::2, 1::2]) / 4


def _doubled(values: _Floats, shape: tuple[int, ...]) -> _Floats:
    """Twice as large, linear between the centres of the cells, cut to `shape`."""
    for axis in (0, 1):
        before = np.take(values, np.maximum(np.arange(values.shape[axis]) - 1, 0), axis)
        after = np.minimum(np.arange(values.shape[axis]) + 1, values.shape[axis] - 1)
        after = np.take(values, after, axis)
        pairs = np.stack([0.75 * values + 0.25 * before, 0.75 * values + 0.25 * after], axis + 1)
        size = list(values.shape)
        size[axis] *= 2
        values = pairs.reshape(size)
    return values[: shape[0], : shape[1]]
