"""Axes of a grid as they are typed: values with commas between, and ranges of numbers.

    5, 10, 20                these
    1-3                      1, 2, 3
    5-20 (+5)                by steps of 5: 5, 10, 15, 20; and 20-5 (-5) goes down
    1-10 [4] or [1:10:4]     four numbers, evenly spaced: 1, 4, 7, 10
    a dog, "a cat, small"    two texts: quotes hold a comma, and "" in them is a quote (as in CSV)
    a dog | a cat, small     the same: where there is a |, commas are text
    a {red|blue} cat         of prompts: all that a template can become

These are the forms of the X/Y/Z plot in AUTOMATIC1111's program. A range is computed in fractions,
so that 0.5-1 (+0.1) holds 0.6 and 1 themselves.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from sdnb.grid import control_axis
from sdnb.grid.axes import MAX_VALUES
from sdnb.request import RANGES, SAMPLERS, SCHEDULES, SYNTAXES, checks, prompt, record
from sdnb.request.lora import Lora

_TEXTS = "{} with commas: {}; in quotes where one has a comma itself"
_OF_ONE = "{} with commas, of several controls behind the net and a colon: {}"
#: Each axis that can be typed, and how.
HOW = {
    "steps": "numbers or ranges, with commas: 5, 10, 20 or 5-20 (+5) or 1-10 [4]",
    "cfg": "numbers or ranges, with commas: 2, 4, 8 or 2-8 (+1.5) or 1-10 [4]",
    "cfg_rescale": "numbers or ranges, with commas: 0, 0.5, 0.7 or 0-1 [5]",
    "cfg_start": "numbers or ranges, with commas: 0, 0.1, 0.2 or 0-0.5 [6]",
    "cfg_end": "numbers or ranges, with commas: 0.5, 0.8, 1 or 0.5-1 [6]",
    "cfg_every": "numbers or ranges, with commas: 1, 2 or 1-4",
    "deep_every": "numbers or ranges, with commas: 1, 2, 3 or 1-5",
    "token_merging": "numbers or ranges, with commas: 0, 0.3, 0.5 or 0-0.75 [4]",
    "sampler": "names with commas: " + ", ".join(SAMPLERS[:3]),
    "schedule": "names with commas: " + ", ".join(SCHEDULES[:2]),
    "seed": "numbers or ranges, with commas: 1, 2, 3 or 1-8",
    "eta": "numbers or ranges, with commas: 0, 0.5, 1 or 0-1 [5]",
    "strength": "numbers or ranges, with commas: 0.4, 0.6, 0.8 or 0.4-0.8 (+0.1)",
    "width": "numbers or ranges, with commas: 256, 320 or 256-512 (+64)",
    "height": "numbers or ranges, with commas: 256, 320 or 256-512 (+64)",
    "feather": "numbers or ranges, with commas: 0, 8, 16 or 0-32 (+8)",
    "prompt": _TEXTS.format("prompts", 'a cat, a {red|blue} dog, "a cow, at night"'),
    "negative": _TEXTS.format("prompts", 'blurred, "dark, grey"'),
    "prompt_sr": _TEXTS.format("the words to replace, then others,", 'cat, dog, "fox, at night"'),
    "clip_skip": "numbers or ranges, with commas: 1, 2 or 1-4",
    "syntax": "names with commas: " + ", ".join(SYNTAXES),
    "lora": "its name, a colon, strengths: pixelart: 0, 0.5, 1 or pixelart: 0-1 (+0.25)",
    "loras": "names with commas, + between what goes together: none, pixelart, pixelart + fog:0.5",
    "weight": "a block of the prompt, a colon, weights: fog: 0, 0.5, 1 or fog: 0-2 (+0.5)",
    "control_scale": _OF_ONE.format("numbers or ranges", "0, 0.5, 1 or 0-1 [5] or canny: 0, 1"),
    "control_start": _OF_ONE.format("numbers or ranges", "0, 0.3 or 0-0.6 [4] or canny: 0, 0.3"),
    "control_end": _OF_ONE.format("numbers or ranges", "0.5, 1 or 0.4-1 [4] or canny: 0.5, 1"),
    "control_net": _OF_ONE.format("names or paths", "canny, softedge or canny: canny, lineart"),
    "control_hint": _OF_ONE.format("picture files", "a.png, b.png or canny: a.png, b.png"),
}
_LABELS = {
    "prompt_sr": "words replaced", "weight": "weight of a block", "cfg": "CFG",
    "cfg_rescale": "CFG rescale", "cfg_start": "CFG from", "cfg_end": "CFG until",
    "cfg_every": "CFG every", "deep_every": "deep every", "token_merging": "token merging",
    "clip_skip": "clip skip",
    "lora": "strength of a LoRA",
    "loras": "LoRAs side by side", "control_scale": "scale of a control",
    "control_start": "start of a control", "control_end": "end of a control",
    "control_net": "net of a control", "control_hint": "picture of a control",
}  # fmt: skip
_OF_WORDS = (*record.TEMPLATES, "prompt_sr")
# Letters that stand for braces while a text is parted: of the private ones, which no text has.
_FIRST, _MOST_BRACES = 0xE000, 1000
_HELD = re.compile(f"[{chr(_FIRST)}-{chr(_FIRST + _MOST_BRACES)}]")
_WHOLE = ("steps", "seed", "width", "height", "clip_skip", "cfg_every", "deep_every")

_NUMBER = r"[+-]?(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})"
_RANGE = re.compile(
    rf"({_NUMBER})\s*[-–]\s*({_NUMBER})\s*(?:\(\s*({_NUMBER})\s*\)|\[\s*(\d{{1,9}})\s*\])?"
)
_COLONS = re.compile(rf"\[\s*({_NUMBER})\s*:\s*({_NUMBER})\s*:\s*(\d{{1,9}})\s*\]")
# The last colon that is not in brackets: [0:1:3] is a range.
_NAMED = re.compile(r"(.*):((?:[^:\[\]]|\[[^\]]*\])*)", re.DOTALL)
_NAMED_TEXTS = re.compile(r"([^\",|:]*):\s(.*)", re.DOTALL)  # a path has no space behind its colon
_WITH_STRENGTH = re.compile(rf"(.*):\s*({_NUMBER})", re.DOTALL)
_QUOTED = r'"((?:[^"]|"")*)"'


def label(name: str) -> str:
    """The name of an axis in lists and errors."""
    return _LABELS.get(name, name)


def parsed(name: str, text: str, wildcards: Any = None) -> Any:
    """The values of an axis from its text, as `sweep` takes them; `wildcards` as in `prompt.every`.
    Raises ValueError that says how they are typed.
    """
    if not text.strip():
        raise ValueError(f"{label(name)} has no values; type {HOW[name]}")
    if name in ("weight", "lora"):
        match = _NAMED.fullmatch(text)
        if match is None:
            given = checks.shown(text.strip())
            raise ValueError(
                f"{label(name)}: {given} has no colon behind the name; type {HOW[name]}"
            )
        return match[1].strip(), _numbers(name, match[2])
    if name in control_axis.FIELDS:
        return _of_control(name, text)
    if name == "loras":
        return [_loras(each) for each in _texts(name, text)]
    if name in RANGES:
        return _numbers(name, text)
    return _words(name, text, wildcards) if name in _OF_WORDS else _texts(name, text)


def _words(name: str, text: str, wildcards: Any) -> Any:
    """Texts, with all that a template among them can become; what is in braces is not parted."""
    marked, braces = text, list[str]()
    if not _HELD.search(text):
        marked = _in_braces(text, braces)
    values = [
        _HELD.sub(lambda match: braces[ord(match[0]) - _FIRST], each)
        for each in _texts(name, marked)
    ]
    searched = 1 if name == "prompt_sr" else 0
    all_ = [prompt.every(each, wildcards, most=MAX_VALUES) for each in values[searched:]]
    if len(all_) == 1 and all_[0].template and not searched:
        return all_[0]  # it says of what
    return [*values[:searched], *(prompt.literal(each) for several in all_ for each in several)]


def _in_braces(text: str, held: list[str]) -> str:
    """The text with one letter for each pair of braces with all in it, which goes into `held`."""
    kept: list[str] = []
    depth, begin = 0, 0
    for token in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        if token[0] == "{":
            if not depth:
                kept.append(text[begin : token.start()])
                begin = token.start()
            depth += 1
        elif token[0] == "}" and depth:
            depth -= 1
            if not depth:
                kept.append(chr(_FIRST + len(held)))
                held.append(text[begin : token.end()])
                begin = token.end()
        if len(held) == _MOST_BRACES:
            break
    return "".join([*kept, text[begin:]])


def _texts(name: str, text: str) -> list[str]:
    """The texts of a line of CSV; empty ones that have no quotes are left out."""
    between = "|" if "|" in re.sub(_QUOTED, "", text) else ","
    value = re.compile(rf'\s*(?:{_QUOTED}\s*|([^\s"{between}][^{between}]*)?)(?:[{between}]|$)')
    values, at = [], 0
    while at < len(text):
        match = value.match(text, at)
        if match is None:
            raise ValueError(
                f"{label(name)}: in {checks.shown(text[at:].strip())} a quote is not closed, or "
                f"not around a whole value; type {HOW[name]}"
            )
        quoted, plain = match.groups()
        if quoted is not None:
            values.append(quoted.replace('""', '"'))
        elif plain is not None:
            values.append(plain.strip())
        at = match.end()
    return values


def _of_control(name: str, text: str) -> Any:
    """The values of an axis of a control, with the net of that control where one is named."""
    texts = name in ("control_net", "control_hint")
    match = (_NAMED_TEXTS if texts else _NAMED).fullmatch(text)
    net, rest = (match[1].strip(), match[2]) if match else ("", text)
    values: list[Any] = list(_texts(name, rest) if texts else _numbers(name, rest))
    return (net, values) if net else values


def _loras(text: str) -> tuple[Lora, ...]:
    """LoRAs with + between, each with its strength behind a colon, or 1; "none" is none."""
    if text.strip() in ("", "none"):
        return ()
    several = []
    for part in text.split("+"):
        match = _WITH_STRENGTH.fullmatch(part.strip())
        name, strength = match.groups() if match else (part.strip(), "1")
        several.append(Lora(name.strip(), float(strength)))
    return tuple(several)


def _numbers(name: str, text: str) -> list[float]:
    kind = int if name in _WHOLE else float
    numbers: list[float] = []
    for part in filter(None, map(str.strip, text.split(","))):
        match = _RANGE.fullmatch(_COLONS.sub(r"\1-\2 [\3]", part))
        try:
            numbers += _range(match, kind) if match else [kind(part)]
        except ValueError as error:
            whole = "whole " if kind is int else ""
            why = str(error) if match else f"is no {whole}number and no range"
            raise ValueError(
                f"{label(name)}: {checks.shown(part)} {why}; type {HOW[name]}"
            ) from None
    return numbers


def _range(match: re.Match[str], kind: type[int | float]) -> list[float]:
    """The numbers of a range, with a step or as a count of evenly spaced ones. Raises ValueError
    with the end of a sentence about it.
    """
    low, high, by, spaced = match.groups()
    start, end = Fraction(low), Fraction(high)
    if spaced is None:
        step = Fraction(by or (1 if start <= end else -1))
        if not step or (end - start) / step < 0:
            raise ValueError(f"never gets from {low} to {high} by steps of {by}")
        count = int((end - start) / step) + 1
    else:
        count = int(spaced)
        if count < 1 or (count == 1) != (start == end):
            raise ValueError(f"with a count of {count} does not get from {low} to {high}")
        step = (end - start) / max(count - 1, 1)
    if count > MAX_VALUES:
        raise ValueError(f"has {count} values, and an axis has {MAX_VALUES} at most")
    exact = [start + step * i for i in range(count)]
    if kind is float:
        return [float(number) for number in exact]
    if any(number.denominator > 1 for number in (exact if spaced is None else (start, end))):
        raise ValueError("holds what is no whole number")
    numbers: list[float] = [int(number) for number in exact]  # evenly spaced ones are rounded down
    if len(set(numbers)) < count:
        raise ValueError(f"has fewer than {count} different whole numbers")
    return numbers
