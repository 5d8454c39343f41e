"""What a run gives back: pictures, the request that made them, and what is to say about it."""

from __future__ import annotations

import html
from base64 import b64encode
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from sdnb.images import png as files

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from sdnb.request.request import Request


@dataclass(frozen=True, repr=False)
class Result:
    """Pictures and how they came about. As the last line of a cell it shows itself."""

    images: tuple[Image.Image, ...]  # RGB; image i is the image of seed + i
    request: Request  # resolved: nothing left open
    model: str
    fingerprint: str
    seconds: float
    peak: float  # GB: reserved on a card, resident memory of the process on a CPU
    notes: tuple[str, ...] = ()  # what was done instead of, or to, what was given
    memory: str = ""  # the name of the plan that was used
    expected: float | None = None  # GB: the predicted peak, where there was a prediction
    #: The finished latents `[4, h/8, w/8]`, float32 on the CPU: `sdnb.decode` takes them again.
    latents: tuple[Tensor, ...] = field(default=(), compare=False)

    @property
    def image(self) -> Image.Image:
        """The first picture."""
        return self.images[0]

    def save(self, folder: str | Path, name: str | None = None) -> list[Path]:
        """One PNG a picture, with the request inside; see `sdnb.images.save`. A `folder` such as
        "cat.png" is the file's name.
        """
        return files.save(self, folder, name)

    def __repr__(self) -> str:
        r, n = self.request, len(self.images)
        size = "x".join(map(str, self.image.size))
        return (
            f"Result({n} picture{'s' if n > 1 else ''} {size}, {r.steps} steps of {r.sampler}, "
            f"cfg {r.cfg:g}, seed {r.seed}, {self.seconds:.1f} s, peak {self.peak:.2f} GB)"
        )

    def _repr_html_(self) -> str:
        buffer = BytesIO()
        sheet = files.sheet(list(self.images))
        sheet.save(buffer, "PNG")
        data = b64encode(buffer.getvalue()).decode()
        said = "".join(f"<div>&#9432; {html.escape(note)}</div>" for note in self.notes)
        alt = html.escape(self.request.prompt, quote=True)
        return (
            f'<img src="data:image/png;base64,{data}" alt="{alt}" width="{sheet.width}" '
            'style="max-width:100%;height:auto">'
            f'<div style="font-size:smaller;opacity:.8">{html.escape(repr(self))}{said}</div>'
        )
