"""Parsing weight blocks: "picture of:1 small:0.5 cat" is three blocks, each with a weight.

A block ends at a colon, directly followed by its weight: a finite number, then whitespace or the
end of the text. Text after the last weight is a block of weight 1. Each block is encoded alone, and
the encodings are averaged by weight / sum of weights (`normalised` says what happens where weights
below zero cancel the others). The syntax is that of CompVis' descendants
(`split_weighted_subprompts`), but no text is ever lost and nothing is guessed:

* `12:30`, `16:9`, `note: text`, `a:1, b`, `(cat:1.2)` and `<lora:fur:0.8>` stay text, and `traps`
  reports them;
* `\\:` is a colon of the text;
* inf, nan and weights that sum to zero raise a `PromptError` with their position.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from sdnb.request import checks
from sdnb.request.prompt.values import Fragment, PromptError, Trap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_COLON = re.compile(r"\\:|:")
_WEIGHT = re.compile(rf":({_NUMBER}|[+-]?(?:inf|infinity|nan))(?=\s|\Z)", re.IGNORECASE)
_ALMOST_WEIGHT = re.compile(rf":({_NUMBER})")
_DECIMAL_COMMA = re.compile(r":[+-]?[0-9]+,[0-9]+")
_WORD = re.compile(r":[^\s:]*")
# How other programs name a file of weights in a prompt: "<lora:fur:0.8>", "embedding:hands".
_FILE = re.compile(
    rf"<(?:lora|lyco|hypernet)(?::(?!{_NUMBER}\s)[^<>:]*)+>|\bembedding:[^\W\d][^\s:,]*",
    re.IGNORECASE,
)
#: What AUTOMATIC1111 alone reads.
A1111 = re.compile(r"\bBREAK\b|\bAND\b|\[[^\[\]]*[:|][^\[\]]*\]|\[\[?[^\[\]:|]+\]")
_MARK = re.compile(rf"{A1111.pattern}|\(\([^()]+\)\)")  # with a weight, the colon is found
_SPACES = re.compile(r"\s*")

_ZERO = 1e-6  # a sum of weights below this part of their absolute sum counts as zero
#: The least sum of weights to divide by, as a part of the sum of their sizes. At a quarter the
#: shares are 2.5 and -1.5 at the most; near zero they would be noise.
LEAST_SUM = 0.25
#: Below that sum, the least that negative shares sum to.
LEAST_SHARES = -2.0


def parse(text: str) -> list[Fragment]:
    """The blocks of a prompt. An empty prompt is one empty block.

    Raises PromptError for a weight that is not finite and for weights that sum to zero.
    """
    fragments = []
    begin = 0
    for colon, weight in _colons(text):
        if weight is not None:
            end = _end_of_spaces(text, weight.end())
            block = text[begin : colon.start()]
            fragments.append(Fragment(_unescaped(block), _value(weight), begin, end))
            begin = end
    if begin < len(text) or not fragments:
        fragments.append(Fragment(_unescaped(text[begin:]), 1.0, begin, len(text)))
    normalised(fragments)
    return fragments


def normalised(fragments: Sequence[Fragment]) -> list[float]:
    """The share of each block, with the sign of its weight: weight / sum of weights. A single block
    has 1, unless its weight is below zero.

    Where the sum is less than `LEAST_SUM` of the weights' sizes, that would be noise, or turn the
    signs round. There the positive shares sum to 1, and the negative ones to `LEAST_SHARES` or
    more; what all of them lack of 1 is the empty prompt's.

    Raises PromptError for weights that are not finite or that sum to zero.
    """
    for fragment in fragments:
        if not math.isfinite(fragment.weight):
            raise PromptError(
                f"the weight {fragment.weight} of {checks.shown(fragment.text)} is not finite",
                fragment.start,
                fragment.end,
            )
    if not fragments or (len(fragments) == 1 and fragments[0].weight >= 0):
        return [1.0 for _ in fragments]
    # Scale by a power of two, which is exact, so that the sum cannot overflow.
    exponent = math.frexp(max(abs(fragment.weight) for fragment in fragments))[1]
    weights = [math.ldexp(fragment.weight, -exponent) for fragment in fragments]
    total = math.fsum(weights)
    sizes = math.fsum(map(abs, weights))
    if abs(total) <= _ZERO * sizes:
        start, end = fragments[0].start, fragments[-1].end
        shown = ", ".join(f"{fragment.weight:g}" for fragment in fragments[:8])
        raise PromptError(
            f"the weights {shown}{', ...' if len(fragments) > 8 else ''} of characters {start} to "
            f"{end} sum to zero, and an average needs another sum: change one of them (text "
            "without a weight has 1), or put what is to stay away into the negative prompt",
            start,
            end,
        )
    if total < LEAST_SUM * sizes:
        positive = math.fsum(weight for weight in weights if weight > 0)
        total = max(positive, (total - positive) / LEAST_SHARES)
    return [weight / total for weight in weights]


def traps(text: str) -> list[Trap]:
    """The colons that stayed text but may have been meant as weights, in order; the name of a file
    with its colons is one. And the first mark of AUTOMATIC1111's that is no colon.
    """
    colons = list(_colons(text))
    found: list[Trap] = []
    files = [_named(file) for file in _FILE.finditer(text)]
    named = {at: trap for trap in files for at in range(trap.start, trap.end)}
    for colon, weight in colons:
        if weight is None and colon.group() == ":":
            trap = named.get(colon.start()) or _trap(text, colon.start())
            found += [trap] if trap not in found[-1:] else []
    mark = _MARK.search(text)
    if mark is not None:
        message = (
            f"{checks.shown(mark[0])} at character {mark.start()} stays text: AUTOMATIC1111's "
            "syntax, 'a1111', reads it"
        )
        found.append(Trap(*mark.span(), message))
    return sorted(found, key=lambda trap: trap.start)


def escaped(text: str) -> str:
    """The text with `\\:` for each colon, so that `parse` reads it as one block."""
    return text.replace(":", "\\:")


def _colons(text: str) -> Iterator[tuple[re.Match[str], re.Match[str] | None]]:
    """Each colon, escaped or not, with the match of its weight or None."""
    first = _end_of_spaces(text, 0)  # where the text of the current block begins
    for colon in _COLON.finditer(text):
        start = colon.start()
        weight = None
        if colon.group() == ":" and start > first and not text[start - 1].isdecimal():
            weight = _WEIGHT.match(text, start)
        if weight is not None:
            first = _end_of_spaces(text, weight.end())
        yield colon, weight


def _value(weight: re.Match[str]) -> float:
    value = float(weight[1])
    if not math.isfinite(value):
        raise PromptError(
            f"the weight {checks.shown(weight[0])} at character {weight.start()} is not a finite "
            "number; write another number, or \\: where a colon of the text is meant",
            weight.start(),
            weight.end(),
        )
    return value


def _named(file: re.Match[str]) -> Trap:
    name = file[0].partition(":")[2]
    if not file[0].startswith("<"):
        why = (
            f"ComfyUI names an embedding so; write {checks.bare(name)}, or take its syntax, 'comfy'"
        )
    elif not name.strip(":> "):
        why = "it names no LoRA, as <lora:name:0.8> does; take it out"
    elif file[0].startswith("<hypernet"):
        why = "hypernetworks are not read; take it out"
    else:
        why = (
            "a LoRA is named by <lora:name:0.8> in the prompt, not in the negative one; take it out"
        )
    return Trap(
        *file.span(), f"{checks.shown(file[0])} at character {file.start()} stays text: {why}"
    )


def _trap(text: str, start: int) -> Trap:
    word = _WORD.match(text, start)
    end = word.end() if word else start + 1
    number = _ALMOST_WEIGHT.match(text, start)
    after = text[number.end() : number.end() + 1] if number else ""
    if not number:
        why = (
            ", because no number follows the colon directly; for a weight write one there, as in "
            "':0.5 '"
        )
    elif after == ")":
        why = (
            ": that is how AUTOMATIC1111 writes a weight; here it is "
            f"{text[max(0, text.rfind('(', 0, start) + 1) : start] + number[0]!r} and a space, "
            "without brackets, or take that syntax, 'a1111'"
        )
    elif after.strip():
        decimal = _DECIMAL_COMMA.match(text, start)
        better = decimal[0].replace(",", ".") if decimal else number[0]
        why = (
            f", because {after!r} follows the number; a weight ends with a space, and its decimal "
            f"sign is a point: {better + ' '!r}"
        )
    elif start and text[start - 1].isdecimal():
        why = (
            ", because a digit stands before the colon (as in 12:30); for a weight put a space "
            f"before it: {' ' + number[0]!r}"
        )
    else:
        why = ", because there is no text before it that it could weigh; write the text first"
    message = f"{checks.shown(text[start:end])} at character {start} stays text{why}"
    return Trap(start, end, f"{message}; write \\: for a colon that is text")


def _unescaped(block: str) -> str:
    return block.replace("\\:", ":")


def _end_of_spaces(text: str, position: int) -> int:
    spaces = _SPACES.match(text, position)
    return spaces.end() if spaces else position
