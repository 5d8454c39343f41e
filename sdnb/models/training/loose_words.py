"""What people say around a thing's name, and what changes nothing in its picture.

"My favourite mug", "a cow eating grass", "watercolor painting of a tree": a model that has seen
names alone takes such words for an unknown thing. Here the thing is drawn as ever, in a style that
the words leave open. Words that the pictures obey (colours, sizes, places, numbers) are not here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .phrases import article
from .unknown import made_up

_WHOSE = [
    "my", "our", "the", "this", "that", "someone's", "my friend's", "the neighbour's", "her", "his",
]  # fmt: skip
_LOOKS = [
    "cute", "old", "new", "beautiful", "lovely", "nice", "funny", "pretty", "shiny", "strange",
    "simple", "favourite", "favorite", "ancient", "modern", "magic", "fancy", "elegant", "lonely",
    "brave", "friendly", "broken", "dirty", "clean", "heavy", "soft", "round", "sweet", "fresh",
    "wild", "famous", "typical", "traditional", "vintage", "rustic", "cosy", "cozy", "perfect",
    "colourful", "colorful", "wooden", "metal", "plastic", "glass", "golden", "good", "cool",
    "scary", "silly", "proud", "curious", "fluffy", "fat", "thin", "fast", "slow", "royal",
    "well made", "very old", "really cute", "hand made", "hungry", "young", "wet", "empty", "full",
]  # fmt: skip
_DEEDS = [
    "running", "sleeping", "sitting", "standing", "lying", "jumping", "flying", "swimming",
    "walking", "playing", "eating", "drinking", "resting", "waiting", "looking", "hiding",
    "dancing", "singing", "working", "floating", "hanging", "falling", "climbing", "fighting",
    "riding", "driving", "leaning", "hunting", "growing", "moving", "turning", "burning",
    "shining", "glowing", "breathing", "rolling", "smoking", "crossing", "holding", "carrying",
    "wearing", "reading", "cooking", "fishing", "chasing", "watching", "erupting", "sailing",
    "in motion", "at work", "at rest", "alone", "in action", "ready to go", "seen from the side",
    "full of life", "with style", "made of wood", "with a handle", "as a gift", "for sale",
]  # fmt: skip
_WHERE = ["on", "in", "at", "by", "near", "over", "under", "behind", "against", "with", "for", "to"]
_SCENERY = [
    "wall", "floor", "road", "corner", "hill", "rock", "garden", "river", "lake", "kitchen",
    "room", "street", "field", "forest", "woods", "park", "shelf", "ground", "sky", "rain", "wind",
    "fog", "dark", "shadow", "distance", "crowd", "evening", "morning", "shop", "school", "office",
    "armour", "armor", "tail", "mane", "collar", "smile", "friend", "pile", "line",
]  # fmt: skip
_MEDIA = [
    "pencil sketch", "sketch", "watercolor painting", "watercolour", "oil painting",
    "crayon drawing", "ink drawing", "child's drawing", "photograph", "close photo", "portrait",
    "poster", "postcard", "sculpture", "digital art", "concept art", "painting", "old photo",
    "quick drawing", "pretty picture",
]  # fmt: skip


def loosely(random: np.random.Generator, name: str) -> str:
    """`name` ("red apple") among one to three such words: "my lovely red apple on a wall"."""
    before, behind, of = random.random(3) < (0.6, 0.5, 0.25)
    if not (before or behind or of):
        before = True
    words = f"{_look(random)} {name}" if before else name
    if random.random() < 0.25:
        words = f"{_one_of(random, _WHOSE)} {words}"
    elif random.random() < 0.9:
        words = article(words)
    if behind:
        words += f" {_deed(random)}"
    if of:
        medium = _one_of(random, _MEDIA)
        words = f"{article(medium) if random.random() < 0.6 else medium} of {words}"
    return words


def vocabulary() -> set[str]:
    """Every word that `loosely` knows, for a tokenizer."""
    lists = (_WHOSE, _LOOKS, _DEEDS, _WHERE, _SCENERY, _MEDIA)
    return {word for words in lists for phrase in words for word in phrase.split()}


def _look(random: np.random.Generator) -> str:
    return made_up(random) if random.random() < 0.15 else _one_of(random, _LOOKS)


def _deed(random: np.random.Generator) -> str:
    deed = _one_of(random, _DEEDS)
    how = random.random()
    if how < 0.4:
        return deed
    thing = made_up(random) if random.random() < 0.2 else _one_of(random, _SCENERY)
    thing = article(thing) if random.random() < 0.5 else _one_of(random, ["the ", ""]) + thing
    return f"{deed} {thing}" if how < 0.6 else f"{deed} {_one_of(random, _WHERE)} {thing}"


def _one_of(random: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(random.integers(len(choices)))]
