"""Puts the content of a scene into a sentence of one of many forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from . import phrases
from .phrases import article


@dataclass(frozen=True)
class Wording:
    """What a caption may speak of."""

    style: str
    thing: str  # "a red apple"; "" where there is only a background
    behind: str = ""  # "on a blue background"; "" leaves it out
    plain: bool = False  # the background need not be mentioned
    effect: str = "none"
    sticker: bool = False
    only: bool = False  # the thing is drawn in this kind of style only
    loose: bool = False  # the words around its name leave the style open


class _Style(NamedTuple):
    nouns: list[str]
    words: list[str]  # after a comma
    unsaid: float  # share of captions with neither


def caption(random: np.random.Generator, w: Wording) -> str:
    """A random sentence for `w`."""
    if not w.thing:
        bare = w.behind.replace("on a ", "a ", 1)
        return bare if random.random() < 0.6 else "empty scene " + w.behind
    style = _style(random, w)
    unsaid = w.behind and random.random() < (0.6 if w.plain else 0.08)
    text = _sentence(random, w.thing, "" if unsaid else w.behind, style)
    if w.effect not in ("blur", "lowq") and random.random() < 0.08:
        text += ", " + _one_of(random, phrases.PRAISE)
    return text


def _sentence(random: np.random.Generator, thing: str, behind: str, style: _Style) -> str:
    joined = behind.startswith(("on ", "in ", "at ", "under", "with "))
    tail = (" " if joined else ", ") + behind if behind else ""
    form = random.random()
    if random.random() < style.unsaid:
        begin = _one_of(random, phrases.BEGINNINGS) + " " if form < 0.25 else ""
        return begin + thing + tail
    if form < 0.45:
        noun = _one_of(random, style.nouns)
        alone = noun.endswith("clipart") or noun == "pixel art"  # these take no article
        return f"{noun if alone else article(noun)} of {thing}{tail}"
    word = _one_of(random, style.words)
    if form < 0.8:
        return f"{thing}{tail}, {word}"
    if form < 0.9:
        return f"{thing}, {word}" + (f", {behind}" if behind else "")
    return f"{word}, {thing}{tail}"


def _style(random: np.random.Generator, w: Wording) -> _Style:
    """The words for style, sticker and effect."""
    nouns, words = phrases.style_nouns(w.style), phrases.style_words(w.style)
    unsaid = 1.0 if w.loose else phrases.unsaid(w.style, w.only)
    if w.sticker:
        nouns = ["sticker", f"{_one_of(random, words)} sticker"]
        words, unsaid = ["sticker", "sticker with a white outline"], 0.0
    if w.effect not in phrases.EFFECT_WORDS:
        return _Style(nouns, words, unsaid)
    effect = _one_of(random, phrases.EFFECT_WORDS[w.effect])
    both = [f"{effect}, {word}" for word in words]
    if w.effect not in phrases.EFFECT_NOUNS:
        return _Style([f"{effect} {noun}" for noun in nouns], [*both, effect], 0.0)
    alone = phrases.EFFECT_WORDS[w.effect] if random.random() < 0.6 else both
    return _Style(phrases.EFFECT_NOUNS[w.effect], alone, 0.0)


def _one_of(random: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(random.integers(len(choices)))]
