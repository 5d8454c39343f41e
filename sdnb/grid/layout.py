"""The layout of a grid on a page: boxes of pictures and labels, in pixels from the upper left.

The first axis goes across, the second down, and the third gives blocks one below the other. The
matplotlib figure and the full-resolution sheet both draw this layout.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sdnb.grid import lettering
from sdnb.grid.axes import Axis

_LEADING = 1.25  # the height of a line, in font sizes
_MAX_LINES = 8  # of a label; more end in an ellipsis
# Axes whose labels need no name before them.
_NAMELESS = ("prompt", "negative", "prompt_sr", "image", "mask", "model", "loras", "controls")


@dataclass(frozen=True)
class Box:
    """A rectangle on the page."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Label:
    """Lines of text, centred in a box; with `left`, aligned to its left edge."""

    box: Box
    lines: tuple[str, ...]
    left: bool = False

    def placed(self, font: int) -> Iterator[tuple[int, int, str]]:
        """Each line with its place: x of its left end and y of its letters' feet. Both are whole
        pixels, since between two pixels letters are blurred.
        """
        box, height = self.box, line_height(font)
        y = box.y + (box.height - height * len(self.lines)) // 2 + lettering.baseline(font, height)
        for number, line in enumerate(self.lines):
            indent = 0 if self.left else (box.width - lettering.width(line, font)) // 2
            yield box.x + indent, y + number * height, line


@dataclass(frozen=True)
class Page:
    """A whole grid on a page."""

    width: int
    height: int

    labels: tuple[Label, ...]
    cells: tuple[tuple[tuple[int, ...], Box], ...]  # index and box of each cell


def line_height(font: int) -> int:
    """The pixels from one line of text to the next."""
    return round(font * _LEADING)


def page(axes: Sequence[Axis], size: tuple[int, int], font: int) -> Page:
    """The page of a grid whose cells are `size` (width, height) pixels large."""
    across, *more = axes
    down = more[0] if more else None
    width, height = size
    gap = max(4, font // 2)
    labels: list[Label] = []
    cells: list[tuple[tuple[int, ...], Box]] = []
    head_lines = [wrapped(text, width, font) for text in texts(across)]
    head_height = max(map(len, head_lines)) * line_height(font) + gap
    side_texts = texts(down) if down else []
    side_lines = [wrapped(text, max(width, 10 * font), font) for text in side_texts]
    widths = [lettering.width(line, font) for lines in side_lines for line in lines]
    side_width = max(widths, default=-gap) + 2 * gap
    rows = len(down) if down else 1
    row_height = max([height, *(len(lines) * line_height(font) for lines in side_lines)])
    page_width = side_width + len(across) * (width + gap)
    y = gap
    for block in texts(more[1]) if len(more) > 1 else [""]:
        number = len(cells) // (len(across) * rows)
        if block:
            lines = wrapped(block, page_width - 2 * gap, font)
            block_height = len(lines) * line_height(font) + gap
            labels.append(Label(Box(gap, y, page_width - 2 * gap, block_height), lines, left=True))
            y += block_height
        for column, lines in enumerate(head_lines):
            box = Box(side_width + column * (width + gap), y, width, head_height)
            labels.append(Label(box, lines))
        y += head_height
        for row, column in itertools.product(range(rows), range(len(across))):
            left, top = side_width + column * (width + gap), y + row * (row_height + gap)
            index = (column, row, number)[: len(axes)]
            cells.append((index, Box(left, top, width, height)))
        for row, lines in enumerate(side_lines):
            box = Box(gap, y + row * (row_height + gap), side_width - 2 * gap, height)
            labels.append(Label(box, lines))
        y += rows * (row_height + gap)
    return Page(page_width, y, tuple(labels), tuple(cells))


def texts(axis: Axis) -> list[str]:
    """The labels of an axis, with its name where the value alone says little, and numbered where
    letters that no font has would make two of them one.
    """
    before = "" if axis.name in _NAMELESS else f"{axis.title} "
    labels = axis.labels
    if len({lettering.shown(label) for label in labels}) < len(labels):
        labels = tuple(f"{number}: {label}" for number, label in enumerate(labels, 1))
    return [before + label for label in labels]


def wrapped(text: str, width: int, font: int) -> tuple[str, ...]:
    """The text in lines of at most `width` pixels, broken between words where that is possible.
    More than eight lines end in an ellipsis.
    """
    most = (_MAX_LINES + 1) * (1 + 5 * max(width, 1) // font)  # letters: the thinnest are 1/4 wide
    lines: list[str] = []
    line = ""
    for word in lettering.shown(text[:most]).split() or [""]:
        joined = f"{line} {word}" if line else word
        if lettering.width(joined, font) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        while len(lines) <= _MAX_LINES and lettering.width(word, font) > width and len(word) > 1:
            kept = _fitting(word, width, font)
            lines.append(word[:kept])
            word = word[kept:]
        line = word
        if len(lines) > _MAX_LINES:
            break
    lines.append(line)
    if len(lines) > _MAX_LINES or len(text) > most:
        lines = lines[:_MAX_LINES]
        lines[-1] = lines[-1][:-1] + "…"
    return tuple(lines)


def _fitting(word: str, width: int, font: int) -> int:
    """How many of a word's letters fit into a line, at least one; found by halving."""
    low, high = 1, len(word) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if lettering.width(word[:middle], font) <= width:
            low = middle
        else:
            high = middle - 1
    return low
