"""Prompts with alternatives and wildcards, as dynamic-prompts tools read them: text to a tree.

    {red|blue}               one of them; {3::red|blue} weighs it by 3
    {2$$red|blue|green}      two of them, with ", " between; {2$$ and $$a|b|c} with " and "
    {1-2$$...}, {-2$$...}    one or two; {1-$$...} one or more
    __animals__              a line of the list `animals`; __nature/*__ of all lists in `nature`
    # a note                 a line that is a comment: "#" and a space at its beginning

They may stand in one another, and in the lines of lists. Braces without `|`, `$$` or `::` are text,
and so is `[a|b]`, which another syntax reads. `\\{`, `\\}` and `\\__` are text wherever there is no
template meant; in braces `\\|` and `\\$` too. A text without any of these marks stays as it is.

The marks are those of the documentation of sd-dynamic-prompts. Its variables and its markers of
samplers are refused by name; of unclosed braces, which it refuses, nothing is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Union

from sdnb.request import checks
from sdnb.request.prompt.values import MOST_BRACKETS, PromptError

SEPARATOR = ", "

_TOKEN = re.compile(
    r"(?:(?<=\n)|\A)(?P<comment>[^\S\n]*\#(?:[^\S\n][^\n]*)?(?:\n|\Z))"
    r"|\\(?P<escaped>[{}]|__)|\\."
    r"|(?P<open>\{)|(?P<close>\})|(?P<bar>\|)"
    r"|__(?P<wild>[^\s_{}|$\#\\](?:(?!__)[^\n{}|$\#\\]){0,199})(?<!\s)__"
    r"|\[(?:(?!__)[^\[\]{}|\\\n])*(?:\|(?:(?!__)[^\[\]{}|\\\n])*)+\]"  # AUTOMATIC1111's alternation
    r"|[^\\{}|_\[\n]+|[\\_\[\n]",
    re.DOTALL,
)
_COUNT = re.compile(r"\s*(?:(\d{1,4})(?:(-)(\d{1,4})?)?|(-)(\d{1,4})?)\$\$(?:([^$]*)\$\$)?")
_WEIGHT = re.compile(r"\s*(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})\s*::")
_VARIABLE = re.compile(r"\$\{\s*[A-Za-z_-][\w-]*\s*(?:\}|:|\??=)")
_SAMPLER = re.compile(r"\s*[@!](?=[\w{_ ])")
_MARKS = re.compile(r"[{}]|__")
_LINE_END = re.compile(r"[^\S\n]*\n\s*\Z")
_TEXT_IN_BRACES = {r"\|": "|", r"\$": "$"}

Node = Union[str, "Pick", "Wild", "ListLine"]


@dataclass(frozen=True)
class Option:
    """One of several alternatives."""

    weight: float
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Pick:
    """So many of the options, from `low` to `high`, in any order, with the separator between."""

    options: tuple[Option, ...]
    low: int = 1
    high: int | None = 1  # None: as many as there are
    separator: str = SEPARATOR


@dataclass(frozen=True)
class Wild:
    """A line of a list. `doubtful` where it may be no name of one: in the middle of a word, or with
    spaces in it.
    """

    name: str
    start: int
    end: int
    doubtful: bool


@dataclass(frozen=True)
class ListLine:
    """A line of a list, which is a template of its own."""

    text: str


class _Bar:
    """A `|`, of which the end of its braces will tell what it is."""


_BAR = _Bar()


@dataclass
class _Brace:
    start: int
    nodes: list[Node | _Bar]


@lru_cache(maxsize=4096)
def parsed(text: str) -> tuple[Node, ...] | None:
    """The nodes of a text, or None where no template is in it. Raises PromptError for alternatives
    that cannot be done: weights that sum to zero, variables, and braces a hundred deep.
    """
    reading = _Reading(text)
    for token in _TOKEN.finditer(text):
        reading.take(token)
    if not reading.is_template:
        return None
    _refuse_variables(text)
    return tuple(_joined(["|" if isinstance(n, _Bar) else n for n in reading.nodes()]))


class _Reading:
    """A text as far as it is read: what is outside of braces, and in each that is open."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_template = False
        self._top: list[Node | _Bar] = []
        self._braces: list[_Brace] = []

    def take(self, token: re.Match[str]) -> None:
        here = self._braces[-1].nodes if self._braces else self._top
        if token["open"]:
            if len(self._braces) >= MOST_BRACKETS:
                raise _too_deep(token.start())
            self._braces.append(_Brace(token.start(), []))
        elif token["close"] and self._braces:
            nodes = _closed(self._braces.pop(), token.end())
            self.is_template |= any(isinstance(node, Pick) for node in nodes)
            (self._braces[-1].nodes if self._braces else self._top).extend(nodes)
        elif token["bar"]:
            here.append(_BAR)
        elif token["wild"] or token["escaped"]:
            here.append(token["escaped"] or _wild(self.text, token))
            self.is_template = True
        elif token["comment"] is None:
            here.append(token[0])

    def nodes(self) -> list[Node | _Bar]:
        """All of them; braces that did not close are text."""
        nodes = list(self._top)
        for brace in self._braces:
            nodes += ["{", *brace.nodes]
        return nodes


def _wild(text: str, token: re.Match[str]) -> Wild:
    name, start, end = token["wild"], token.start(), token.end()
    if name[0] in "@!":
        raise _sampler(name[0], start, end)
    beside = text[start - 1 : start] + text[end : end + 1]
    doubtful = bool(re.search(r"\w", beside)) or bool(re.search(r"\s", name))
    return Wild(name.removeprefix("~"), start, end, doubtful)


def _closed(brace: _Brace, end: int) -> list[Node | _Bar]:
    """A pair of braces as alternatives, or as the text that it is."""
    nodes = brace.nodes
    lead = _leading(nodes)
    if lead.lstrip().startswith("~"):  # at random, as everything is here
        nodes = _without_start(nodes, lead.index("~") + 1)
        lead = _leading(nodes)
    count = _COUNT.match(lead)
    if count:
        nodes = _without_start(nodes, count.end())
    if not (count or any(isinstance(n, _Bar) for n in nodes) or _WEIGHT.match(_leading(nodes))):
        return ["{", *brace.nodes, "}"]
    marker = _SAMPLER.match(lead)
    if marker:
        raise _sampler(marker[0].strip(), brace.start, end)
    pieces = _split(nodes)
    for piece in pieces[1:]:
        late = _COUNT.match(piece[0]) if piece and isinstance(piece[0], str) else None
        if late:
            raise _late_count(late[0].strip(), brace.start, end)
    options = tuple(map(_option, pieces))
    if not any(option.weight for option in options):
        raise PromptError(
            f"the weights of the alternatives at character {brace.start} are all 0, so that none "
            "can be chosen; give one of them another weight",
            brace.start,
            end,
        )
    return [Pick(options, *_bounds(count))]


def _bounds(count: re.Match[str] | None) -> tuple[int, int | None, str]:
    """How many: the least, the most, and what stands between."""
    if count is None:
        return 1, 1, SEPARATOR
    exact, dash, upper, open_below, most, separator = count.groups()
    low = 1 if open_below else int(exact)
    high = most if open_below else (upper if dash else exact)
    between = SEPARATOR if separator is None else separator
    if high is None:
        return low, None, between
    return min(low, int(high)), max(low, int(high)), between


def _leading(nodes: Sequence[Node | _Bar]) -> str:
    """The text before the first node that is none; a bar may be in a separator."""
    texts = []
    for node in nodes:
        if not isinstance(node, (str, _Bar)):
            break
        texts.append("|" if isinstance(node, _Bar) else node)
    return "".join(texts)


def _without_start(nodes: Sequence[Node | _Bar], letters: int) -> list[Node | _Bar]:
    rest = list(nodes)
    while letters > 0:
        first = rest.pop(0)
        if isinstance(first, str) and len(first) > letters:
            rest.insert(0, first[letters:])
        letters -= len(first) if isinstance(first, str) else 1
    return rest


def _split(nodes: Sequence[Node | _Bar]) -> list[list[Node]]:
    pieces: list[list[Node]] = [[]]
    for node in nodes:
        if isinstance(node, _Bar):
            pieces.append([])
        else:
            pieces[-1].append(_TEXT_IN_BRACES.get(node, node) if isinstance(node, str) else node)
    return pieces


def _option(piece: Sequence[Node]) -> Option:
    """An alternative without its weight, the spaces before it, and a line's end behind it. Spaces
    behind it are its own: {big |}dog.
    """
    nodes, weight = _joined(piece), 1.0
    if nodes and isinstance(nodes[0], str):
        match = _WEIGHT.match(nodes[0])
        if match:
            weight, nodes[0] = float(match[1]), nodes[0][match.end() :]
        nodes[0] = nodes[0].lstrip()
    if nodes and isinstance(nodes[-1], str):
        nodes[-1] = _LINE_END.sub("", nodes[-1])
    return Option(weight, tuple(node for node in nodes if node != ""))


def literal(text: str) -> str:
    """The template that is this text: the same where no mark in it is read, else with a backslash
    before each.
    """
    try:
        if parsed(text) is None:
            return text
    except PromptError:  # a mark that is refused
        pass
    return _MARKS.sub(r"\\\g<0>", text)


def weighed(line: str) -> tuple[float, str]:
    """The weight of a line of a list, 1 where it has none, and its words."""
    match = _WEIGHT.match(line)
    return (float(match[1]), line[match.end() :].strip()) if match else (1.0, line.strip())


def _joined(nodes: Sequence[Node]) -> list[Node]:
    """The nodes with neighbouring texts as one."""
    result: list[Node] = []
    for node in nodes:
        if result and isinstance(node, str) and isinstance(result[-1], str):
            result[-1] += node
        else:
            result.append(node)
    return result


def _refuse_variables(text: str) -> None:
    match = _VARIABLE.search(text)
    if match:
        raise PromptError(
            f"{checks.shown(match[0])} at character {match.start()} is a variable of dynamic "
            "prompts, which are not read here; write out what it stands for, or $\\{ for text",
            *match.span(),
        )


def _sampler(mark: str, start: int, end: int) -> PromptError:
    return PromptError(
        f"the mark {mark} at character {start} asks dynamic prompts for another order than chance; "
        "here the seed chooses, and sdnb.every(...) gives all combinations: take the mark away",
        start,
        end,
    )


def _late_count(count: str, start: int, end: int) -> PromptError:
    return PromptError(
        f"{count} in the braces at character {start} says how many are chosen, and stands behind a "
        f"|; write it first, {{{count}a|b}}, or in braces of its own, {{a|{{{count}b|c}}}}",
        start,
        end,
    )


def _too_deep(at: int) -> PromptError:
    return PromptError(
        f"the brace at character {at} stands in {MOST_BRACKETS} others; take some of them away, or "
        "write \\{ and \\} for braces that are text",
        at,
        at + 1,
    )
