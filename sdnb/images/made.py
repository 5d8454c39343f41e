"""Finished pictures as PNG bytes: what a grid keeps by the hundred and a worker sends back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sdnb.images import saving
from sdnb.images.result import Result
from sdnb.request import picture_input

if TYPE_CHECKING:
    from PIL import Image

    from sdnb.request.request import Request


@dataclass(frozen=True)
class Made:
    """Pictures as PNGs that carry their requests, and how they came about."""

    pngs: tuple[bytes, ...]
    request: Request  # resolved: nothing left open
    model: str
    fingerprint: str
    steps: int  # that ran: fewer than asked for where strength is below 1
    seconds: float  # its part, where several cells were made together
    peak: float  # GB, as in Result
    notes: tuple[str, ...] = ()
    path: Path | None = None  # of the only picture, in a grid's store

    @classmethod
    def of(cls, result: Result, steps: int) -> Made:
        """The pictures of a result, encoded."""
        return cls(
            tuple(saving.encoded(result, index) for index in range(len(result.images))),
            result.request,
            result.model,
            result.fingerprint,
            steps,
            result.seconds,
            result.peak,
            result.notes,
        )

    @property
    def png(self) -> bytes:
        """The first picture's PNG: the only one of a grid's cell."""
        return self.pngs[0]

    @property
    def image(self) -> Image.Image:
        """The first picture, decoded anew each time: a grid of them would fill the memory."""
        return picture_input.open(self.png)

    def result(self) -> Result:
        """As what `generate` gives: for a gallery, or to be saved elsewhere."""
        return Result(
            tuple(picture_input.open(png) for png in self.pngs),
            self.request,
            self.model,
            self.fingerprint,
            self.seconds,
            self.peak,
            self.notes,
        )
