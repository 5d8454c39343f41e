"""Styles that are made of any picture by image processing: examples for a LoRA to learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

_PAPER, _INK, _SQUARES = "#123a7a", "white", (48, 92, 160)
_LEAD = (24, 24, 30)
_ACROSS = 7  # panes of a window, about
_ROUNDS = 6  # of k-means; then the panes hardly move
_APART = 60.0  # levels of colour that count as much as the distance of two panes

Array = np.ndarray[Any, Any]


def blueprint(picture: Image.Image, _: int = 0) -> Image.Image:
    """White outlines on blue paper, with the fine squares of such paper."""
    lines = picture.convert("L").filter(ImageFilter.FIND_EDGES)
    for channel in picture.convert("RGB").split():  # red on green has no edge in grey
        lines = ImageChops.lighter(lines, channel.filter(ImageFilter.FIND_EDGES))
    # The filter takes the rim of the picture for an edge.
    lines = lines.crop((2, 2, picture.width - 2, picture.height - 2)).resize(picture.size)
    lines = ImageOps.autocontrast(lines.filter(ImageFilter.MaxFilter(3)), cutoff=(70, 2))
    sheet = np.array(ImageOps.colorize(lines, _PAPER, _INK))
    step = max(2, picture.width // 8)
    for squares in (sheet[step // 2 :: step], sheet[:, step // 2 :: step]):
        np.maximum(squares, _SQUARES, out=squares, casting="unsafe")
    return Image.fromarray(sheet)


def stained_glass(picture: Image.Image, seed: int = 0) -> Image.Image:
    """Panes of one bright colour each, in lead; their borders follow what is in the picture."""
    bright = ImageEnhance.Color(picture.convert("RGB")).enhance(1.6)
    pixels = np.asarray(bright.filter(ImageFilter.MedianFilter(5)), np.float32)
    panes, colours = _panes(pixels, np.random.default_rng(seed))
    glass = Image.fromarray(colours[panes].clip(0, 255).astype(np.uint8))
    numbers = Image.fromarray(panes.astype(np.uint8))
    borders = ImageChops.difference(
        numbers.filter(ImageFilter.MaxFilter(3)), numbers.filter(ImageFilter.MinFilter(3))
    )
    lead = borders.point(lambda value: 255 if value else 0).filter(ImageFilter.MaxFilter(3))
    glass.paste(_LEAD, mask=lead.filter(ImageFilter.GaussianBlur(0.6)))
    return glass


def _panes(pixels: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """The pane of each pixel `[h, w]`, and the colour of each pane `[k, 3]`: k-means of place and
    colour, so that borders find the edges.
    """
    height, width, _ = pixels.shape
    step = width / _ACROSS
    grid = np.stack(np.meshgrid(*[np.arange(_ACROSS)] * 2), -1).reshape(-1, 2)
    centres = (grid + 0.5 + rng.uniform(-0.4, 0.4, grid.shape)) * step  # [k, 2], x and y
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    colours = pixels[centres[:, 1].astype(int) % height, centres[:, 0].astype(int) % width]
    for _ in range(_ROUNDS):
        apart = [
            ((xs - x) ** 2 + (ys - y) ** 2) / step**2 + ((pixels - c) ** 2).sum(-1) / _APART**2
            for (x, y), c in zip(centres, colours, strict=True)
        ]
        panes = np.argmin(apart, axis=0)
        centres = _means(panes, np.stack([xs, ys], -1), len(centres))
        colours = _means(panes, pixels, len(centres))
    return panes, colours


def _means(panes: Array, values: Array, count: int) -> Array:
    """The mean of values `[h, w, c]` over each pane, `[count, c]`."""
    size = np.maximum(np.bincount(panes.ravel(), minlength=count), 1)
    sums = [np.bincount(panes.ravel(), each.ravel(), count) for each in np.moveaxis(values, -1, 0)]
    return np.stack(sums, -1) / size[:, None]


STYLES = {"blueprint": blueprint, "stained-glass": stained_glass}
