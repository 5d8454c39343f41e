"""Icons of one colour, painted so that they look like things.

A glyph's inner lines are holes, through which a background would show: they are filled with a
darker shade of the thing's colour, as lines are drawn (a lighter one on what is nearly black).
Pale lines would look as if the thing were in pieces. A two-tone icon gets the colour in place of
its blue.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from .phrases import COLORS

#: Set -> the style of its first drawing of a thing; the second's is "glyph2", and so on.
FAMILIES = {
    "game-icons": "glyph", "healthicons": "glyph", "icon-park": "twotone",
    "flat-color-icons": "coloricon",
}  # fmt: skip
_MAIN = {"white": (236, 238, 242), "black": (44, 46, 52)}  # seen on white and on black
_BLUES = ("#2F88FF", "#43CCF8")  # icon-park's fill and second fill
_DARK = 70  # of 255: the brightness below which inner lines are lighter


def shades(name: str) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The two colours, 8-bit RGB, of a thing of a named colour: its body and its inner lines."""
    body = np.array(_MAIN.get(name, COLORS[name]), np.float32)
    inner = body * 0.35 if body @ (0.3, 0.59, 0.11) > _DARK else body + (255 - body) * 0.4
    return _rgb(body), _rgb(inner)


def _rgb(color: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (round(float(value)) for value in color)
    return red, green, blue


def two_tone(svg: str, color: str) -> str:
    """An icon of icon-park in the named colour; its outlines stay black."""
    for blue, shade in zip(_BLUES, shades(color), strict=True):
        svg = svg.replace(blue, "#{:02x}{:02x}{:02x}".format(*shade))
    return svg


def painted(glyph: Image.Image, color: str) -> Image.Image:
    """A glyph (RGBA, of which only alpha counts) in a named colour, its holes filled."""
    from scipy import ndimage  # an optional dependency, for making data only

    alpha = np.pad(np.asarray(glyph.getchannel("A"), np.float32) / 255, 8)
    solid = alpha > 0.5
    closed = ndimage.binary_closing(solid, iterations=6)  # lines that cut through to the rim
    inside = ndimage.binary_fill_holes(closed | solid)
    inside = inside & ~_large_holes(inside & ~solid)
    cover = np.maximum(alpha, _soft(ndimage.binary_erosion(inside) | solid))
    body, inner = (np.array(shade, np.float32) for shade in shades(color))
    height = len(alpha)
    light = 1.08 - 0.16 * (np.arange(height, dtype=np.float32) / height)[:, None, None]
    rgb = (inner + (body - inner) * alpha[..., None]) * light
    out = np.concatenate([rgb.clip(0, 255), cover[..., None] * 255], -1)[8:-8, 8:-8]
    return Image.fromarray((out + 0.5).astype(np.uint8))


def _large_holes(holes: np.ndarray) -> np.ndarray:
    """Those through which one looks, such as a mug's handle or the middle of a ring."""
    from scipy import ndimage

    labels, _ = ndimage.label(holes)
    areas = np.bincount(labels.ravel())
    depth = ndimage.distance_transform_edt(holes)
    wide = ndimage.maximum(depth, labels, np.arange(len(areas)))
    large = (areas > 0.02 * holes.size) & (wide > 0.055 * len(holes))
    large[0] = False
    return large[labels]


def _soft(mask: np.ndarray) -> np.ndarray:
    """A mask with an edge of about a pixel."""
    from scipy import ndimage

    return ndimage.gaussian_filter(mask.astype(np.float32), 0.7)
