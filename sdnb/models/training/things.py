"""Reads the two lists of words beside this file.

`things.txt` has ordinary things and the icons that show them:
`label; another word (colour): set/icon, set/icon`. A label that an emoji has adds drawings to it.
`everyday.txt` has people's own words for emoji: `label: word; word`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .icons import FAMILIES
from .phrases import COLORS

_HERE = Path(__file__).parent
_THING = re.compile(r"([^(:]+) \(([a-z ]+)\): (.+)")


@dataclass(frozen=True)
class Thing:
    """An ordinary thing, its usual colour and the icons that show it."""

    label: str
    aliases: tuple[str, ...]
    color: str
    icons: tuple[str, ...]  # "set/icon"

    @property
    def styles(self) -> dict[str, str]:
        """Style -> icon: the set's own style, with a number from the second drawing on."""
        out: dict[str, str] = {}
        for icon in self.icons:
            family = FAMILIES[icon.partition("/")[0]]
            count = sum(style.rstrip("0123456789") == family for style in out)
            out[family + (str(count + 1) if count else "")] = icon
        return out


def things(file: Path = _HERE / "things.txt") -> list[Thing]:
    """The things of the list, in its order; ValueError for a line that does not say one."""
    out = []
    for number, line in _lines(file):
        match = _THING.fullmatch(line)
        icons = tuple(part.strip() for part in match[3].split(",")) if match else ()
        if not match or match[2] not in COLORS or any(_set(icon) not in FAMILIES for icon in icons):
            raise ValueError(
                f"{file.name}:{number}: {line!r} should be `label; word (colour): set/icon, ...` "
                f"with a colour of phrases.COLORS and a set of {', '.join(FAMILIES)}"
            )
        label, *aliases = (part.strip() for part in match[1].split(";"))
        out.append(Thing(label, tuple(aliases), match[2], icons))
    return out


def everyday(file: Path = _HERE / "everyday.txt") -> dict[str, list[str]]:
    """Label -> people's own words for it; ValueError for a line that has none."""
    out = {}
    for number, line in _lines(file):
        label, _, words = line.partition(":")
        out[label.strip()] = [word.strip() for word in words.split(";") if word.strip()]
        if not out[label.strip()]:
            raise ValueError(f"{file.name}:{number}: {line!r} should be `label: word; word`")
    return out


def _lines(file: Path) -> list[tuple[int, str]]:
    lines = enumerate(file.read_text("utf-8").splitlines(), 1)
    return [(number, line.strip()) for number, line in lines if line.strip() and line[0] != "#"]


def _set(icon: str) -> str:
    return icon.partition("/")[0]
