"""From a template to the prompts that it stands for: by a seed, or all of them.

A seed gives the same words on every machine and in every version of Python, as long as the lists of
its wildcards stay as they are. It draws with `random.Random(seed).random()` alone, whose numbers
Python promises to keep; those of its other methods may change.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sdnb.request import checks
from sdnb.request.plain_words import counted
from sdnb.request.prompt.templates import ListLine, Node, Option, Pick, Wild, parsed, weighed
from sdnb.request.prompt.values import PromptError
from sdnb.request.prompt.wildcards import Wildcards, wildcards_of

#: Lists in lists: more are a list that holds itself.
_MOST_LISTS = 30
_MOST_LETTERS = 100_000  # of a prompt
MOST = 1000  # combinations, unless more are asked for
_TRIES = 100  # for each combination: many may be the same

Chain = tuple[Wild, ...]  # the lists that a line is of, that of the prompt itself first


def is_template(text: str, wildcards: Any = None) -> bool:
    """Whether `text` says other words than its own: whether it has alternatives, escapes of them,
    or wildcards, of which those in the middle of a word count where there is such a list. Raises
    PromptError as `expand`, but for unknown lists.
    """
    nodes = parsed(text)
    if nodes is None:
        return False
    lists = wildcards_of(wildcards)
    as_text = (isinstance(n, Wild) and n.doubtful and lists.find(n.name) is None for n in nodes)
    plain = all(isinstance(n, str) or t for n, t in zip(nodes, as_text, strict=True))
    return not plain or _plain_text(nodes) != text


def expand(text: str, seed: int, wildcards: Any = None) -> str:
    """The prompt that a template becomes by a seed; a text without alternatives and wildcards as it
    stands. `wildcards` are a library, a model, or a mapping from names to lines.

    Raises PromptError that names an unknown list and the one most like it, lists that hold one
    another, and what cannot be done; ValueError for a list that cannot be read.
    """
    nodes = parsed(checks.text("prompt", text))
    if nodes is None:
        return text
    return _ByChance(random.Random(seed).random, wildcards_of(wildcards)).words(nodes, ())


@dataclass(frozen=True)
class Every(Sequence[str]):
    """The prompts of a template, in order; `template` is it, or "" for a plain text."""

    prompts: tuple[str, ...]
    template: str

    def __len__(self) -> int:
        return len(self.prompts)

    def __getitem__(self, index: Any) -> Any:
        return self.prompts[index]


def every(template: str, wildcards: Any = None, *, most: int = MOST) -> Every:
    """All prompts that a template can become, each once, the last alternative changing fastest: as
    an axis, `sdnb.sweep(request, prompt=sdnb.every("a {red|blue} {cat|dog}"))`.

    `wildcards` as in `expand`; what has a weight of 0 is left out. Raises as `expand`, and
    ValueError for more than `most`.
    """
    nodes = parsed(checks.text("template", template))
    if nodes is None:
        return Every((template,), "")
    all_ = _All(wildcards_of(wildcards), checks.whole("most", most, 1, 1_000_000), template)
    prompts = tuple(all_.words(nodes, ()))
    return Every(prompts, "" if prompts == (template,) else template)


class _Looking:
    """What both ways to read a template have in common: finding the lines of lists."""

    def __init__(self, wildcards: Wildcards) -> None:
        self.wildcards = wildcards

    def lines(self, node: Wild, chain: Chain) -> list[Option] | None:
        """The lines of a list as alternatives; None where it is text."""
        if len(chain) >= _MOST_LISTS:
            names = ", ".join(dict.fromkeys(each.name for each in chain))
            raise _error(
                f"the lists {names} hold one another without an end: take their names out of one "
                "of them",
                *chain,
            )
        lines = self.wildcards.find(node.name)
        if lines is None and node.doubtful:
            return None
        if lines is None:
            raise _error(
                f"{self.wildcards.unknown(node.name)}. For underscores that are text write "
                f"\\__{node.name}\\__",
                *chain,
                node,
            )
        options = [Option(weight, (ListLine(text),)) for weight, text in map(weighed, lines)]
        if not any(option.weight for option in options):
            name = checks.shown(node.name)
            raise _error(f"the list {name} has no line that can be chosen", *chain, node)
        return options

    def nodes(self, line: ListLine, chain: Chain) -> Sequence[Node]:
        """What is in a line of the last list of the chain."""
        try:
            return parsed(line.text) or (line.text,)
        except PromptError as error:
            name = checks.shown(chain[-1].name)
            raise _error(
                f"in the list {name}, {checks.shown(line.text)}: {error}", *chain
            ) from None

    def options(self, pick: Pick, chain: Chain) -> tuple[Sequence[Option], Chain]:
        """The alternatives that can be chosen; those of a list alone are its lines."""
        alone = pick.options[0].nodes if len(pick.options) == 1 else ()
        if len(alone) == 1 and isinstance(alone[0], Wild):
            lines = self.lines(alone[0], chain)
            if lines is not None:
                return [each for each in lines if each.weight], (*chain, alone[0])
        return [each for each in pick.options if each.weight], chain


class _ByChance(_Looking):
    """A template read by chance; `draw` gives the next number of [0, 1)."""

    def __init__(self, draw: Callable[[], float], wildcards: Wildcards) -> None:
        super().__init__(wildcards)
        self.draw, self._letters = draw, 0

    def words(self, nodes: Sequence[Node], chain: Chain) -> str:
        return "".join([self._word(node, chain) for node in nodes])

    def _word(self, node: Node, chain: Chain) -> str:
        if isinstance(node, str):
            self._letters += len(node)
            if self._letters > _MOST_LETTERS:
                raise _too_long()
            return node
        if isinstance(node, ListLine):
            return self.words(self.nodes(node, chain), chain)
        if isinstance(node, Wild):
            lines = self.lines(node, chain)
            if lines is None:
                return f"__{node.name}__"
            (line,) = self._chosen(lines, 1)
            return self.words(line.nodes, (*chain, node))
        options, chain = self.options(node, chain)
        most = len(options) if node.high is None else min(node.high, len(options))
        low = min(node.low, most)
        number = low + int(self.draw() * (most - low + 1)) if low < most else low
        chosen = self._chosen(options, number)
        return node.separator.join([self.words(each.nodes, chain) for each in chosen])

    def _chosen(self, options: Sequence[Option], number: int) -> list[Option]:
        """So many of the options by their weights, none of them twice."""
        left, chosen = list(options), []
        for _ in range(number):
            at = self.draw() * sum(option.weight for option in left)
            place = 0
            while place < len(left) - 1 and (at >= left[place].weight or not left[place].weight):
                at -= left[place].weight
                place += 1
            chosen.append(left.pop(place))
        return chosen


class _All(_Looking):
    """A template read in all ways."""

    def __init__(self, wildcards: Wildcards, most: int, template: str) -> None:
        super().__init__(wildcards)
        self.most, self.template = most, template

    def words(self, nodes: Sequence[Node], chain: Chain) -> list[str]:
        found = [""]
        for node in nodes:
            ways = [node] if isinstance(node, str) else self._some(self._ways(node, chain))
            found = self._some(before + word for before in found for word in ways)
        return found

    def _ways(self, node: Pick | Wild | ListLine, chain: Chain) -> Iterator[str]:
        if isinstance(node, ListLine):
            yield from self.words(self.nodes(node, chain), chain)
            return
        if isinstance(node, Wild):
            lines = self.lines(node, chain)
            if lines is None:
                yield f"__{node.name}__"
            used = [line for line in lines or () if line.weight]
            for line in used:
                yield from self.words(line.nodes, (*chain, node))
            return
        options, chain = self.options(node, chain)
        several = list(dict.fromkeys(option.nodes for option in options))
        high = len(several) if node.high is None else min(node.high, len(several))
        texts = {nodes: self.words(nodes, chain) for nodes in several}
        for number in range(min(node.low, high), high + 1):
            for order in itertools.permutations(several, number):
                for words in itertools.product(*(texts[nodes] for nodes in order)):
                    yield node.separator.join(words)

    def _some(self, ways: Iterable[str]) -> list[str]:
        """Each once. Raises ValueError for too many."""
        found: dict[str, None] = {}
        for tries, way in enumerate(ways):
            found[way] = None
            if len(way) > _MOST_LETTERS:
                raise _too_long()
            if len(found) > self.most or tries > _TRIES * self.most:
                raise ValueError(
                    f"{checks.shown(self.template)} has more than "
                    f"{counted(self.most, 'combination')}; leave some of its alternatives out, or "
                    "say most= for more of them"
                )
        return list(found)


def _plain_text(nodes: Sequence[Node]) -> str:
    return "".join(f"__{n.name}__" if isinstance(n, Wild) else str(n) for n in nodes)


def _error(message: str, *chain: Wild) -> PromptError:
    """An error where the first of these lists is named: the others are in its lines."""
    return PromptError(message, chain[0].start, chain[0].end)


def _too_long() -> PromptError:
    return PromptError(
        f"the template becomes a prompt of more than {_MOST_LETTERS:,} letters", 0, 0
    )
