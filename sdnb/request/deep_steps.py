"""At which steps of a run the UNet is computed as a whole, and at which its outer blocks alone.

The shortcut `deep_every` of a `Request`: deep in the UNet little changes from step to step, so what
enters its last blocks is kept at every Nth step, and used again in between. Source:
DeepCache, Ma et al. 2023, section 3.3 (uniform), https://arxiv.org/abs/2312.00858. A sampler's step
with two calls of the denoiser has both alike.

A step is whole, too, where nothing that was kept fits: none of its texts, or of other words, or too
old, or under a control network, which changes the deep blocks as well.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

#: What a pass of the UNet computes: all; all, and keeps what enters the last blocks; or the outer
#: blocks alone, with what was kept.
WHOLE, KEEPS, SHALLOW = "whole", "keeps", "shallow"
#: What a shallow pass takes, in shares of a whole one, for the time that is foretold: the built-in
#: model's at 256x256 on a CPU.
SHALLOW_SHARE = 0.12


@dataclass(frozen=True)
class StepTexts:
    """What a step reads: whether all texts that guide the run or the prompt alone, their words at
    each call of the denoiser, and whether a control network works at it.
    """

    all_texts: bool
    words: Sequence[Hashable] = (0,)
    controlled: bool = False


def depths(every: int, steps: Sequence[StepTexts]) -> tuple[str, ...]:
    """What each step of a run computes; all are `WHOLE` where none would be shallow."""
    kept: dict[bool, tuple[int, Hashable]] = {}  # step and words, by whether of all texts
    found = []
    for step, read in enumerate(steps):
        at, words = kept.get(read.all_texts, (step - every, None))
        is_shallow = (
            step - at < every and all(w == words for w in read.words) and not read.controlled
        )
        found.append(SHALLOW if is_shallow else KEEPS)
        if read.controlled:
            kept = {}
        elif not is_shallow:
            kept[False] = step, read.words[-1]
            if read.all_texts:
                kept[True] = kept[False]
    return tuple(found) if SHALLOW in found else (WHOLE,) * len(found)
