"""What passes of a run keep of the UNet's deep blocks: DeepCache, of `request.deep_steps`.

It belongs to one run whose weights are in place, and goes with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from sdnb.engine.stages.contexts import of_words
from sdnb.request.guidance_steps import WORDS


@dataclass(frozen=True)
class _Kept:
    """Deep features `[texts * b, c, h, w]` or, one after the other, `[b, c, h, w]` of each text."""

    features: list[Tensor]
    set_index: int  # of the contexts that they come of


class DeepCache:
    """The newest deep features of passes that read all texts, and of the prompt alone, which those
    of all texts serve as well. `together`: whether one pass reads several texts at once.
    """

    def __init__(self, *, together: bool) -> None:
        self._together = together
        self._kept: dict[bool, _Kept] = {}  # by whether they are of all texts

    def find(self, reads: str, set_index: int) -> list[Tensor] | None:
        """What a shallow pass needs that reads so, of this set of contexts; None: it cannot be."""
        kept = self._kept.get(reads != WORDS)
        halve = kept is None and reads == WORDS
        if halve:
            kept = self._kept.get(True)
        if kept is None or kept.set_index != set_index:
            return None
        return of_words(kept.features, together=self._together) if halve else kept.features

    def make_room(self, reads: str) -> None:
        """Forget what the next pass, which reads so and keeps, brings anew."""
        self._kept.pop(False, None)
        if reads != WORDS:
            self._kept.clear()

    def keep(self, reads: str, set_index: int, features: Sequence[Tensor]) -> None:
        """Have what a pass kept."""
        self.make_room(reads)
        self._kept[reads != WORDS] = _Kept(list(features), set_index)
