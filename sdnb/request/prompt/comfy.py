"""ComfyUI's prompts: `(words)` weighs them by 1.1, which multiplies; `(words:1.3)` by 1.3, whatever
stands around it. `\\(` and `\\)` are text, and so is all else: [words], BREAK, AND.

These are the rules of `comfy/sd1_clip.py`, in which what follows a stray `)` is text, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from sdnb.request import checks
from sdnb.request.prompt.values import (
    MOST_BRACKETS,
    Fragment,
    PromptError,
    Trap,
    joined,
    too_deep,
)

_ESCAPED = re.compile(r"\\([()])")
_BRACKET = re.compile(r"[()]")
_ELSEWHERE = re.compile(r"\bBREAK\b|\bAND\b|\[[^\[\]]*\]")


def parse(text: str) -> list[Fragment]:
    """The runs between brackets. Raises PromptError for a weight that is not finite, and brackets
    a hundred deep.
    """
    masked = _ESCAPED.sub("\0\0", text)
    return joined(list(_runs(masked, (0, len(text)), 1.0, (0, 0), text)), len(text))


def traps(text: str) -> list[Trap]:
    """What AUTOMATIC1111 would read and ComfyUI does not."""
    return [
        Trap(
            *match.span(),
            f"{checks.shown(match[0])} stays text in ComfyUI's syntax; AUTOMATIC1111's, 'a1111', "
            "reads it",
        )
        for match in _ELSEWHERE.finditer(text)
    ]


def _runs(
    masked: str, span: tuple[int, int], weight: float, around: tuple[int, int], text: str
) -> Iterator[Fragment]:
    """The runs of a span. `around` is where the brackets around it begin, and how many they are;
    `masked` is the text without escaped brackets.
    """
    begin, depth = around
    if depth > MOST_BRACKETS:
        raise too_deep(span[0])
    for start, end in _pieces(masked, *span):
        begin = start if start > span[0] else begin
        if end - start > 1 and masked[start] == "(" and masked[end - 1] == ")":
            inside, its = _inside(masked, start + 1, end - 1, weight)
            yield from _runs(masked, inside, its, (begin, depth + 1), text)
        else:
            yield Fragment(_ESCAPED.sub(r"\1", text[start:end]), weight, begin, end)


def _inside(masked: str, start: int, end: int, weight: float) -> tuple[tuple[int, int], float]:
    """What stands in a bracket, and its weight."""
    colon = masked.rfind(":", start, end)
    if colon <= start:
        return (start, end), weight * 1.1
    try:
        value = float(masked[colon + 1 : end])
    except ValueError:
        return (start, end), weight * 1.1
    if not math.isfinite(value):
        raise PromptError(
            f"the weight {checks.shown(masked[colon:end])} at character {colon} is not a finite "
            "number; write another one",
            colon,
            end,
        )
    return (start, colon), value


def _pieces(masked: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The outermost brackets of a span, and what is between them."""
    begin, nesting = start, 0
    for match in _BRACKET.finditer(masked, start, end):
        at = match.start()
        if match[0] == "(":
            if nesting == 0 and at > begin:
                yield begin, at
                begin = at
            nesting += 1
        else:
            nesting -= 1
            if nesting == 0:
                yield begin, at + 1
                begin = at + 1
    if begin < end:
        yield begin, end
