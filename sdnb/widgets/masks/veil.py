"""What is drawn as rectangles: runs of pixels; of a mask in several layers where it is grey.

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
class Rectangles:
    """Rectangles of one height, in pixels of the picture."""

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


@dataclass(frozen=True)
class VeilLayer(Rectangles):
    """Rectangles of one strength, 0 to 1; the layers add up to `Ink.seen` of the mask."""

    strength: float


@dataclass(frozen=True)
class ColourRuns(Rectangles):
    """Rectangles with a colour each."""

    colour: NDArray[np.uint8]  # [n, 3], RGB
    alpha: NDArray[np.float32]  # [n], 0 to 1


def runs(drawing: Image.Image, origin: tuple[int, int], cell: int = 1) -> ColourRuns | None:
    """The runs of one colour of a drawing (RGBA) whose upper left corner lies at `origin` in the
    picture; squares of `cell` pixels have the colour of one of them. None where there are too many.
    """
    pixels = np.ascontiguousarray(np.asarray(drawing)[::cell, ::cell])  # [h, w, 4]
    packed = pixels.view(np.uint32)[..., 0]  # [h, w]
    begins = np.ones(packed.shape, np.bool_)
    begins[:, 1:] = packed[:, 1:] != packed[:, :-1]
    flat = np.flatnonzero(begins)
    widths = np.diff(np.append(flat, packed.size))  # each row begins with a run
    colour = pixels.reshape(-1, 4)[flat]
    drawn = colour[:, 3] > 0
    if np.count_nonzero(drawn) > _MAX_RECTANGLES:
        return None
    rows, columns = np.divmod(flat[drawn], packed.shape[1])
    x, y, width = (part.astype(np.int32) * cell for part in (columns, rows, widths[drawn]))
    alpha = colour[drawn, 3].astype(np.float32) / 255
    return ColourRuns(x + origin[0], y + origin[1], width, cell, colour[drawn, :3], alpha)


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
            yield VeilLayer(x + origin[0], y + origin[1], width, cell, strength - below)
            below = strength


def _runs(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int32], ...]:
    """The column where each run of True begins, its row, and its length."""
    padded = np.pad(inside.view(np.int8), ((0, 0), (1, 1)))
    change = np.diff(padded, axis=1)  # [h, w + 1]
    rows, starts = np.nonzero(change == 1)
    ends = np.nonzero(change == -1)[1]
    return starts.astype(np.int32), rows.astype(np.int32), (ends - starts).astype(np.int32)
