"""A mask as rectangles to draw: runs of pixels, in several layers where the mask is grey.

A canvas decodes pictures late and in any order; rectangles appear at once, at any zoom.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sdnb.widgets.masks.preview import AS_VEIL, Ink
from sdnb.widgets.masks.strokes import Point

_GREYS = 12  # levels; no eye tells more apart under the veil
_MAX_RECTANGLES = 40_000  # a mask that needs more is shown coarser


@dataclass(frozen=True)
class VeilLayer:
    """Rectangles of one height and one strength; the layers add up to `Ink.seen` of the mask."""

    strength: float  # 0 to 1
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    width: NDArray[np.int32]
    height: int

    def placed(self, scale: Point, origin: Point) -> tuple[NDArray[np.int32], ...]:
        """Left, top, width and height on the canvas, in pixels without gap or overlap."""
        edges = ((self.x, 0), (self.y, 1), (self.x + self.width, 0), (self.y + self.height, 1))
        left, top, right, bottom = (
            np.rint(edge * scale[axis] + origin[axis]).astype(np.int32) for edge, axis in edges
        )
        return left, top, right - left, bottom - top


def layers(
    mask: Image.Image, origin: tuple[int, int], cell: int = 1, ink: Ink = AS_VEIL
) -> list[VeilLayer]:
    """The layers of a mask (L) whose upper left corner lies at `origin` in the picture.

    Squares of `cell` pixels are averaged; larger ones if there were too many rectangles.
    """
    while True:
        mask_layers = list(_layers(mask, origin, cell, ink))
        count = sum(layer.x.size for layer in mask_layers)
        if count <= _MAX_RECTANGLES or cell >= max(mask.size):
            return mask_layers
        cell *= 2


def _layers(mask: Image.Image, origin: tuple[int, int], cell: int, ink: Ink) -> Iterator[VeilLayer]:
    if cell > 1:
        mask = mask.reduce(cell)
    # Rounded up, since what is repainted is seen, however little.
    greys = np.ceil(np.asarray(mask, np.float32) * (_GREYS / 255)).astype(np.uint8)  # [h, w]
    below = 0.0
    for grey in np.flatnonzero(np.bincount(greys.ravel(), minlength=1)):
        if grey:
            x, y, width = (part * cell for part in _runs(greys >= grey))
            strength = ink.seen(int(grey) / _GREYS)
            yield VeilLayer(strength - below, x + origin[0], y + origin[1], width, cell)
            below = strength


def _runs(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int32], ...]:
    """The column where each run of True begins, its row, and its length."""
    padded = np.pad(inside.view(np.int8), ((0, 0), (1, 1)))
    change = np.diff(padded, axis=1)  # [h, w + 1]
    rows, starts = np.nonzero(change == 1)
    ends = np.nonzero(change == -1)[1]
    return starts.astype(np.int32), rows.astype(np.int32), (ends - starts).astype(np.int32)
