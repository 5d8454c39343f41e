"""A grid as one full-resolution picture: every pixel of every cell, with labels (Pillow)."""

from __future__ import annotations

from collections.abc import Sequence

import psutil
from PIL import Image, ImageDraw

from sdnb.grid import lettering
from sdnb.grid.axes import Axis
from sdnb.grid.figure import PictureOrWhy
from sdnb.grid.layout import Label, page, wrapped

_MB = 2**20


def sheet(axes: Sequence[Axis], picture_of: PictureOrWhy, size: tuple[int, int]) -> Image.Image:
    """The pictures pixel for pixel on white. `size` is that of the largest one. Raises ValueError,
    before anything is drawn, where the sheet does not fit into memory.
    """
    font = max(14, min(size) // 20)
    layout = page(axes, size, font)
    needed = layout.width * layout.height * 3 * 2  # bytes: the sheet, and as much to write it
    free = psutil.virtual_memory().available
    if needed > free // 2:
        raise ValueError(
            f"the full sheet would be {layout.width}x{layout.height} pixels and need "
            f"{needed // _MB} MB of memory, where {free // _MB} MB are free: save a part of the "
            "grid, grid.select(...).save(...), or a smaller one with full=False"
        )
    sheet_image = Image.new("RGB", (layout.width, layout.height), "white")
    draw = ImageDraw.Draw(sheet_image)
    for index, box in layout.cells:
        picture = picture_of(index)
        if isinstance(picture, str):
            corner = (box.x + box.width - 1, box.y + box.height - 1)
            draw.rectangle((box.x, box.y, *corner), fill=(237, 237, 237))
            lines = wrapped(picture, box.width - font, font)
            _draw_label(draw, Label(box, lines), font, (90, 90, 90))
            continue
        left = box.x + (box.width - picture.width) // 2
        sheet_image.paste(picture, (left, box.y + (box.height - picture.height) // 2))
    for label in layout.labels:
        _draw_label(draw, label, font, (0, 0, 0))
    return sheet_image


def _draw_label(
    draw: ImageDraw.ImageDraw, label: Label, font: int, colour: tuple[int, int, int]
) -> None:
    for x, y, line in label.placed(font):
        for part, face in lettering.runs(line, font):
            draw.text((x, y), part, colour, face, anchor="ls")
            x += round(face.getlength(part))
