"""A hint at the size of a request: edges stay sharp, and as wide as they were.

The rules are those of Mikubill's sd-webui-controlnet (`detectmap_proc`). Bilinear filters would
turn edges grey, which weakens the control, and the colours of a pose into colours of no limb.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sdnb.hints.opencv import cv2
from sdnb.hints.preparations import Pixels

Size = tuple[int, int]  # width, height

#: How a hint of other proportions comes to a size.
FITS = ("stretch", "crop", "fill")
_FEW = 200  # colours: a hint of fewer is drawn in chosen ones, as poses and segments are
_BLACK, _WHITE = 16, 240  # two colours are black and white where they are beyond these
_MOST_AROUND = 8  # times the size that is wanted: what a picture that covers it is worked on at
_SPARSE = 97  # every so many pixels are looked at first


def fitted(hint: Pixels, size: Size, fit: str) -> Pixels:
    """The hint `[h, w, 3]` at exactly `size`: stretched, its middle, or whole with borders of its
    own border's colour.
    """
    if fit == "stretch":
        return resized(hint, size)
    inner = _scaled(hint, size, fit)
    if _too_large(inner, size):
        return resized(_middle(hint, size), size)
    part = resized(hint, inner)
    left, upper = (abs(a - b) // 2 for a, b in zip(size, inner, strict=True))
    if fit == "crop":
        return np.ascontiguousarray(part[upper : upper + size[1], left : left + size[0]])
    border = np.concatenate([hint[0], hint[-1], hint[:, 0], hint[:, -1]])
    colour = np.median(border, axis=0).astype(np.uint8)
    whole = np.tile(colour, (size[1], size[0], 1))
    whole[upper : upper + inner[1], left : left + inner[0]] = part
    return whole


def fitted_mask(mask: Pixels, size: Size, fit: str) -> Pixels:
    """A mask `[h, w]` at `size`, black and white: 255 is masked. What borders add is masked."""
    inner = size if fit == "stretch" else _scaled(mask, size, fit)
    if _too_large(inner, size):
        mask, inner = _middle(mask, size), size
    part = (_sampled(mask, inner, few=False) > 127) * np.uint8(255)
    left, upper = (abs(a - b) // 2 for a, b in zip(size, inner, strict=True))
    if fit == "crop":
        return np.ascontiguousarray(part[upper : upper + size[1], left : left + size[0]])
    whole = np.full(size[::-1], 255, np.uint8)
    whole[upper : upper + inner[1], left : left + inner[0]] = part
    return whole


def part_of(picture: Pixels, part: tuple[float, float, float, float] | None) -> Pixels:
    """The part of a picture `[h, w, ...]` between these edges, left, upper, right and lower, in
    shares of its sides; one pixel at least. None: all of it.
    """
    if part is None:
        return picture
    height, width = picture.shape[:2]
    spans = []
    for low, high, side in ((part[1], part[3], height), (part[0], part[2], width)):
        first = min(max(round(low * side), 0), side - 1)
        spans.append(slice(first, max(min(round(high * side), side), first + 1)))
    return np.ascontiguousarray(picture[tuple(spans)])


def to_work_on(picture: Pixels, size: Size, fit: str) -> Pixels:
    """The picture in its own proportions, as large as it will be in `size`: a preparation that
    looks at single pixels begins with it ("pixel perfect"). One of quite other proportions is
    brought to `size` at once.
    """
    inner = _scaled(picture, size, "crop" if fit == "stretch" else fit)
    if _too_large(inner, size):
        picture, inner = picture if fit == "stretch" else _middle(picture, size), size
    return _as_pixels(_sampled(picture, inner, few=False))


def resized(hint: Pixels, size: Size) -> Pixels:
    """The hint stretched to `size`.

    Of 3 to 199 colours, the nearest pixel; else the mean of areas where it becomes smaller, cubic
    where larger. Of black and white, Otsu's threshold then makes it so again, and lines that were
    one pixel wide are thinned to one pixel.
    """
    if hint.shape[1::-1] == size:
        return hint
    colours = _colours(hint)
    result = _sampled(hint, size, few=2 < colours < _FEW)
    if colours != 2 or hint.min() >= _BLACK or hint.max() <= _WHITE:
        return _as_pixels(result)
    grey = result.astype(np.float32).mean(axis=2).clip(0, 255).astype(np.uint8)
    thin = _is_thin(hint)
    grey = _ridges(grey) if thin else grey
    _, binary = cv2().threshold(grey, 0, 255, cv2().THRESH_BINARY + cv2().THRESH_OTSU)
    return np.repeat((_thinned(binary) if thin else _as_pixels(binary))[:, :, None], 3, axis=2)


def _sampled(values: Pixels, size: Size, *, few: bool) -> NDArray[np.uint8]:
    """By nearest pixels, means of areas or cubics. Areas that shrink one side alone are means."""
    smaller = size[0] * size[1] < values.shape[0] * values.shape[1]
    how = cv2().INTER_AREA if smaller else cv2().INTER_CUBIC
    result = cv2().resize(values, size, interpolation=cv2().INTER_NEAREST if few else how)
    return _as_pixels(result)


def _scaled(values: Pixels, size: Size, fit: str) -> Size:
    """The values' size at one scale: the least that covers `size` ("crop"), or the most inside."""
    height, width = values.shape[:2]
    scales = size[0] / width, size[1] / height
    scale = max(scales) if fit == "crop" else min(scales)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _too_large(inner: Size, size: Size) -> bool:
    """Whether a picture that covers `size` would be many times as large: one of a single row in a
    square, for instance.
    """
    return inner[0] * inner[1] > _MOST_AROUND * size[0] * size[1]


def _middle(values: Pixels, size: Size) -> Pixels:
    """The middle of a picture, in the proportions of `size` to a pixel."""
    sides, scale = values.shape[1::-1], max(size[0] / values.shape[1], size[1] / values.shape[0])
    wide, high = (
        min(max(1, round(wanted / scale)), own) for wanted, own in zip(size, sides, strict=True)
    )
    left, upper = (sides[0] - wide) // 2, (sides[1] - high) // 2
    return np.ascontiguousarray(values[upper : upper + high, left : left + wide])


def _colours(hint: Pixels) -> int:
    """How many colours the hint has, counted to 200."""
    pixels = hint.reshape(-1, 3)
    for some in (pixels[::_SPARSE], pixels):
        red, green, blue = some.astype(np.uint32).T
        count = np.unique(red << 16 | green << 8 | blue).size
        if count >= _FEW:
            return _FEW
    return int(count)


def _is_thin(hint: Pixels) -> bool:
    """Whether most of what is white is too narrow for a square of 3 pixels."""
    square = np.ones((3, 3), np.uint8)
    opened = cv2().dilate(cv2().erode(hint, square), square)
    return bool(2 * np.count_nonzero(opened < hint) > np.count_nonzero(hint > 127))


def _ridges(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What is nowhere below its neighbours on a line in one of four directions; black elsewhere."""
    lines = [np.zeros((3, 3), np.uint8) for _ in range(4)]
    lines[0][1], lines[1][:, 1] = 1, 1
    np.fill_diagonal(lines[2], 1)
    np.fill_diagonal(lines[3][::-1], 1)
    high = np.logical_or.reduce([cv2().dilate(grey, line) == grey for line in lines])
    return np.where(high, grey, 0).astype(np.uint8)


def _thinned(binary: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Its lines one pixel wide (Zhang and Suen, CACM 27(3), 1984)."""
    from skimage.morphology import skeletonize

    return _as_pixels(skeletonize(binary > 0) * np.uint8(255))


def _as_pixels(values: object) -> NDArray[np.uint8]:
    return np.asarray(values, np.uint8)
