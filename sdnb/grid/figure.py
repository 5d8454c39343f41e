"""A grid as a matplotlib figure: pictures on whole pixels, with labels on two sides.

A picture is resized once, by Lanczos, and drawn pixel for pixel. SVG and PDF keep all pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from sdnb.grid import lettering
from sdnb.grid.axes import Axis
from sdnb.grid.layout import Label, page, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
_FONT = 13  # pixels
_FONT_POINTS = _FONT * 72 / DPI
_FIGURE_WIDTH = 1300  # pixels, about the width of a notebook
_MIN_CELL_WIDTH = 96  # pixels: in a smaller picture little is seen

# From the index of a cell to its picture, or to words that tell why it has none.
PictureOrWhy = Callable[[tuple[int, ...]], "Image.Image | str"]


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """A figure of width x height inches, which a notebook shows as the value of a cell. It is made
    without pyplot, which would show it twice and never free it. None of its texts is mathematics.
    """
    from matplotlib import figure

    class Figure(figure.Figure):
        def draw(self, renderer: Any) -> None:
            as_written(self)
            super().draw(renderer)

        def _repr_png_(self) -> bytes:
            buffer = BytesIO()
            self.savefig(buffer, format="png", dpi=self.dpi)
            return buffer.getvalue()

    return Figure(figsize=(width, height), **options)


def as_written(figure: Figure) -> None:
    """Switch mathematics and TeX off in all texts of a figure, those of ticks included, and name
    the fonts that have their letters.
    """
    from matplotlib.text import Text

    for axes in figure.axes:  # ticks are made when they are asked for
        axes.get_xticklabels(), axes.get_yticklabels()
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_usetex(False)
        own = text.get_fontfamily()
        text.set_fontfamily(list(dict.fromkeys([*own, *lettering.families([text.get_text()])])))


def figure(
    axes: Sequence[Axis],
    picture_of: PictureOrWhy,
    size: tuple[int, int],
    width: int | None,
    whole: bool = False,
) -> Figure:
    """The grid as a figure. `size` is that of the largest picture; cells are `width` pixels wide.

    `whole` keeps every pixel of the pictures, for formats that can be enlarged. Raises ValueError
    for a width out of range.
    """
    cell_size = _cell_size(size, len(axes[0]), width)
    layout = page(axes, cell_size, _FONT)
    result = new_figure(layout.width / DPI, layout.height / DPI, dpi=DPI)
    result.suppressComposite = True  # else SVG and PDF merge all pictures into one
    plot = result.add_axes((0, 0, 1, 1))
    plot.set_axis_off()
    # A notebook crops a figure to what is drawn: without a background, also between pixels.
    _fill(plot, (0, layout.width, layout.height, 0), "white", zorder=-1)
    for index, box in layout.cells:
        picture = picture_of(index)
        edges = (box.x, box.x + box.width, box.y + box.height, box.y)
        if isinstance(picture, str):
            _fill(plot, edges, "0.93", edgecolor="none")
            _draw_label(plot, Label(box, wrapped(picture, box.width - 8, _FONT)), "0.35")
            continue
        place = _centred(picture.size, edges, cell_size[0] / size[0])
        pixels = picture.convert("RGB")
        if not whole:
            shown = (place[1] - place[0], place[2] - place[3])
            if shown != pixels.size:
                pixels = pixels.resize(shown, Image.Resampling.LANCZOS)
        plot.imshow(np.asarray(pixels), extent=place, interpolation="none", aspect="auto")
    plot.set(xlim=(0, layout.width), ylim=(layout.height, 0))  # here, because imshow changes them
    for label in layout.labels:
        _draw_label(plot, label)
    as_written(result)
    return result


def _cell_size(size: tuple[int, int], columns: int, width: int | None) -> tuple[int, int]:
    """The size of a cell in the figure, in pixels."""
    if width is None:
        width = min(size[0], max(_MIN_CELL_WIDTH, _FIGURE_WIDTH // columns - _FONT))
    elif not isinstance(width, int) or not 16 <= width <= 8192:
        raise ValueError(f"width={width!r}: a cell is from 16 to 8192 pixels wide")
    return width, max(1, round(width * size[1] / size[0]))


def _centred(
    picture: tuple[int, int], edges: tuple[int, int, int, int], scale: float
) -> tuple[int, int, int, int]:
    """Left, right, bottom and top of a picture centred in its cell, on whole pixels."""
    left, right, bottom, top = edges
    width, height = (max(1, round(side * scale)) for side in picture)
    x, y = left + (right - left - width) // 2, top + (bottom - top - height) // 2
    return x, x + width, y + height, y


def _fill(plot: Axes, edges: tuple[int, int, int, int], colour: str, **style: Any) -> None:
    from matplotlib.patches import Rectangle

    left, right, bottom, top = edges
    plot.add_patch(Rectangle((left, top), right - left, bottom - top, facecolor=colour, **style))


def _draw_label(plot: Axes, label: Label, colour: str = "black") -> None:
    """Each line is a text of its own: matplotlib puts the lines of one text between two pixels."""
    for x, y, line in label.placed(_FONT):
        plot.text(x, y, line, fontsize=_FONT_POINTS, color=colour, family="DejaVu Sans", ha="left",
                  va="baseline")  # fmt: skip
