"""A contact sheet: several pictures side by side in one picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PIL import Image

from sdnb.request import checks

if TYPE_CHECKING:
    from collections.abc import Sequence

_GAP = 4  # pixels between the pictures


def sheet(images: Sequence[Image.Image], columns: int | None = None) -> Image.Image:
    """The pictures side by side on white, not resized. By default the sheet is about square."""
    if not images:
        raise ValueError("a sheet of no pictures: give at least one")
    count = len(images)
    if columns is None:
        columns = math.ceil(math.sqrt(count))
    columns = min(checks.whole("columns", columns, 1, 1000), count)
    rows = -(-count // columns)
    width, height = (max(image.size[axis] for image in images) for axis in (0, 1))
    size = (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP)
    page = Image.new("RGB", size, "white")
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        left = column * (width + _GAP) + (width - image.width) // 2
        top = row * (height + _GAP) + (height - image.height) // 2
        transparent = "A" in image.getbands()
        page.paste(image.convert("RGBA") if transparent else image, (left, top),
                   image.getchannel("A") if transparent else None)  # fmt: skip
    return page
