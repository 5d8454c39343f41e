"""The evaluation's questions to a model, and the pictures that answer them.

A question is a prompt with a known right answer and a fixed seed. The pictures are kept as PNGs
with their request, and are made once for each model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sdnb import images
from sdnb.engine.model import Model
from sdnb.engine.pipeline import generate
from sdnb.request import Request

from .catalog import Catalog
from .phrases import MAIN_COLORS, article, plural, style_words

# Things that a newcomer would type, whose own colours nobody takes for the background's.
COLOR_THINGS = ("cat face", "house", "sailboat")
COUNT_THINGS = (
    "red apple", "strawberry", "soccer ball", "mushroom", "hamburger", "rocket", "cat face",
    "octopus", "gem stone", "wrapped gift", "turtle", "doughnut",
)  # fmt: skip
NUMBERS = {2: "two", 3: "three"}


@dataclass(frozen=True)
class Question:
    """A prompt, and what its picture should show."""

    kind: str  # "seen", "held_out", "color" or "count"
    prompt: str
    row: int = -1  # of the concept in the catalog
    style: str = ""
    color: str = ""
    count: int = 0


@dataclass(frozen=True)
class AnsweredQuestion:
    """A question with its picture."""

    question: Question
    picture: Image.Image


def rows_asked(catalog: Catalog, concepts: int) -> list[int]:
    """Random rows of concepts for the retrieval, three in ten with a held-out style."""
    # Of all concepts one in four has such a style; a few more make the figure steadier.
    known = [row for row, concept in enumerate(catalog.concepts) if concept.asked]
    drawn = [known[i] for i in np.random.default_rng(0).permutation(len(known))]
    held = [row for row in drawn if catalog.concepts[row].held_out][: concepts * 3 // 10]
    rest = [row for row in drawn if row not in held][: concepts - len(held)]
    return sorted(held + rest)


def retrieval_questions(catalog: Catalog, rows: Sequence[int]) -> list[Question]:
    """One seen pair of each concept, with its styles in turn, and every held-out pair; shuffled."""
    asked = []
    for turn, row in enumerate(rows):
        concept = catalog.concepts[row]
        seen = [style for style in concept.asked if style not in concept.held_out]
        asked.append(_plain("seen", catalog, row, seen[turn % len(seen)]))
        asked += [_plain("held_out", catalog, row, style) for style in concept.held_out]
    # The first N are a fair sample.
    return [asked[i] for i in np.random.default_rng(1).permutation(len(asked))]


def _plain(kind: str, catalog: Catalog, row: int, style: str) -> Question:
    words = f"{article(catalog.concepts[row].label)}, {style_words(style)[0]}, white background"
    return Question(kind, words, row=row, style=style)


def color_questions() -> list[Question]:
    """Things on each of the twelve colours."""
    return [
        Question("color", f"{article(thing)} on {article(color)} background", color=color)
        for color in MAIN_COLORS
        for thing in COLOR_THINGS
    ]


def count_questions() -> list[Question]:
    """Two and three of each thing."""
    return [
        Question("count", f"{word} {plural(thing)} on a white background", count=count)
        for count, word in NUMBERS.items()
        for thing in COUNT_THINGS
    ]


def answers(
    model: Model, questions: Sequence[Question], folder: Path, steps: int = 25
) -> Iterator[AnsweredQuestion]:
    """Each question with its picture, read from `folder` if this model has made it before."""
    for i, question in enumerate(questions):
        request = Request(
            question.prompt, steps=steps, cfg=4.0, seed=1000 + i, sampler="ddim",
            schedule="uniform",
        ).resolved(model.settings)  # fmt: skip
        name = f"{question.kind}-{i:03d}"
        path = folder / f"{name}.png"
        if path.exists():
            saved = images.inspect(path)
            if (saved.request, saved.fingerprint) == (request, model.fingerprint):
                yield AnsweredQuestion(question, Image.open(path).convert("RGB"))
                continue
            path.unlink()  # of another model, or of other settings
        result = generate(model, request, progress=False)
        result.save(folder, name)
        yield AnsweredQuestion(question, result.image)
