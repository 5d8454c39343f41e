"""Axes of a grid: what varies, its values, and how a value changes a request.

Any field of `Request` can vary (`prompt=sdnb.every("a {red|blue} cat")`: all of a template), and
more: `prompt_sr` (search and replace in the prompts), `weight` (of one block of the prompt), `lora`
(one LoRA over its strengths; with `lora2` and `lora3` for others), `control_scale` and its like (of
one control), `model` and `memory`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from sdnb import images
from sdnb.assets import user_path
from sdnb.grid import control_axis, lora_axis
from sdnb.request import RANGES, Request, checks, control, lora, png_header, prompt, record

_NO_AXES = ("count", "digests", *record.TEMPLATES.values())
_FIELD_NAMES = tuple(item.name for item in fields(Request) if item.name not in _NO_AXES)
_MORE_NAMES = ("prompt_sr", "weight", *lora_axis.NAMES, *control_axis.FIELDS, "model", "memory")
NAMES = (*_FIELD_NAMES, *_MORE_NAMES)

_PICTURES = {"image": images.picture, "mask": images.mask}
_SEVERAL: dict[str, Callable[[Any], Any]] = {"loras": lora.loras, "controls": control.controls}
_IN_WORDS: dict[str, tuple[Callable[[Any], str], str]] = {
    "loras": (lora.in_words, "no LoRA"), "controls": (control.in_words, "no control"),
}  # fmt: skip
# Fields that have no effect without another field.
_NEEDS = {
    "strength": "image", "mask": "image", "invert": "mask", "feather": "mask", "content": "mask",
    "padding": "mask", "fit": "image",
}  # fmt: skip
MAX_VALUES = 1000  # of one axis


@dataclass(frozen=True)
class Axis:
    """One thing that varies. `Grid.at` and the frame name a cell by its `values`."""

    name: str
    values: tuple[Any, ...]
    labels: tuple[str, ...]  # one for each value, no two equal
    of: str = ""  # prompt_sr: the text to replace; weight: the block; lora, control: its name
    template: str = ""  # of prompts that are all that it can become

    @property
    def title(self) -> str:
        """The name of the axis in figures."""
        if self.name in lora_axis.NAMES:
            return Path(self.of).name.removesuffix(".safetensors")
        if self.name in control_axis.FIELDS and self.of:
            return f"{control_axis.FIELDS[self.name]} of {Path(self.of).stem}"
        return {
            "prompt_sr": f"{self.of} →",
            "weight": f"weight of “{self.of}”",
            "cfg": "CFG",
            "cfg_rescale": "CFG rescale",
            "cfg_start": "CFG from",
            "cfg_end": "CFG until",
            "cfg_every": "CFG every",
        }.get(self.name, self.name.replace("_", " "))

    def __len__(self) -> int:
        return len(self.values)

    def place(self, value: Any) -> int:
        """The index of a value or of a label. Raises KeyError that lists the labels."""
        if self.name in _SEVERAL and value not in self.labels:
            value = _SEVERAL[self.name](value)
        for index, (known, label) in enumerate(zip(self.values, self.labels, strict=True)):
            if _equal(known, value) or (isinstance(value, str) and value == label):
                return index
        raise KeyError(
            f"{self.name}={checks.shown(value)} is no cell; {', '.join(self.labels)} are"
        )

    def part(self, kept: Sequence[int]) -> Axis:
        """The same axis with some of its values."""
        values, labels = (tuple(some[i] for i in kept) for some in (self.values, self.labels))
        return replace(self, values=values, labels=labels)

    def applied(self, request: Request, index: int) -> Request:
        """The request with this value, but for those of a control, which gets all at once. Raises
        ValueError or TypeError where that is not valid.
        """
        value = self.values[index]
        if self.name == "prompt_sr":
            return _with_text_replaced(request, self.of, value)
        if self.name == "weight":
            return _with_block_weight(request, self.of, value)
        if self.name in lora_axis.NAMES:
            return lora_axis.with_strength(request, self.of, value)
        if self.name in _FIELD_NAMES:
            needed = _NEEDS.get(self.name)
            if needed is not None and getattr(request, needed) is None:
                raise ValueError(f"{self.name} changes nothing without {needed}=: give one")
            of = {record.TEMPLATES[self.name]: self.template} if self.template else {}
            return request.but(**{self.name: value}, **of)
        return request


def make_axes(given: dict[str, Any]) -> tuple[Axis, ...]:
    """The one to three axes of `sweep(base, **given)`. Raises ValueError or TypeError."""
    for name in given:
        if name == "count":
            raise TypeError(
                "a cell of a grid is one picture, so count cannot vary; vary the seed: seed=[1, 2]"
            )
        if name not in NAMES:
            raise TypeError(f"a grid has no axis {checks.shown(name)}; {checks.known(name, NAMES)}")
    if not 1 <= len(given) <= 3:
        names = f" ({', '.join(given)})" if given else ""
        raise ValueError(
            f"a grid has one to three axes, and {len(given)} were given{names}, "
            "as in sweep(base, steps=[10, 20], cfg=[4, 7.5])"
        )
    axes = tuple(_axis(name, values) for name, values in given.items())
    lora_axis.refuse_one_twice([(a.name, a.of) for a in axes if a.name in lora_axis.NAMES])
    return axes


def _axis(name: str, given: Any) -> Axis:
    of = ""
    if name == "weight":
        of, given = _block_and_weights(given)
    if name in lora_axis.NAMES:
        of, given = lora_axis.name_and_strengths(name, given)
    if name in control_axis.FIELDS:
        of, given = control_axis.net_and_values(given)
    values = _listed(name, given, of)
    if name == "prompt_sr":
        of = checks.text(name, values[0])
        if not of:
            raise ValueError("prompt_sr begins with an empty text; begin with one of the prompt's")
    normalised = [_value(name, value) for value in values]
    for index, value in enumerate(normalised):
        if any(_equal(value, earlier) for earlier in normalised[:index]):
            raise ValueError(f"{name} holds {checks.shown(values[index])} twice; leave one out")
    labels = [_label(name, *pair) for pair in zip(values, normalised, strict=True)]
    if len(set(labels)) < len(labels):  # two files of one name, for instance
        labels = [f"{number}: {label}" for number, label in enumerate(labels, 1)]
    template = (
        given.template if isinstance(given, prompt.Every) and name in record.TEMPLATES else ""
    )
    return Axis(name, tuple(normalised), tuple(labels), of, template)


def _listed(name: str, given: Any, of: str) -> list[Any]:
    if isinstance(given, (str, bytes, os.PathLike)) or not isinstance(given, Iterable):
        before, after = (f"({checks.shown(of)}, ", ")") if of else ("", "")
        raise TypeError(
            f"{name}={before}{checks.shown(given)}{after} is one value; an axis is a list of them: "
            f"{name}={before}[{checks.shown(given)}, ...]{after}"
        )
    values = list(given)
    if not 1 <= len(values) <= MAX_VALUES:
        raise ValueError(f"{name} holds {len(values)} values; 1 to {MAX_VALUES} are expected")
    return values


def _block_and_weights(given: Any) -> tuple[str, Any]:
    example = 'weight=("fog", [0, 0.5, 1])'
    if not isinstance(given, (tuple, list)) or len(given) != 2 or not isinstance(given[0], str):
        raise TypeError(
            f"weight={checks.shown(given)} is no block of the prompt with its weights, as in "
            f"{example}"
        )
    block = given[0].strip()
    if not block:
        raise ValueError(f"weight names an empty block; name one of the prompt's, as in {example}")
    return block, given[1]


def _value(name: str, value: Any) -> Any:
    """The value as a Request normalises it. Raises TypeError or ValueError."""
    if name in _PICTURES:
        return None if value is None and name == "mask" else _PICTURES[name](value)
    if name == "prompt_sr":
        return checks.text(name, value)
    if name in control_axis.FIELDS:
        return control_axis.value(name, value)
    if name == "weight" or name in lora_axis.NAMES:
        return checks.number(name, value, -1e6, 1e6)
    if name == "model":
        if value is not None and not isinstance(value, (str, os.PathLike)):
            raise TypeError(
                f"model={checks.shown(value)}: an axis of models holds paths and hub ids (and None "
                "for the built-in model), because each is loaded when its turn comes"
            )
        return None if value is None else os.fspath(value)
    if name == "memory":
        return value  # a name or a MemoryPlan, checked before the first cell runs
    if value is None and name in RANGES and name not in ("padding", "clip_skip"):
        raise ValueError(f"{name} holds None: each value of this axis is a number")
    if name in _SEVERAL:  # a control may follow the base's picture
        return _SEVERAL[name](value)
    return getattr(Request(**{name: value}), name)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, bytes) or isinstance(other, bytes) or one is None or other is None:
        return one is other or (type(one) is type(other) and bool(one == other))
    try:
        return bool(one == other)
    except (TypeError, ValueError):  # an array, for instance, which no axis holds
        return False


def _label(name: str, given: Any, value: Any) -> str:
    if value is None:
        words = {"mask": "none", "model": "built-in", "padding": "the whole picture"}
        words["control_hint"] = "the picture"
        return words.get(name, "the model's")
    if isinstance(value, bytes):
        is_path = isinstance(given, (str, os.PathLike))
        return Path(given).name if is_path else "x".join(map(str, png_header.size(value)))
    if name == "model":
        with suppress(ValueError, OSError):  # a hub id, a path of too many letters, a NUL
            path = user_path(value)
            return path.name if path.exists() else value
        return str(value)
    if name in _SEVERAL:
        in_words, without = _IN_WORDS[name]
        return in_words(value) if value else without
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str):
        return value or "(empty)"
    return str(getattr(value, "name", value))


def _with_text_replaced(request: Request, search: str, text: str) -> Request:
    if search not in request.prompt and search not in request.negative:
        raise ValueError(
            f"prompt_sr searches {checks.shown(search)}, which is neither in the prompt "
            f"{checks.shown(request.prompt)} nor in the negative one"
        )
    return request.but(
        prompt=request.prompt.replace(search, text), negative=request.negative.replace(search, text)
    )


def _with_block_weight(request: Request, block: str, weight: float) -> Request:
    if request.syntax != "blocks":
        raise ValueError(
            f"weight varies a weight block, and syntax={request.syntax!r} has none: vary the text "
            "with prompt_sr, as in prompt_sr=('(castle:1.2)', ['(castle:0.8)', '(castle:1.4)'])"
        )
    for name in ("prompt", "negative"):
        words = getattr(request, name)
        fragments = prompt.parse(words)
        matches = [f for f in fragments if f.text.strip() == block] or [
            f for f in fragments if block in f.text
        ]
        if len(matches) > 1:
            raise ValueError(
                f"weight: {len(matches)} blocks of the {name} hold {checks.shown(block)}; name one "
                "whole: " + ", ".join(checks.shown(f.text.strip()) for f in matches)
            )
        if matches and len(fragments) < 2:
            raise ValueError(
                f"weight: {checks.shown(block)} is the only block of the {name}, so its weight "
                f"changes nothing; add another one, as in {words.strip() + ':1 a castle:1'!r}"
            )
        if matches:
            return request.but(**{name: _with_weight(words, matches[0], weight)})
    blocks = ", ".join(checks.shown(f.text.strip()) for f in prompt.parse(request.prompt))
    raise ValueError(f"weight: the prompt has no block {checks.shown(block)}; it has {blocks}")


def _with_weight(words: str, block: prompt.Fragment, weight: float) -> str:
    """The prompt with another weight for this block, and no other character changed."""
    text = prompt.escaped(block.text.rstrip())
    space = " " if text[-1:].isdecimal() else ""  # "agent 007:2" is read as text
    after = words[block.end :]
    number = repr(int(weight) if weight.is_integer() else weight)
    return f"{words[: block.start]}{text}{space}:{number}{' ' if after else ''}{after}"
