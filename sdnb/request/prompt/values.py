"""What a prompt becomes in any syntax: runs of text with weights, parts, what may be a mistake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

#: Brackets in brackets: more are a mistake, and would cost a stack of calls.
MOST_BRACKETS = 100


@dataclass(frozen=True)
class Fragment:
    """A run of text with one weight: in "blocks" a block, elsewhere words between two weights.

    `text` has no brackets, weights and escapes left. `start` and `end` span all that belongs to it
    in the text that was parsed: the spans of all fragments together are that whole text. With
    `breaks` it has no words, and only ends a chunk of tokens.
    """

    text: str
    weight: float
    start: int
    end: int
    breaks: bool = False


@dataclass(frozen=True)
class PromptPart:
    """One of the texts that AND joins, in characters `start` to `end` of the prompt; most prompts
    are one part of weight 1.

    `stages` are its words over a run, as (last step, text), the steps from 1 on; `at` looks one up.
    """

    weight: float
    start: int
    end: int
    stages: tuple[tuple[int, str], ...]

    def at(self, call: int) -> str:
        """The words for a call of the denoiser, the first of which is 0. AUTOMATIC1111 compares
        that with steps that begin at 1, so that its first stage lasts a call longer.
        """
        return next((text for until, text in self.stages if call <= until), self.stages[-1][1])


@dataclass(frozen=True)
class Trap:
    """Text that may mean something else than was meant, with a message that says what it means."""

    start: int
    end: int
    message: str


class PromptError(ValueError):
    """An invalid weight or brackets, at characters `start` to `end` (exclusive) of the prompt."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message, start, end)  # all arguments, because pickle needs them
        self.start, self.end = start, end

    def __str__(self) -> str:
        return str(self.args[0])


def joined(fragments: Sequence[Fragment], length: int) -> list[Fragment]:
    """The fragments, each spanning as far as the next one begins, all of a text of `length`
    characters together; one empty fragment for none.
    """
    if not fragments:
        return [Fragment("", 1.0, 0, length)]
    starts = [0, *(fragment.start for fragment in fragments[1:]), length]
    return [
        replace(fragment, start=start, end=end)
        for fragment, start, end in zip(fragments, starts, starts[1:], strict=False)
    ]


def too_deep(at: int) -> PromptError:
    """The error for a bracket at character `at` with too many around it."""
    return PromptError(
        f"the bracket at character {at} stands in {MOST_BRACKETS} others; take some of them away, "
        "or write \\( and \\) for brackets that are text",
        at,
        at + 1,
    )
