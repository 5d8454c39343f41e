"""The prompts that a model encoded lately: a grid asks for the same words in each cell, a panel at
each click.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

#: 118 KB each in half precision.
MOST_PROMPTS = 64
#: Of a prompt and its notes together: a longer one, pasted by mistake, is not kept.
MOST_LETTERS = 100_000


@dataclass(frozen=True)
class EncodedPrompt:
    """A prompt as the UNet attends to it, and what is to be said of it."""

    context: Tensor  # [1, 77, d], on the CPU
    notes: tuple[str, ...]


class PromptCache:
    """Encoded prompts by their words, the oldest first; the least recently used ones go."""

    def __init__(self) -> None:
        self._encoded: dict[str, EncodedPrompt] = {}

    def known(self, prompts: Mapping[str, object]) -> dict[str, EncodedPrompt]:
        """Those of these prompts that are here."""
        return {words: self._encoded[words] for words in prompts if words in self._encoded}

    def keep(self, encoded: Mapping[str, EncodedPrompt]) -> None:
        """Keep these as the newest."""
        for words, prompt in encoded.items():
            self._encoded.pop(words, None)
            if len(words) + sum(map(len, prompt.notes)) <= MOST_LETTERS:
                self._encoded[words] = prompt
        while len(self._encoded) > MOST_PROMPTS:
            del self._encoded[next(iter(self._encoded))]

    def clear(self) -> None:
        """Forget all."""
        self._encoded.clear()

    def __iter__(self) -> Iterator[str]:
        return iter(self._encoded)
