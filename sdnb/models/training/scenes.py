"""Draws the plan of a random picture and its caption.

A picture is a background, up to four sprites (style, place, size, turn, tint, sticker outline) and
one effect. `Composer` only draws numbers and words, in any process; `painter.Painter` paints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from . import phrases
from .captions import Wording, caption
from .catalog import Catalog
from .loose_words import loosely
from .phrases import article, plural
from .unknown import made_up

MOST = 4  # sprites a picture
_UNKNOWN = 0.012  # share of the scenes that show a plain thing for a word that means nothing
_LOOSE = 0.3  # of the single things in a style that may go unsaid: among words that change nothing
_UNCOUNTED = 0.3  # of the captions of three or four things: "apples", "some apples"
EFFECTS = list(phrases.EFFECTS)

T = TypeVar("T")


@dataclass
class Scene:
    """A picture's plan. Places run from -1 to 1, right and down; scale 1 fills the picture."""

    sprite: np.ndarray = field(default_factory=lambda: np.full(MOST, -1, np.int64))  # -1: none
    place: np.ndarray = field(default_factory=lambda: np.zeros((MOST, 2), np.float32))
    scale: np.ndarray = field(default_factory=lambda: np.ones(MOST, np.float32))
    turn: np.ndarray = field(default_factory=lambda: np.zeros(MOST, np.float32))  # radians
    flip: np.ndarray = field(default_factory=lambda: np.zeros(MOST, np.float32))  # 1: mirrored
    tint: np.ndarray = field(default_factory=lambda: np.zeros((MOST, 4), np.float32))  # RGB, share
    sticker: np.ndarray = field(default_factory=lambda: np.zeros((), np.float32))  # > 0: outlined
    colors: np.ndarray = field(default_factory=lambda: np.ones((2, 3), np.float32))
    background: np.ndarray = field(default_factory=lambda: np.zeros((), np.int64))
    effect: np.ndarray = field(default_factory=lambda: np.zeros((), np.int64))
    chance: np.ndarray = field(default_factory=lambda: np.zeros(8, np.float32))  # for the painter


def stack(scenes: Sequence[Scene]) -> dict[str, Tensor]:
    """The plans as the painter's tensors, with the batch in front."""
    return {
        part.name: torch.from_numpy(np.stack([getattr(scene, part.name) for scene in scenes]))
        for part in fields(Scene)
    }


def plain(sprite: int, color: Sequence[float] = (1, 1, 1), scale: float = 0.74) -> Scene:
    """One sprite in the middle of one colour (0..1), for comparisons with a model's pictures."""
    scene = Scene(colors=np.tile(np.asarray(color, np.float32), (2, 1)))
    scene.sprite[0], scene.scale[0] = sprite, scale
    return scene


class Composer:
    """Draws scenes: of "train" (no held-out pair), "held" (only those) or "all" of a catalog."""

    def __init__(self, catalog: Catalog, seed: int = 0, which: str = "train") -> None:
        self.catalog, self.random = catalog, np.random.default_rng(seed)
        wanted = {"train": (False,), "held": (True,), "all": (False, True)}[which]
        self.rows: dict[str, list[int]] = {}
        for row, style in catalog.number:
            if (style in catalog.concepts[row].held_out) in wanted:
                self.rows.setdefault(style, []).append(row)
        self.shares = {
            style: _cumulative([catalog.concepts[row].weight for row in rows])
            for style, rows in self.rows.items()
        }
        self.styles, self.pairs = list(self.rows), list(catalog.number)
        named = {s: phrases.STYLE_SHARE[s] for s in self.styles if s in phrases.STYLE_SHARE}
        rest = (1 - sum(named.values())) / max(1, len(self.styles) - len(named))
        self.style_share = _cumulative([named.get(style, rest) for style in self.styles])
        unknown = [(row, s) for row, s in catalog.number if catalog.concepts[row].unknown]
        self.loose = _LOOSE
        self.unknown = [pair for pair in unknown if pair[0] in self.rows.get(pair[1], ())]

    def draw(self) -> tuple[Scene, str]:
        """One scene and its caption."""
        style = self.styles[self._at(self.style_share)]
        scene = Scene(chance=self.random.random(8).astype(np.float32))
        behind, plain_behind = self._background(scene)
        effect = EFFECTS[self._at(np.cumsum(list(phrases.EFFECTS.values())))]
        kind, loose = self.random.random(), False
        if kind < 0.03:  # the background alone
            return scene, caption(self.random, Wording(style, "", behind))
        tinted = effect not in ("gray", "silhouette", "line")
        if kind > 1 - _UNKNOWN and self.unknown:
            style, words = self._unknown_thing(scene, tinted)
        elif kind < 0.16:
            words = self._two_things(scene, style, tinted)
        elif kind < 0.235:
            words = self._several(scene, style, tinted)
        else:
            words, loose = self._one_thing(scene, style, tinted)
        scene.effect[...] = EFFECTS.index(effect)
        if effect == "line":
            behind, plain_behind = "", True
        elif effect == "silhouette":
            plain_behind = False
        sticker = bool(scene.sticker > 0)
        only = kind >= 0.235 and self._only(scene, style)
        wording = Wording(style, words, behind, plain_behind, effect, sticker, only, loose)
        return scene, caption(self.random, wording)

    # -- what stands in the picture --------------------------------------------------------------

    def _one_thing(self, scene: Scene, style: str, tinted: bool) -> tuple[str, bool]:
        """The words, and whether they are such as people say around a name."""
        row = self._row(style)
        thing, tint = (row, style), self._tint(scene, 0, row, tinted)
        name, how, loose = tint + self._name(row), self.random.random(), False
        in_place = phrases.BACKGROUNDS[int(scene.background)] in phrases.PLACES
        if how < 0.82:
            centre = (0, 0.04 if in_place else 0)
            self._put(scene, 0, thing, at=centre, scale=self._between(0.62, 0.84))
            loose = tinted and self._loosely(scene, style)
            words = loosely(self.random, name) if loose else article(name)
        elif how < 0.87:
            self._put(scene, 0, thing, at=(0, 0), scale=self._between(0.26, 0.38), jitter=0.06)
            words = self._one_of(["a small ", "a tiny "]) + name
        elif how < 0.91:
            self._put(scene, 0, thing, at=(0, 0.05), scale=self._between(1.1, 1.35))
            words = self._one_of(["close-up of ", "a close-up of "]) + article(name)
        else:
            side = self._one_of(["left", "right", "top", "bottom"])
            at = {"left": (-0.46, 0), "right": (0.46, 0), "top": (0, -0.46), "bottom": (0, 0.46)}
            self._put(scene, 0, thing, at=at[side], scale=self._between(0.4, 0.5))
            words = f"{article(name)} {self._one_of(['on', 'at'])} the {side}"
        keywords = not tint and how < 0.82 and not loose
        return self._extras(scene, row, words, keywords), loose

    def _loosely(self, scene: Scene, style: str) -> bool:
        """Whether to name the thing among words that say nothing, and no style: in a style that one
        expects who names none.
        """
        expected = not phrases.is_rare(style) or self._only(scene, style)
        return expected and self.random.random() < self.loose

    def _unknown_thing(self, scene: Scene, tinted: bool) -> tuple[str, str]:
        """The style and the words of a plain thing, for a word that means nothing."""
        thing = self._one_of(self.unknown)
        name = self._tint(scene, 0, thing[0], tinted) + made_up(self.random)
        self._put(scene, 0, thing, at=(0, 0.02), scale=self._between(0.5, 0.76))
        return thing[1], article(name)

    def _only(self, scene: Scene, style: str) -> bool:
        """Whether the first thing has no drawings but icons: its style goes without saying."""
        pair = self.pairs[int(scene.sprite[0])]
        return not self.catalog.concepts[pair[0]].asked and style == pair[1]

    def _extras(self, scene: Scene, row: int, words: str, keywords: bool) -> str:
        """Sometimes add a sticker's outline, or keywords beside the name or in place of it."""
        chance, tags = self.random.random(), self.catalog.concepts[row].tags
        if chance < 0.05:
            scene.sticker[...] = self._between(0.7, 1.2)
        if keywords and chance > 0.9 and tags:
            some = self.random.permutation(tags)[: self.random.integers(1, 3)]
            return ", ".join([words, *some])
        if keywords and chance > 0.865 and len(tags) > 2:
            return ", ".join(self.random.permutation(tags)[:3])
        return words

    def _two_things(self, scene: Scene, style: str, tinted: bool) -> str:
        rows = [self._row(style), self._row(style)]
        names = [self._tint(scene, i, row, tinted) + self._name(row) for i, row in enumerate(rows)]
        a, b = map(article, names)
        scale = self._between(0.4, 0.5)
        if self.random.random() < 0.72:
            for i, side in enumerate((-0.46, 0.46)):
                centre = (side, self._between(-0.06, 0.12))
                grown = scale * self._between(0.85, 1.1) if i else scale
                self._put(scene, i, (rows[i], style), at=centre, scale=grown)
            forms = [
                f"{a} and {b}", f"{a} next to {b}", f"{a} to the left of {b}",
                f"{b} to the right of {a}", f"{a} with {b}", f"{a} beside {b}",
                f"{a} and {b} side by side",
            ]  # fmt: skip
        else:
            for i, height in enumerate((-0.44, 0.46)):
                centre = (self._between(-0.1, 0.1), height)
                self._put(scene, i, (rows[i], style), at=centre, scale=scale)
            forms = [f"{a} above {b}", f"{a} on top of {b}", f"{b} below {a}", f"{b} under {a}"]
        return self._one_of(forms)

    def _several(self, scene: Scene, style: str, tinted: bool) -> str:
        row, count = self._row(style), int(self._one_of([2, 2, 3, 3, 4]))
        name = plural(self._tint(scene, 0, row, tinted) + self._name(row))
        scene.tint[1:count] = scene.tint[0]
        places = {
            2: [(-0.46, 0.0), (0.46, 0.0)],
            3: [(-0.6, 0.25), (0.0, -0.3), (0.6, 0.25)],
            4: [(-0.46, -0.46), (0.46, -0.46), (-0.46, 0.46), (0.46, 0.46)],
        }[count]
        scale = {2: 0.45, 3: 0.42, 4: 0.42}[count] * self._between(0.9, 1.06)
        for i, at in enumerate(places):
            self._put(scene, i, (row, style), at=at, scale=scale, jitter=0.015)
        number = {2: self._one_of(["two ", "a pair of "]), 3: "three ", 4: "four "}[count]
        if count > 2 and self.random.random() < _UNCOUNTED:
            number = self._one_of(["", "", "some ", "several ", "a few "])
        return number + name

    def _put(
        self, scene: Scene, slot: int, thing: tuple[int, str], *, at: tuple[float, float],
        scale: float, jitter: float = 0.03,
    ) -> None:  # fmt: skip
        scene.sprite[slot] = self.catalog.number[thing]
        scene.place[slot] = np.clip(np.add(at, self.random.normal(0, jitter, 2)), -0.75, 0.75)
        scene.scale[slot] = scale
        if self.random.random() < 0.3:
            scene.turn[slot] = self.random.normal(0, 0.06)
        label = self.catalog.concepts[thing[0]].label
        one_way = any(word in label for word in _ONE_WAY_ROUND)
        scene.flip[slot] = self.random.random() < 0.25 and not one_way

    def _tint(self, scene: Scene, slot: int, row: int, tinted: bool) -> str:
        """Sometimes paint the thing in a named colour; returns its name with a space, or ""."""
        words = self.catalog.concepts[row].label.split()
        if not tinted or self.random.random() >= 0.17 or any(w in phrases.COLORS for w in words):
            return ""
        name = self._one_of(phrases.MAIN_COLORS)
        scene.tint[slot] = [*self._color(name), 0.9]
        return name + " "

    # -- what is behind --------------------------------------------------------------------------

    def _background(self, scene: Scene) -> tuple[str, bool]:
        """Choose a background; returns its phrase, and whether a caption may omit it."""
        kind, a, b, words = self._background_words()
        scene.background[...] = phrases.BACKGROUNDS.index(kind)
        scene.colors[...] = [self._color(a), self._color(b)]
        return words, (kind, a, b) == ("solid", "white", "white")

    def _background_words(self) -> tuple[str, str, str, str]:
        """A background's kind, its two colours and its phrase."""
        chance, names = self.random.random(), list(phrases.COLORS)
        if chance < 0.24:
            forms = ["on a white background", "white background"]
            return "solid", "white", "white", self._one_of(forms)
        if chance < 0.6:
            a = self._one_of(names)
            forms = [f"on {article(a)} background", f"{a} background", f"on {a}"]
            return "solid", a, a, self._one_of(forms)
        if chance < 0.7:
            a, b = self._one_of(names), self._one_of(names)
            forms = [f"on {article(a)} and {b} gradient background", f"{a} to {b} gradient"]
            return "gradient", a, b, self._one_of(forms)
        if chance < 0.94:
            place = self._one_of(list(phrases.PLACES))
            return place, "white", "white", self._one_of(phrases.PLACES[place])
        pattern, a = self._one_of(list(phrases.PATTERNS)), self._one_of(names)
        b, word = self._one_of([n for n in names if n != a]), phrases.PATTERNS[pattern]
        forms = [f"on {article(a)} and {b} {word} background", f"{word} background"]
        return pattern, a, b, self._one_of(forms)

    # -- chance ----------------------------------------------------------------------------------

    def _color(self, name: str) -> np.ndarray:
        """A named colour `[3]` in 0..1; all but white and black vary a little."""
        vary = self.random.normal(0, 0.02, 3) * (name not in ("white", "black"))
        return np.clip(np.array(phrases.COLORS[name]) / 255 + vary, 0, 1).astype(np.float32)

    def _name(self, row: int) -> str:
        concept = self.catalog.concepts[row]
        if concept.aliases and self.random.random() < 0.4:
            return self._one_of(concept.aliases)
        return concept.label

    def _row(self, style: str) -> int:
        return self.rows[style][self._at(self.shares[style])]

    def _at(self, cumulative: np.ndarray) -> int:
        index = int(np.searchsorted(cumulative, self.random.random()))
        return min(index, len(cumulative) - 1)  # the shares may sum to a hair less than one

    def _one_of(self, choices: Sequence[T]) -> T:
        return choices[int(self.random.integers(len(choices)))]

    def _between(self, low: float, high: float) -> float:
        return float(self.random.uniform(low, high))


def _cumulative(weights: Sequence[float]) -> np.ndarray:
    shares = np.array(weights)
    return np.cumsum(shares / shares.sum())


_ONE_WAY_ROUND = (
    "left", "right", "index", "button", "calendar", "sign", "100", "place", "book", "clock",
)  # fmt: skip
