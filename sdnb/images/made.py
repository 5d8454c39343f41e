"""`Made`: finished pictures as PNG bytes. A grid keeps hundreds, a worker sends one back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sdnb.images import saving
from sdnb.images.result import Result
from sdnb.request import picture_input

if TYPE_CHECKING:
    from PIL import Image

    from sdnb.images.used_files import UsedFile
    from sdnb.request import Request
    from sdnb.request.lora import Lora


# The fields of a `Result` that a `Made` has too.
_SHARED = (
    "request", "model", "fingerprint", "seconds", "peak", "notes", "loras", "files", "requests",
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    """Pictures as PNGs that carry their requests, and how they were made."""

    pngs: tuple[bytes, ...]
    request: Request  # resolved: nothing left open
    model: str
    fingerprint: str
    steps: int  # the steps that ran: fewer than asked for where strength is below 1
    seconds: float  # of cells that were made in one pass, an equal part each
    peak: float  # GB, as in Result
    notes: tuple[str, ...] = ()
    loras: tuple[Lora, ...] = ()
    files: tuple[UsedFile, ...] = ()
    requests: tuple[Request, ...] = ()  # as in Result
    path: Path | None = None  # the file in a grid's store, where there is one

    @classmethod
    def of(cls, result: Result, steps: int) -> Made:
        """Encode the pictures of a result."""
        pngs = tuple(saving.encoded(result, index) for index in range(len(result.images)))
        return cls(pngs=pngs, steps=steps, **{name: getattr(result, name) for name in _SHARED})

    @property
    def png(self) -> bytes:
        """The first picture as a PNG. A cell of a grid has only this one."""
        return self.pngs[0]

    @property
    def image(self) -> Image.Image:
        """The first picture, decoded at each call: hundreds of decoded ones fill the memory."""
        return picture_input.open(self.png)

    def result(self) -> Result:
        """The same as a `Result`, for a gallery or to save it elsewhere."""
        images = tuple(picture_input.open(png) for png in self.pngs)
        return Result(images=images, **{name: getattr(self, name) for name in _SHARED})
