"""Hints for training a control network: as a person draws them, or as `sdnb.hints` makes them.

"sketch" are light lines on black, `[s, s, 1]`: edges that a preparation finds, outlines drawn by a
shaky hand with any pen, with gaps or in part, and filled shapes. "tile" is the picture without its
detail, `[s, s, 3]`: small, blurred, in few colours, or in one colour for each thing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdnb.hints.opencv import cv2
from sdnb.hints.preparations import Pixels, prepared

_USUAL = 256  # pixels a side of the pictures for which pens and tremors are given


@dataclass(frozen=True)
class Painted:
    """A picture `[s, s, 3]`, RGB, and the number of the thing at each pixel `[s, s]`, 0: none."""

    pixels: Pixels
    things: NDArray[np.uint8]
    random: np.random.Generator

    @property
    def unit(self) -> float:
        """Pixels of this picture to one of a usual one."""
        return len(self.pixels) / _USUAL

    def share(self, chance: float) -> bool:
        """True so often."""
        return bool(self.random.random() < chance)


# -- lines -------------------------------------------------------------------------------------
def sketch(painted: Painted) -> Pixels:
    """Lines or shapes, white on black `[s, s, 1]`."""
    kinds: list[tuple[float, Callable[[Painted], Pixels]]] = [
        (0.3, _edges), (0.12, _soft), (0.22, _outlines), (0.28, _drawing), (0.08, _filled),
    ]  # fmt: skip
    chosen = painted.random.choice(len(kinds), p=[share for share, _ in kinds])
    return np.ascontiguousarray(kinds[chosen][1](painted)[:, :, None])


def _edges(painted: Painted) -> Pixels:
    """Canny's edges of the picture, sometimes in part or thick."""
    low = float(painted.random.uniform(40, 120))
    lines = _canny(painted.pixels, low)
    if painted.share(0.15):
        lines = _thick(lines, int(painted.random.integers(2, 4)))
    return _in_part(painted, lines) if painted.share(0.15) else lines


def _soft(painted: Painted) -> Pixels:
    name = str(painted.random.choice(["xdog", "lineart", "softedge"]))
    return prepared(painted.pixels, name)[0][:, :, 0]


def _outlines(painted: Painted) -> Pixels:
    """The outline of each thing, and nothing inside."""
    return _by_hand(painted, _contours(painted, filled=False))


def _drawing(painted: Painted) -> Pixels:
    """Outlines, and the clearest lines inside the things."""
    blurred = cv2().medianBlur(painted.pixels, 5)
    inner = _canny(blurred, float(painted.random.uniform(60, 140)))
    inside = cv2().erode((painted.things > 0).astype(np.uint8), np.ones((5, 5), np.uint8))
    inner = _without_crumbs(inner * inside, painted.random.integers(6, 40) * painted.unit)
    pen = _pen(painted)
    lines = np.maximum(_contours(painted, filled=False, pen=pen), _thick(inner, pen))
    return _by_hand(painted, lines)


def _filled(painted: Painted) -> Pixels:
    return _by_hand(painted, _contours(painted, filled=True), whole=True)


def _contours(painted: Painted, *, filled: bool, pen: int = 0) -> Pixels:
    """The things' outlines, in straight strokes of any length, with a pen of so many pixels."""
    out, random = np.zeros(painted.things.shape, np.uint8), painted.random
    pen, plainness = pen or _pen(painted), random.uniform(0.3, 2.5) * painted.unit
    for number in np.unique(painted.things[painted.things > 0]):
        mask = (painted.things == number).astype(np.uint8)
        found, _ = cv2().findContours(mask, cv2().RETR_CCOMP, cv2().CHAIN_APPROX_NONE)
        strokes = [cv2().approxPolyDP(line, plainness, True) for line in found if len(line) > 12]
        if filled:
            cv2().drawContours(out, strokes, -1, 255, cv2().FILLED)
        else:
            cv2().polylines(out, strokes, True, 255, pen, cv2().LINE_AA)
    return out


def _by_hand(painted: Painted, lines: Pixels, *, whole: bool = False) -> Pixels:
    """What a hand makes of lines: it trembles, and leaves gaps and parts."""
    lines = _shaken(painted, lines)
    if not whole and painted.share(0.3):
        lines = _with_gaps(painted, lines)
    return _in_part(painted, lines) if painted.share(0.2) else lines


def _pen(painted: Painted) -> int:
    wide = 1 + painted.random.exponential(2.5)
    return max(1, round(min(wide, 9) * painted.unit))


def _thick(lines: Pixels, pen: int) -> Pixels:
    round_pen = cv2().getStructuringElement(cv2().MORPH_ELLIPSE, (pen, pen))
    return _pixels(cv2().dilate(lines, round_pen))


def _shaken(painted: Painted, lines: Pixels) -> Pixels:
    """The lines along a smooth flow of a few pixels, in one curve or many."""
    far = min(painted.random.exponential(1.5), 5.0) * painted.unit
    cells = int(painted.random.integers(3, 14))
    side = len(lines)
    axis = np.arange(side, dtype=np.float32)
    flow = [_smooth(painted, cells, side) * np.float32(far) for _ in range(2)]
    across, down = axis[None] + flow[0], axis[:, None] + flow[1]
    return _pixels(cv2().remap(lines, across, down, cv2().INTER_LINEAR))


def _with_gaps(painted: Painted, lines: Pixels) -> Pixels:
    kept = _smooth(painted, int(painted.random.integers(8, 24)), len(lines))
    return lines * (kept > painted.random.uniform(-1.2, -0.3))


def _in_part(painted: Painted, lines: Pixels) -> Pixels:
    """One side of a random straight line."""
    side, turn = len(lines), painted.random.uniform(0, 2 * np.pi)
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    across = axis[None] * np.cos(turn) + axis[:, None] * np.sin(turn)
    return lines * (across < painted.random.uniform(-0.1, 0.6))


def _without_crumbs(lines: Pixels, shortest: float) -> Pixels:
    count, marks, stats, _ = cv2().connectedComponentsWithStats(lines, connectivity=8)
    long = stats[:, cv2().CC_STAT_AREA] >= shortest
    long[0] = False
    return lines * long[marks] if count > 1 else lines


def _canny(picture: Pixels, low: float) -> Pixels:
    return prepared(picture, "canny", (low, min(2 * low, 255)))[0][:, :, 0]


def _smooth(painted: Painted, cells: int, side: int) -> NDArray[np.float32]:
    """Smooth noise of unit deviation at so many points a side, `[side, side]`."""
    points = painted.random.standard_normal((cells, cells), dtype=np.float32)
    return np.asarray(cv2().resize(points, (side, side), interpolation=cv2().INTER_CUBIC))


# -- colours -----------------------------------------------------------------------------------
def tile(painted: Painted) -> Pixels:
    """The picture's colours without its detail `[s, s, 3]`."""
    kinds: list[tuple[float, Callable[[Painted], Pixels]]] = [
        (0.5, _small), (0.25, _blurred), (0.25, _blobs),
    ]  # fmt: skip
    chosen = painted.random.choice(len(kinds), p=[share for share, _ in kinds])
    hint = kinds[chosen][1](painted)
    return _in_few_colours(painted, hint) if painted.share(0.2) else hint


def _small(painted: Painted) -> Pixels:
    """Made 2 to 32 times smaller and as large again."""
    side = len(painted.pixels)
    small = max(4, round(side / 2 ** painted.random.uniform(1, 5)))
    how = [cv2().INTER_NEAREST, cv2().INTER_LINEAR, cv2().INTER_CUBIC][painted.random.integers(3)]
    hint = cv2().resize(painted.pixels, (small, small), interpolation=cv2().INTER_AREA)
    return _pixels(cv2().resize(hint, (side, side), interpolation=how))


def _blurred(painted: Painted) -> Pixels:
    sigma = 2 ** painted.random.uniform(0.5, 4) * painted.unit
    return prepared(painted.pixels, "blur", (sigma,))[0]


def _blobs(painted: Painted) -> Pixels:
    """Each thing and the background in its mean colour, in the shape that a hand gives it."""
    out = np.empty_like(painted.pixels)
    out[:] = _mean(painted.pixels, painted.things == 0)
    for number in np.unique(painted.things[painted.things > 0]):
        inside = painted.things == number
        shape = _shaken(painted, (inside * np.uint8(255)))
        out[shape > 127] = _mean(painted.pixels, inside)
    return out


def _mean(pixels: Pixels, where: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return _pixels(pixels[where].mean(axis=0)) if where.any() else np.zeros(3, np.uint8)


def _in_few_colours(painted: Painted, hint: Pixels) -> Pixels:
    """Each channel in five to nine values."""
    steps = int(painted.random.integers(4, 9))
    return _pixels(np.round(hint.astype(np.float32) / 255 * steps) / steps * 255)


def _pixels(values: object) -> NDArray[np.uint8]:
    return np.asarray(values, np.uint8)


#: The kinds of hints, and what makes them.
KINDS: dict[str, Callable[[Painted], Pixels]] = {"sketch": sketch, "tile": tile}
#: The channels of each.
CHANNELS = {"sketch": 1, "tile": 3}
