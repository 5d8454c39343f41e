"""What the results of a run say of it, beside their pictures.

A run of several pictures tells of those that are finished before the others are made, so it asks
for its results more than once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from sdnb.engine.model import Model
from sdnb.images.result import Result
from sdnb.images.used_files import UsedFile
from sdnb.request import Resolved
from sdnb.request.lora import Lora

if TYPE_CHECKING:
    from PIL import Image

_COMPANY = "Made in one pass with {} others: alone it is the same but for rounding."


@dataclass(frozen=True)
class Account:
    """What a run knows of its results beside their pictures."""

    model: Model
    requests: Sequence[Resolved]
    together: bool  # whether they are several, one picture each, made in one pass
    expected: float | None  # GB
    before: Sequence[str]  # notes on all
    own: Sequence[Sequence[str]]  # notes on each request
    loras: tuple[Lora, ...]
    files: Sequence[tuple[UsedFile, ...]]  # of each request

    def results(
        self, pictures: Sequence[Image.Image], latents: Sequence[Tensor], seconds: float,
        gb: float, notes: Sequence[str],
    ) -> tuple[Result, ...]:  # fmt: skip
        """One for each request made together, or one of the pictures that there are, with their
        latents `[4, h/8, w/8]`. `seconds` and the peak in `gb` are of the run so far, `notes` are
        on all.
        """
        model, requests = self.model, self.requests
        company = [_COMPANY.format(len(requests) - 1)] if self.together else []
        seconds /= len(requests)
        results = []
        for i, (request, own) in enumerate(zip(requests, self.own, strict=True)):
            part = slice(i, i + 1) if self.together else slice(None)
            results.append(
                Result(
                    tuple(pictures[part]), request.but(count=len(pictures[part])), model.name,
                    model.fingerprint, seconds, gb, (*self.before, *own, *notes, *company),
                    model.memory.name, self.expected, tuple(latents[part]), self.loras,
                    self.files[i],
                )
            )  # fmt: skip
        return tuple(results)
