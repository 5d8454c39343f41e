"""Contexts over the steps of a run: what the UNet attends to, call by call.

Most prompts are one context for all steps. Prompts with a schedule are several, and pictures that
are made in one pass may change theirs at different steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: The longest context, in chunks, that texts of several lengths are repeated to: 6 chunks and 5 and
#: 4 fit, which are 450 tokens.
MOST_CHUNKS = 60


@dataclass(frozen=True)
class Text:
    """A text of one request over a run: contexts `[1, m, d]` with the last call of each, which the
    first call, 0, begins.
    """

    stages: Sequence[tuple[int, Tensor]]

    def at(self, call: int) -> Tensor:
        """The context of a call."""
        return next((c for until, c in self.stages if call <= until), self.stages[-1][1])


@dataclass(frozen=True)
class Contexts:
    """What the pictures of one pass attend to. `sets` are the distinct ones: in each, a context
    `[b, m, d]` for each text, where m is one for all sets but may be another for another text.
    `stages` are the last call of each stage and which set it has.
    """

    sets: Sequence[Sequence[Tensor]]
    stages: Sequence[tuple[int, int]]

    def at(self, call: int) -> int:
        """Which set a call has."""
        return next((i for until, i in self.stages if call <= until), self.stages[-1][1])

    @property
    def texts(self) -> int:
        return len(self.sets[0])


def of_pass(pictures: Sequence[Sequence[Text]]) -> Contexts:
    """The contexts of pictures with equally many texts each. Raises ValueError for lengths that
    have no common multiple of a bearable length.
    """
    by_text = list(zip(*pictures, strict=True))
    ends = sorted({end for texts in by_text for text in texts for end, _ in text.stages})
    # Lengths are made equal within a text, over its pictures and stages: they are what one graph
    # and one batch are for.
    equal = [
        dict(zip(map(id, found), same_length(found), strict=True))
        for texts in by_text
        for found in [[context for text in texts for _, context in text.stages]]
    ]
    sets: dict[tuple[int, ...], list[Tensor]] = {}
    stages = []
    for end in ends:
        now = [[text.at(end) for text in texts] for texts in by_text]
        key = tuple(id(context) for row in now for context in row)
        if key not in sets:
            sets[key] = [
                torch.cat([same[id(context)] for context in row])
                for same, row in zip(equal, now, strict=True)
            ]
        stages.append((end, list(sets).index(key)))
    return Contexts(list(sets.values()), stages)


def same_length(contexts: Sequence[Tensor]) -> list[Tensor]:
    """The contexts `[b, m, d]`, repeated to the least common multiple of their lengths: attention
    over a text twice is that over it once.
    """
    lengths = {context.shape[1] for context in contexts}
    common = math.lcm(*lengths)
    if len(lengths) > 1 and common > MOST_CHUNKS * math.gcd(*lengths):
        chunks = sorted(length // math.gcd(*lengths) for length in lengths)
        raise ValueError(
            f"prompts of {', '.join(map(str, chunks))} chunks of 75 tokens have no common multiple "
            f"up to {MOST_CHUNKS}, to which the shorter ones are repeated: shorten one of them, or "
            "run them alone"
        )
    return [context.repeat(1, common // context.shape[1], 1) for context in contexts]


def of_words(tensors: Sequence[Tensor], *, together: bool) -> list[Tensor]:
    """Of keys and values of two texts, group by group, those of the second."""
    if together:
        return [each[len(each) // 2 :] for each in tensors]
    return list(tensors[len(tensors) // 2 :])
