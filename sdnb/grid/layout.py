"""Where the pictures and labels of a grid stand on a page, in pixels from the upper left.

The first axis goes across, the second down; a third gives one block below the other. Both the
matplotlib figure and the full-resolution sheet draw what is said here.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sdnb.grid.axes import Axis

if TYPE_CHECKING:
    from PIL import ImageFont

LEADING = 1.25  # a line's height, in font sizes
_LINES = 8  # of a label; more end in an ellipsis
_WORDY = ("prompt", "negative", "prompt_sr", "image", "mask", "model")  # labels that need no name


@dataclass(frozen=True)
class Box:
    """A place on the page."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Label:
    """Lines of text, centred in a box (`left`: from its left edge)."""

    box: Box
    lines: tuple[str, ...]
    left: bool = False


@dataclass(frozen=True)
class Page:
    """A whole grid on a page."""

    width: int
    height: int
    font: int  # size in pixels
    labels: tuple[Label, ...]
    cells: tuple[tuple[tuple[int, ...], Box], ...]  # index of the cell, and its place


def page(axes: Sequence[Axis], size: tuple[int, int], font: int) -> Page:
    """The page of a grid whose cells are `size` (width, height) pixels large."""
    across, *more = axes
    down = more[0] if more else None
    width, height = size
    gap = max(4, font // 2)
    labels: list[Label] = []
    cells: list[tuple[tuple[int, ...], Box]] = []
    heads = [wrapped(text, width, font) for text in texts(across)]
    head = round(max(map(len, heads)) * font * LEADING) + gap
    sides = [wrapped(text, max(width, 10 * font), font) for text in texts(down)] if down else []
    side = max((_extent(line, font) for lines in sides for line in lines), default=-gap) + 2 * gap
    rows = len(down) if down else 1
    high = height
    if sides:
        high = max(height, *(round(len(lines) * font * LEADING) for lines in sides))
    whole = side + len(across) * (width + gap)
    y = gap
    for block in texts(more[1]) if len(more) > 1 else [""]:
        number = len(cells) // (len(across) * rows)
        if block:
            lines = wrapped(block, whole - 2 * gap, font)
            tall = round(len(lines) * font * LEADING) + gap
            labels.append(Label(Box(gap, y, whole - 2 * gap, tall), lines, left=True))
            y += tall
        for column, lines in enumerate(heads):
            labels.append(Label(Box(side + column * (width + gap), y, width, head), lines))
        y += head
        for row, column in itertools.product(range(rows), range(len(across))):
            place = Box(side + column * (width + gap), y + row * (high + gap), width, height)
            cells.append(((column, row, number)[: len(axes)], place))
        for row, lines in enumerate(sides):
            box = Box(gap, y + row * (high + gap), side - 2 * gap, height)
            labels.append(Label(box, lines))
        y += rows * (high + gap)
    return Page(whole, y, font, tuple(labels), tuple(cells))


def texts(axis: Axis) -> list[str]:
    """What stands beside an axis' cells: the value, with a name where the value says little."""
    if axis.name in _WORDY:
        return list(axis.labels)
    return [f"{axis.title} {label}" for label in axis.labels]


def wrapped(text: str, width: int, font: int) -> tuple[str, ...]:
    """The text in lines of at most `width` pixels, broken between words where that is possible."""
    lines: list[str] = []
    line = ""
    for word in text.split() or [""]:
        joined = f"{line} {word}" if line else word
        if _extent(joined, font) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        while _extent(word, font) > width and len(word) > 1:  # longer than a line by itself
            kept = next(
                (n for n in range(len(word) - 1, 1, -1) if _extent(word[:n], font) <= width), 1
            )
            lines.append(word[:kept])
            word = word[kept:]
        line = word
    lines.append(line)
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], lines[_LINES - 1][:-1] + "…"]
    return tuple(lines)


def _extent(text: str, font: int) -> int:
    return round(typeface(font).getlength(text))


@cache
def typeface(size: int) -> ImageFont.FreeTypeFont:
    """matplotlib's own font, which is there on every machine and knows many scripts."""
    import matplotlib as mpl
    from PIL import ImageFont

    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
