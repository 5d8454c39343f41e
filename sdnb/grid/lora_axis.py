"""Axes of a LoRA: one name over several strengths, wherever a request names it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sdnb.request import Request, checks, lora

#: The names of such axes: each is of another LoRA.
NAMES = ("lora", "lora2", "lora3")

_EXAMPLE = 'lora=("pixelart", [0, 0.5, 1])'
_SIDE_BY_SIDE = 'loras=["pixelart", "fog", ("pixelart", "fog")]'
_ENDING = re.compile(r"\.(safetensors|pt|ckpt)$")


def name_and_strengths(axis: str, given: Any) -> tuple[str, Any]:
    """The LoRA of an axis and its strengths, not yet checked. Raises TypeError for anything else
    than such a pair, and ValueError for an empty name.
    """
    pair = isinstance(given, (tuple, list)) and len(given) == 2 and isinstance(given[0], str)
    if not pair or isinstance(given[1], str):
        raise TypeError(
            f"{axis}={checks.shown(given)} is no LoRA with its strengths, as in {_EXAMPLE}; "
            f"LoRAs side by side are {_SIDE_BY_SIDE}"
        )
    return lora.Lora(given[0].strip()).name, given[1]


def refuse_one_twice(names: Sequence[tuple[str, str]]) -> None:
    """Raise ValueError where two axes, given as (axis, LoRA), are of the same LoRA."""
    for n, (axis, name) in enumerate(names):
        for earlier, other in names[:n]:
            if same(name, other):
                raise ValueError(
                    f"{earlier} and {axis} are both of the LoRA {checks.shown(name)}; give one "
                    "axis to each LoRA"
                )


def with_strength(request: Request, name: str, strength: float) -> Request:
    """The request with this LoRA at this strength, on the UNet and on the text encoder; at 0 it
    goes without. Where the request or a tag in its prompt names the LoRA already, that one's other
    fields stay, and its tags leave the prompt. Raises ValueError where the name means two of them.
    """
    words, tagged = lora.taken_out(request.prompt, lambda each: same(each.name, name))
    named = [*(each for each in request.loras if same(each.name, name)), *tagged]
    meant = dict.fromkeys(_without_ending(each.name) for each in named)
    if len([each for each in meant if "/" in each]) > 1:
        raise ValueError(
            f"the LoRA {checks.shown(name)} means {' and '.join(meant)} in this request; write "
            "the folder before its name"
        )
    first = named[0] if named else lora.Lora(name)
    wanted = replace(first, unet=strength, text=None)
    others = [each for each in request.loras if each not in named]
    at = request.loras.index(first) if first in request.loras else len(others)
    return request.but(
        prompt=words, loras=(*others[:at], *([wanted] if strength else []), *others[at:])
    )


def same(one: str, other: str) -> bool:
    """Whether two names mean one LoRA: the folders may stand before either, and its ending after
    it.
    """
    one, other = _without_ending(one), _without_ending(other)
    return one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")


def _without_ending(name: str) -> str:
    return _ENDING.sub("", name.replace("\\", "/"))
