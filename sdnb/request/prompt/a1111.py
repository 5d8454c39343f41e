"""AUTOMATIC1111's prompts: weights in brackets, BREAK, and AND. `schedules` reads its editing.

    (words) weighs them by 1.1, [words] by 1/1.1, (words:1.3) by 1.3; in one another they multiply
    BREAK ends a chunk of tokens; AND joins prompts, each with a weight at its end; # is a comment
    \\( \\) \\[ \\] \\\\ are text

These are the rules of `modules/prompt_parser.py` of its versions 1.8 to 1.10, corner cases too:
what does not close acts to the end, and a number at the very end weighs the whole part.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import replace

from sdnb.request import checks
from sdnb.request.prompt import schedules
from sdnb.request.prompt.values import (
    MOST_BRACKETS,
    Fragment,
    PromptError,
    PromptPart,
    Trap,
    joined,
    too_deep,
)

_COMMENT = re.compile(r"#[^\n]*")
_AND = re.compile(r"\bAND\b")
_PART_WEIGHT = re.compile(r"\s*([-+]?(?:\d+\.?|\d*\.\d+))\s*")
_TOKEN = re.compile(
    r"\\(?P<escaped>[()\[\]\\]?)|(?P<open>[(\[])|:\s*(?P<weight>[+-]?[.\d]+)\s*\)|(?P<close>[)\]])"
    r"|[^\\()\[\]:]+|:"
)
_BREAK = re.compile(r"\bBREAK\b")
# Words that come with a step: [dog:1.3] looks like a weight.
_LATE = re.compile(r"\[([^\[\]:|]+):\s*([0-9]*\.[0-9]+|[0-9]+)\s*\]")
_ROUND, _SQUARE = 1.1, 1 / 1.1


def parts(text: str, calls: int, *, negative: bool = False) -> list[PromptPart]:
    """The texts that AND joins, for `calls` calls of the denoiser. In a negative prompt AND is
    text. Raises PromptError for a weight that is not finite, and brackets a hundred deep.
    """
    plain = _without_comments(text)
    ends = [] if negative else [match.span() for match in _AND.finditer(plain)]
    ends.append((len(plain), len(plain)))
    found, begin = [], 0
    for end, then in ends:
        words, weight = plain[begin:end], 1.0
        if not negative:
            words, weight = _weighted(words, begin)
        stages = schedules.stages(words, calls)
        found.append(PromptPart(weight, begin, then, stages))
        begin = then
    return found


def parse(text: str) -> list[Fragment]:
    """The runs of one text of `parts`, adjacent ones of one weight joined. Raises as `parts`."""
    runs = _merged(_runs(_without_comments(text)))
    return joined([_break(run) if _is_break(run) else run for run in runs], len(text))


def traps(text: str, calls: int, *, negative: bool = False) -> list[Trap]:
    """What is lost or acts on more than it seems to: comments, a weight of the whole prompt, words
    that come with a step that is never reached.
    """
    found = [
        Trap(*match.span(), f"{checks.shown(match[0])} is a comment, and left out")
        for match in _COMMENT.finditer(text)
    ]
    several = parts(text, calls, negative=negative)
    if len(several) == 1 and several[0].weight != 1:
        start = _without_comments(text).rfind(":")
        number = f"{several[0].weight:g}"
        found.append(
            Trap(
                start,
                len(text),
                f"{checks.shown(text[start:].strip())} at the end weighs the whole prompt: cfg "
                f"times {number}; for a weight of some words write (words:{number})",
            )
        )
    for match in _LATE.finditer(text):
        step = float(match[2]) * (calls if "." in match[2] else 1)
        if step >= calls:
            what = checks.shown(match[1])
            words = f"{checks.shown(match[0])} adds {what} after step {step:g} of {calls}, never"
            found.append(Trap(*match.span(), f"{words}; a weight is ({match[1]}:{match[2]})"))
    return found


def _without_comments(text: str) -> str:
    """The text with spaces for each comment, so that all positions stay."""
    return _COMMENT.sub(lambda match: " " * len(match[0]), text)


def _weighted(words: str, begin: int) -> tuple[str, float]:
    """A part's words, and the weight at its end."""
    colon = words.rfind(":")
    number = _PART_WEIGHT.fullmatch(words, colon + 1) if colon >= 0 else None
    if number is None:
        return words.rstrip(), 1.0
    return words[:colon].rstrip(), _value(number[1], begin + colon, begin + len(words))


def _runs(text: str) -> list[Fragment]:
    """The runs as they are written, BREAK a run of weight -1 as there."""
    runs: list[Fragment] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}  # the first run in each open bracket
    begin: int | None = None  # where the brackets before the next run begin
    for token in _TOKEN.finditer(text):
        at, weight = token.start(), token["weight"]
        if token["open"]:
            if sum(map(len, opened.values())) >= MOST_BRACKETS:
                raise too_deep(at)
            opened[token["open"]].append(len(runs))
            begin = at if begin is None else begin
        elif weight is not None and opened["("]:
            _multiply(runs, opened["("].pop(), _value(weight, at, token.end()))
            begin = None
        elif token["close"] == ")" and opened["("]:
            _multiply(runs, opened["("].pop(), _ROUND)
            begin = None
        elif token["close"] == "]" and opened["["]:
            _multiply(runs, opened["["].pop(), _SQUARE)
            begin = None
        else:
            words = token[0] if token["escaped"] is None else token["escaped"]
            if token["escaped"] is None:
                runs += _split_at_breaks(words, at, at if begin is None else begin)
            else:
                runs.append(Fragment(words, 1.0, at if begin is None else begin, at))
            begin = None
    for bracket, factor in (("(", _ROUND), ("[", _SQUARE)):
        for first in opened[bracket]:
            _multiply(runs, first, factor)
    return runs


def _split_at_breaks(words: str, at: int, begin: int) -> Iterator[Fragment]:
    """The words between BREAKs, without the white space around those."""
    last, found = 0, list(_BREAK.finditer(words))
    for match in found:
        before = words[last : match.start()]
        yield Fragment((before.lstrip() if last else before).rstrip(), 1.0, begin, at)
        yield Fragment("BREAK", -1.0, at + match.start(), at)
        last, begin = match.end(), at + match.end()
    yield Fragment(words[last:].lstrip() if found else words, 1.0, begin, at)


def _multiply(runs: list[Fragment], first: int, factor: float) -> None:
    for i in range(first, len(runs)):
        runs[i] = replace(runs[i], weight=runs[i].weight * factor)


def _merged(runs: list[Fragment]) -> list[Fragment]:
    """Neighbours of one weight as one run."""
    groups = (list(group) for _, group in itertools.groupby(runs, lambda run: run.weight))
    return [replace(group[0], text="".join(run.text for run in group)) for group in groups]


def _is_break(run: Fragment) -> bool:
    return run.text == "BREAK" and run.weight == -1


def _break(run: Fragment) -> Fragment:
    return replace(run, text="", weight=1.0, breaks=True)


def _value(number: str, start: int, end: int) -> float:
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise PromptError(
            f"the weight {checks.shown(number)} at character {start} is not a finite number; write "
            "another one, or \\( and \\) for brackets that are text",
            start,
            end,
        )
    return value
