"""The bar of a grid (tqdm): cells done, time left, and in a notebook the picture that came last."""

from __future__ import annotations

import html
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any

from PIL import Image
from tqdm.auto import tqdm

from sdnb.grid.bookkeeping import Filling

_THUMBNAIL = 160  # pixels
_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


def metered(steps: Iterable[Filling]) -> Iterator[Filling]:
    """Pass `steps` on, showing how far they are. The bar goes by work, not by cells: one of 40
    steps counts for four of 10, so that the time left means something.
    """
    steps = iter(steps)
    first = next(steps)
    picture = _Picture() if _in_notebook() else None
    with tqdm(
        total=1.0, initial=first.share, desc=_cells(first), bar_format=_FORMAT, dynamic_ncols=True
    ) as meter:
        try:
            yield first
            for at in steps:
                meter.set_description_str(_cells(at), refresh=False)
                if at.cell is not None:
                    meter.set_postfix_str(at.cell.label, refresh=False)
                meter.update(max(0.0, at.share - meter.n))
                if picture is not None and at.made is not None and at.cell is not None:
                    picture.show(at.made.image, at.cell.label)
                yield at
        finally:
            if picture is not None:
                picture.remove()


def _cells(at: Filling) -> str:
    return f"{at.done}/{at.total} cells"


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class _Picture:
    """One output of a notebook cell that always shows the newest picture."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._handle: Any = display(HTML(""), display_id=True)

    def show(self, image: Image.Image, label: str) -> None:
        image.thumbnail((_THUMBNAIL, _THUMBNAIL))
        buffer = BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=85)
        data = b64encode(buffer.getvalue()).decode()
        said = html.escape(label)
        self._handle.update(
            self._html(f'<img src="data:image/jpeg;base64,{data}" alt="{said}"><div>{said}</div>')
        )

    def remove(self) -> None:
        self._handle.update(self._html(""))
