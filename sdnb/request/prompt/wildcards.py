"""`Wildcards`: lists of words by name, `__animals__` in a prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sdnb.request import checks

_GLOB = re.compile(r"[*?\[]")


class Wildcards:
    """Lists of words by their names, such as "nature/animals": a mapping from names to lines.

    A list is found by its name with the folders before it, or without them. In a pattern `*` and
    `?` stand for letters of one name, `**` for folders too, `[a-c]` for one of these letters; it
    means the lines of all lists that fit, each line once. Small and large letters are the same.
    """

    def __init__(self, lists: Mapping[str, Sequence[str]] | None = None) -> None:
        self.lists: Mapping[str, Sequence[str]] = {} if lists is None else lists

    @property
    def names(self) -> list[str]:
        """The names of all lists."""
        return sorted(self.lists)

    def find(self, name: str) -> tuple[str, ...] | None:
        """The lines that a name or a pattern means; None where no list is called so. Raises
        ValueError for a list whose file cannot be read.
        """
        wanted = _plain(name)
        names = [each for each in self.names if _plain(each) == wanted]
        if not names:
            fits = _pattern(wanted)
            names = [each for each in self.names if fits.fullmatch(_plain(each))]
        if not names:
            return None
        return tuple(dict.fromkeys(line for each in names for line in self.lists[each]))

    def unknown(self, name: str) -> str:
        """Words for a name that no list has, with the most similar one."""
        if not self.lists:
            return (
                f"there is no list {checks.shown(name)}, and no other: text files in the folder "
                "wildcards of the model's library (load's library=) are lists, a line each"
            )
        names = self.names if "/" in name else [each.rpartition("/")[2] for each in self.names]
        some = ", ".join(self.names[:8]) + (", ..." if len(self.names) > 8 else "")
        return f"there is no list {checks.shown(name)}{checks.nearest(name, names)}; known: {some}"


def wildcards_of(source: Any) -> Wildcards:
    """The lists of a mapping, a library or a model; None has none. Raises TypeError."""
    if source is None:
        return Wildcards()
    if isinstance(source, Wildcards):
        return source
    if isinstance(source, Mapping):
        return Wildcards(source)
    own = getattr(source, "wildcards", None)
    if not isinstance(own, Wildcards):
        raise TypeError(
            f"wildcards={checks.shown(source)} is no place of lists: give a library, a model, or "
            'a mapping such as {"animals": ["cat", "dog"]}'
        )
    return own


def _plain(name: str) -> str:
    return name.replace("\\", "/").strip("/ ").casefold()


@lru_cache(maxsize=256)
def _pattern(wanted: str) -> re.Pattern[str]:
    """What fits a pattern: the end of a name, from the beginning or behind a slash."""
    if not _GLOB.search(wanted):
        return re.compile(rf"(?:.*/)?{re.escape(wanted)}", re.DOTALL)
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[!?[^\[\]/]+\])", wanted)
    return re.compile("(?:.*/)?" + "".join(map(_fitting, parts)), re.DOTALL)


def _fitting(part: str) -> str:
    """The regular expression of one part of a pattern."""
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    if part in known:
        return known[part]
    if part.startswith("[") and part.endswith("]") and len(part) > 2:
        inside = part[1:-1]
        negated = inside.startswith("!") and len(inside) > 1
        letters = re.escape(inside[1:] if negated else inside).replace(r"\-", "-")
        expression = f"[{'^' if negated else ''}{letters}]"
        try:
            re.compile(expression)
        except re.error:  # [z-a]
            return re.escape(part)
        return expression
    return re.escape(part)
