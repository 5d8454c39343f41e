"""`--control NET,image=FILE,scale=0.8`: one control of a request, with the field names of
`sdnb.Control`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from sdnb.request import checks
from sdnb.request.control import Control

EXAMPLE = "--control canny,image=photo.jpg,prepare=canny,scale=0.8"
#: What may stand behind the net's name.
FIELDS = tuple(item.name for item in fields(Control) if item.name != "net")
# A comma parts two fields where a word and "=" follow: other commas belong to a file's name.
_PARTS = re.compile(r",(?=\s*\w+\s*=)")


def control(text: str, *, follows: bool) -> Control:
    """The control that a flag's value means; with `follows`, there is a picture that one without an
    image follows. Raises ValueError that names the flag, and OSError for a file that cannot be
    read.
    """
    try:
        return _control(text, follows)
    except (ValueError, TypeError) as error:
        raise ValueError(f"--control {checks.bare(text)}: {error}") from None


def _control(text: str, follows: bool) -> Control:
    net, *parts = _PARTS.split(text)
    if not net.strip() or re.match(r"\s*\w+\s*=", net):
        raise ValueError(f"it begins with the net's name or path, as in {EXAMPLE}")
    given: dict[str, Any] = {}
    for part in parts:
        name, value = (half.strip() for half in part.split("=", 1))
        if name not in FIELDS:
            raise ValueError(
                f"there is no field {checks.shown(name)}; {checks.known(name, FIELDS)}"
            )
        if name in given:
            raise ValueError(f"{name}= is given twice; leave one out")
        given[name] = _READ[name](name, value) if name in _READ else value
    if "image" not in given and not follows:
        raise ValueError(f"it has no picture to follow: add image=FILE, as in {EXAMPLE}")
    return Control(net.strip(), **given)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name}={checks.bare(text)} is no number") from None


def _numbers(name: str, text: str) -> list[float]:
    return [_number(name, each) for each in text.split(",")]


_READ: dict[str, Callable[[str, str], Any]] = {
    "scale": _number, "start": _number, "end": _number, "values": _numbers,
}  # fmt: skip
