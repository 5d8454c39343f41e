"""The progress bar of a grid (tqdm): cells done, time left, in a notebook the newest picture."""

from __future__ import annotations

import html
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any

from PIL import Image
from tqdm.auto import tqdm

from sdnb.grid.run_account import GridProgress
from sdnb.images.result import put_away
from sdnb.request.plain_words import counted

_THUMBNAIL = 160  # pixels
_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


def with_bar(steps: Iterable[GridProgress]) -> Iterator[GridProgress]:
    """Yield `steps` and show a bar. It counts work and not cells, so that the time left is about
    right: a cell of 40 steps counts as four of 10.
    """
    steps = iter(steps)
    first = next(steps)
    picture = _NewestPicture() if _in_notebook() else None
    with tqdm(
        total=1.0,
        initial=first.share,
        desc=_cells_done(first),
        bar_format=_FORMAT,
        dynamic_ncols=True,
    ) as bar:
        try:
            yield (progress := first)
            for progress in steps:
                bar.set_description_str(_cells_done(progress), refresh=False)
                if progress.cell is not None:
                    bar.set_postfix_str(progress.cell.label, refresh=False)
                bar.update(max(0.0, progress.share - bar.n))
                if picture is not None and progress.made is not None and progress.cell is not None:
                    picture.show(progress.made.image, progress.cell.label)
                yield progress
            if progress.share >= 1:
                put_away(bar)
        finally:
            if picture is not None:
                picture.remove()


def _cells_done(progress: GridProgress) -> str:
    return f"{progress.done} of {counted(progress.total, 'cell')}"


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class _NewestPicture:
    """An output of a notebook cell that shows the newest picture."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._handle: Any = display(HTML(""), display_id=True)

    def show(self, image: Image.Image, label: str) -> None:
        image.thumbnail((_THUMBNAIL, _THUMBNAIL))
        buffer = BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=85)
        data = b64encode(buffer.getvalue()).decode()
        caption = html.escape(label)
        self._handle.update(
            self._html(
                f'<img src="data:image/jpeg;base64,{data}" alt="{caption}"><div>{caption}</div>'
            )
        )

    def remove(self) -> None:
        self._handle.update(self._html(""))
