"""The prompts that a model encoded lately: a grid asks for the same words in each cell, a panel at
each click.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

#: 118 KB a chunk in half precision.
MOST_PROMPTS = 64
#: Of a prompt and its notes together: a longer one, pasted by mistake, is not kept.
MOST_LETTERS = 100_000


class PromptKey(NamedTuple):
    """All that a context depends on, besides the text encoder."""

    words: str
    syntax: str = "blocks"
    clip_skip: int = 1
    embeddings: tuple[str, ...] = ()  # of those that it names the sha256, and the LoRA


@dataclass(frozen=True)
class EncodedPrompt:
    """A prompt as the UNet attends to it, and what is to be said of it."""

    context: Tensor  # [1, 77 k, d], on the CPU
    notes: tuple[str, ...]
    #: Of AUTOMATIC1111's weights: the mean of each chunk before they multiplied it, and after.
    means: tuple[tuple[float, float], ...] = ()


class PromptCache:
    """Encoded prompts by what they depend on, the oldest first; the least recently used ones go."""

    def __init__(self) -> None:
        self._encoded: dict[PromptKey, EncodedPrompt] = {}

    def known(self, prompts: Mapping[PromptKey, object]) -> dict[PromptKey, EncodedPrompt]:
        """Those of these prompts that are here."""
        return {key: self._encoded[key] for key in prompts if key in self._encoded}

    def keep(self, encoded: Mapping[PromptKey, EncodedPrompt]) -> None:
        """Keep these as the newest."""
        for key, prompt in encoded.items():
            self._encoded.pop(key, None)
            if len(key.words) + sum(map(len, prompt.notes)) <= MOST_LETTERS:
                self._encoded[key] = prompt
        while len(self._encoded) > MOST_PROMPTS:
            del self._encoded[next(iter(self._encoded))]

    def clear(self) -> None:
        """Forget all."""
        self._encoded.clear()

    def __iter__(self) -> Iterator[PromptKey]:
        return iter(self._encoded)
