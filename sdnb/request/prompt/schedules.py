"""AUTOMATIC1111's prompt editing: `[from:to:when]`, `[to:when]`, `[from::when]`, `[a|b|c]`.

`when` is a step, or with a point a part of all steps: up to it there is `from`, then `to`. `[a|b]`
is a in step 1, b in step 2, and so on. They may stand in one another and in other brackets. What
is no such form is text: a bracket with another number of colons, one that does not close, and all
that such a one stands in. One `|` outside of such brackets makes the whole text plain, as there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Union

from sdnb.request.prompt.values import MOST_BRACKETS, too_deep

_TOKEN = re.compile(r"\\.|[\[\]():|]|[^\\\[\]():|]+|\\")
_WHEN = re.compile(r"\s*([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*")
_CLOSES = {"(": ")", "[": "]"}

Node = Union[str, "_Edit", "_Options"]


@dataclass(frozen=True)
class _Edit:
    before: list[Node]
    after: list[Node]
    when: int  # the last step of `before`


@dataclass(frozen=True)
class _Options:
    of: list[list[Node]]


@dataclass
class _Bracket:
    """An open bracket: what stands between its colons and bars, and which those are."""

    opener: str
    pieces: list[list[Node]] = field(default_factory=lambda: [[]])
    marks: list[str] = field(default_factory=list)

    def as_text(self) -> list[Node]:
        """All of it, where it is no form of editing."""
        nodes: list[Node] = [self.opener, *self.pieces[0]]
        for mark, piece in zip(self.marks, self.pieces[1:], strict=True):
            nodes += [mark, *piece]
        return nodes


def stages(text: str, calls: int) -> tuple[tuple[int, str], ...]:
    """The words over a run of `calls` steps, as (last step, text). Raises PromptError for brackets
    a hundred deep.
    """
    tree = _tree(text, calls)
    if tree is None:
        return ((calls, text),)
    ends = {calls}
    _collect(tree, calls, ends)
    distinct: dict[str, str] = {}  # a long text that comes back is in memory once
    found = ((step, _words(tree, step)) for step in sorted(ends))
    return tuple((step, distinct.setdefault(words, words)) for step, words in found)


def _tree(text: str, calls: int) -> list[Node] | None:
    """The text with its editing as nodes; None where all of it is plain."""
    top: list[Node] = []
    open_: list[_Bracket] = []
    for token in _TOKEN.finditer(text):
        word = token[0]
        here = open_[-1].pieces[-1] if open_ else top
        if word == "\\" or (word == "|" and not open_):
            return None
        if word in _CLOSES:
            if len(open_) >= MOST_BRACKETS:
                raise too_deep(token.start())
            open_.append(_Bracket(word))
        elif word in ":|" and open_:
            open_[-1].marks.append(word)
            open_[-1].pieces.append([])
        elif word in ")]" and open_:
            closed = open_[-1]
            nodes = _closed(closed, calls) if _CLOSES[closed.opener] == word else None
            if nodes is not None:
                open_.pop()
                (open_[-1].pieces[-1] if open_ else top).extend(nodes)
            elif not _give_up(open_, top):
                return None
            else:
                top.append(word)
        else:
            here.append(word)
    return top if _give_up(open_, top) else None


def _give_up(open_: list[_Bracket], top: list[Node]) -> bool:
    """Make text of all open brackets; False where there is a bar among it."""
    plain = all("|" not in bracket.marks for bracket in open_)
    for bracket in open_:
        top += bracket.as_text()
    open_.clear()
    return plain


def _closed(bracket: _Bracket, calls: int) -> list[Node] | None:
    """What a bracket that closes is, or None where it is no form that is known."""
    marks = "".join(bracket.marks)
    if marks == "" or (marks == ":" and bracket.opener == "("):
        return [*bracket.as_text(), _CLOSES[bracket.opener]]
    if bracket.opener == "(":
        return None
    if set(marks) == {"|"}:
        return [_Options(bracket.pieces)]
    *pieces, last = bracket.pieces
    words = "".join(node if isinstance(node, str) else "\0" for node in last)
    when = _WHEN.fullmatch(words)
    if marks not in (":", "::") or when is None:
        return None
    step = float(when[1]) * (calls if "." in when[1] else 1)
    before, after = pieces if len(pieces) == 2 else ([], pieces[0])
    return [_Edit(before, after, int(max(min(step, calls), 0)))]


def _collect(nodes: Sequence[Node], calls: int, ends: set[int]) -> None:
    """Add the steps with which something ends."""
    for node in nodes:
        if isinstance(node, _Edit):
            ends |= {node.when} if node.when else set()
            _collect([*node.before, *node.after], calls, ends)
        elif isinstance(node, _Options):
            ends |= set(range(1, calls + 1))
            for piece in node.of:
                _collect(piece, calls, ends)


def _words(nodes: Sequence[Node], step: int) -> str:
    words = []
    for node in nodes:
        if isinstance(node, _Edit):
            words.append(_words(node.before if step <= node.when else node.after, step))
        elif isinstance(node, _Options):
            words.append(_words(node.of[(step - 1) % len(node.of)], step))
        else:
            words.append(node)
    return "".join(words)
