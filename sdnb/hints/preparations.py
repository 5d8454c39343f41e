"""From a picture to a hint: what AUTOMATIC1111's preprocessors without networks compute.

The formulas are those of Mikubill's sd-webui-controlnet (`processor.py`), on arrays `[h, w, 3]` of
uint8, RGB. Lines are white on black. Three things differ, because there they are slips: `xdog` does
not let twice a difference of 128 and more wrap round; `recolor` takes red for red and blue for
blue; and `shuffle` has a seed. `scribble` also knows light lines on a dark ground, and `softedge`
has no namesake without a network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sdnb.hints.opencv import cv2
from sdnb.hints.preparation_names import LINES, PREPARATIONS

Pixels: TypeAlias = NDArray[np.uint8]  # [h, w, 3], RGB

_LIGHT_LINES = "The drawing is of light lines on a dark ground: its lines were taken as they are."
_DARK_LINES = "The drawing is of dark lines on a light ground: its lines were made white on black."
_NO_LINES = "No lines were found in the picture, so none are followed ({name}: its hint is black)."
_PLAINLY = 0.2  # of a drawing: one with fewer dark pixels is what anybody would take for lines
_PADDED = 64  # pixels: sides are brought to a multiple of it, as the namesakes do
_LONGEST = 8192  # pixels of a side that cv2's `remap` is given: it takes no more than 32,766
_CELL = 256  # pixels of `shuffle`'s flow from one random point to the next


def prepared(picture: Pixels, name: str | None, values: Sequence[float] = ()) -> tuple[Pixels, str]:
    """The hint of a picture at the picture's own size, and a note, "" where there is none.

    `name` is one of `PREPARATIONS`, or None for a picture that is a hint already; `values` are its
    numbers, as far as they are not the defaults. Raises ImportError where OpenCV is missing.
    """
    if name is None:
        return picture, ""
    numbers = [*values, *(value.default for value in PREPARATIONS[name][len(values) :])]
    if name == "scribble":
        hint, note = _scribble(picture)
    else:
        hint, note = _KINDS[name](picture, *numbers), ""
    if name in LINES and not hint.any():
        note = _NO_LINES.format(name=name)
    return hint, note


def flat(picture: Pixels) -> Pixels:
    """RGB of RGB or RGBA `[h, w, 4]`: what is transparent lies on white, rounded down."""
    if picture.shape[2] == 3:
        return picture
    alpha = picture[:, :, 3:].astype(np.float32) / 255
    return _bytes(picture[:, :, :3] * alpha + 255 * (1 - alpha))


def _canny(picture: Pixels, low: float, high: float) -> Pixels:
    """Canny's edges (IEEE PAMI 8(6), 1986) with cv2's thresholds on whole gradients of colours."""
    return _grey(cv2().Canny(picture, low, high))


def _scribble(picture: Pixels) -> tuple[Pixels, str]:
    """Drawn lines: what is dark in one channel at least becomes white. Where that is most of the
    picture, its ground is dark, and what is light in one channel at least stays white.
    """
    dark = picture.min(axis=2) < 127
    share = dark.mean()
    if share <= 0.5:
        return _grey(dark * np.uint8(255)), "" if share < _PLAINLY else _DARK_LINES
    return _grey((picture.max(axis=2) > 127) * np.uint8(255)), _LIGHT_LINES


def _xdog(picture: Pixels, threshold: float) -> Pixels:
    """Difference of two Gaussians, sigma 0.5 and 5 (Winnemöller et al., 2012, without its soft
    threshold).
    """
    blur = cv2().GaussianBlur
    apart = _least(picture, lambda x: blur(x, (0, 0), 5.0) - blur(x, (0, 0), 0.5))
    dog = 255 - _bytes(255 - apart).astype(np.int32)
    return _grey((2 * dog > threshold) * np.uint8(255))


def _lineart(picture: Pixels) -> Pixels:
    """How much darker each pixel is than its surroundings, scaled so that a usual line is grey."""
    darker = _least(picture, lambda x: cv2().GaussianBlur(x, (0, 0), 6.0) - x).clip(0, 255)
    lines = darker[darker > 8]
    usual = max(16.0, float(np.median(lines))) if lines.size else 16.0
    return _grey(_bytes(darker / np.float32(usual) * 127))


def _least(
    picture: Pixels, of: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """The least of the three channels, of which one at a time is in memory as numbers."""
    return reduce(np.minimum, (of(picture[:, :, c].astype(np.float32)) for c in range(3)))


def _softedge(picture: Pixels) -> Pixels:
    """The length of Sobel's gradient of the luminance, after a Gaussian of sigma 1.5; its strongest
    hundredth is white. HED and PiDiNet, which networks of soft edges were trained on, are networks
    themselves: this is what comes nearest without one.
    """
    grey = cv2().cvtColor(picture, cv2().COLOR_RGB2GRAY).astype(np.float32)
    smooth = cv2().GaussianBlur(grey, (0, 0), 1.5)
    across, down = (cv2().Sobel(smooth, cv2().CV_32F, dx, 1 - dx) for dx in (1, 0))
    edges = np.hypot(across, down)
    white = max(float(np.percentile(edges, 99)), 32.0)  # a picture of one colour stays black
    return _grey(_bytes(edges / white * 255))


def _tile(picture: Pixels, factor: float) -> Pixels:
    """The picture, `factor` times smaller by the mean of areas; what is below 1.1 changes nothing,
    as there.
    """
    if factor < 1.1:
        return picture
    height, width = (max(1, int(side / factor)) for side in picture.shape[:2])
    return _as_pixels(cv2().resize(picture, (width, height), interpolation=cv2().INTER_AREA))


def _blur(picture: Pixels, sigma: float) -> Pixels:
    return _as_pixels(cv2().GaussianBlur(picture, (0, 0), sigma))


def _luminance(picture: Pixels, gamma: float) -> Pixels:
    """L of CIE Lab."""
    return _curved(cv2().cvtColor(picture, cv2().COLOR_RGB2LAB)[:, :, 0], gamma)


def _intensity(picture: Pixels, gamma: float) -> Pixels:
    """V of HSV, the largest of the three channels."""
    return _curved(picture.max(axis=2), gamma)


def _curved(channel: Pixels, gamma: float) -> Pixels:
    return _grey(_bytes((channel.astype(np.float32) / 255) ** np.float32(gamma) * 255))


def _threshold(picture: Pixels, threshold: float) -> Pixels:
    return _grey((picture.min(axis=2) > threshold) * np.uint8(255))


def _shuffle(picture: Pixels, seed: float) -> Pixels:
    """The picture along a smooth random flow, from random points 256 pixels apart."""
    own = picture.shape[1::-1]
    width, height = (min(side, _LONGEST) for side in own)
    if own != (width, height):
        picture = cv2().resize(picture, (width, height), interpolation=cv2().INTER_AREA)
    random = np.random.default_rng(int(seed))
    flow = np.dstack([_smooth(random, height, width) * (s - 1) for s in (width, height)])
    moved = _as_pixels(cv2().remap(picture, flow, None, cv2().INTER_LINEAR))
    return moved if own == (width, height) else _as_pixels(cv2().resize(moved, own))


def _smooth(random: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """Cubic noise from 0 to 1."""
    points = random.random((height // _CELL + 2, width // _CELL + 2), dtype=np.float32)
    whole = (width + 2 * _CELL, height + 2 * _CELL)
    noise = cv2().resize(points, whole, interpolation=cv2().INTER_CUBIC)
    noise = noise[_CELL : _CELL + height, _CELL : _CELL + width]
    noise = noise - noise.min()
    return np.asarray(noise / max(float(noise.max()), 1e-6), np.float32)


def _with_borders(prepare: Callable[..., Pixels]) -> Callable[..., Pixels]:
    """The preparation of a picture whose right and lower sides are brought to multiples of 64 by
    its last pixels, as there: a blur's edge and a median count them.
    """

    def of(picture: Pixels, *values: float) -> Pixels:
        height, width = picture.shape[:2]
        more = [(0, -side % _PADDED) for side in (height, width)]
        whole = np.pad(picture, [*more, (0, 0)], mode="edge")
        return np.ascontiguousarray(prepare(whole, *values)[:height, :width])

    return of


def _grey(channel: Pixels) -> Pixels:
    return np.repeat(channel[:, :, None], 3, axis=2)


def _bytes(values: NDArray[np.floating]) -> Pixels:
    """Rounded down, as the namesakes do."""
    return values.clip(0, 255).astype(np.uint8)


def _as_pixels(values: object) -> Pixels:
    return np.asarray(values, np.uint8)


_KINDS: dict[str, Callable[..., Pixels]] = {
    "canny": _with_borders(_canny),
    "xdog": _with_borders(_xdog),
    "lineart": _with_borders(_lineart),
    "softedge": _softedge,
    "tile": _tile,
    "blur": _blur,
    "inpaint": lambda picture: picture,
    "recolor": _luminance,
    "recolor_intensity": _intensity,
    "threshold": _threshold,
    "invert": lambda picture: 255 - picture,
    "shuffle": _shuffle,
}
#: Preparations that look at pixels side by side: these first bring the picture to the size that is
#: wanted, so that a line is as wide as it should be there. The others keep the picture's own size.
AT_SIZE = (*LINES, "blur", "threshold")
