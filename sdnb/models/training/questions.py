"""The evaluation's questions to a model, and the pictures that answer them.

A question is a prompt with a known right answer and a fixed seed. The pictures are kept as PNGs
with their request, and are made once for each model.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sdnb import images
from sdnb.engine.loading import load
from sdnb.engine.model import Model
from sdnb.engine.pipeline import generate
from sdnb.request import Request
from sdnb.request.memory_plan import MemoryPlan

from .catalog import Catalog
from .phrases import MAIN_COLORS, article, plural, style_words

# Things that a newcomer would type, whose own colours nobody takes for the background's.
COLOR_THINGS = ("cat face", "house", "sailboat")
COUNT_THINGS = (
    "red apple", "strawberry", "soccer ball", "mushroom", "hamburger", "rocket", "cat face",
    "octopus", "gem stone", "wrapped gift", "turtle", "doughnut",
)  # fmt: skip
NUMBERS = {2: "two", 3: "three"}
#: In a catalog's folder: the labels of concepts that the first model was not shown, one a line.
NEW = "new200.txt"
#: How a model answers, so that models can be compared.
ALIKE: dict[str, Any] = {"steps": 25, "cfg": 4.0, "sampler": "ddim", "schedule": "uniform"}
_HUNDRED, _PAIRS = (Path(__file__).with_name(name) for name in ("hundred.txt", "pairs.txt"))


@dataclass(frozen=True)
class Question:
    """A prompt, and what its picture should show."""

    kind: str  # "seen", "held_out", "new", "color", "count", "hundred" or "pair"
    prompt: str
    row: int = -1  # of the concept in the catalog
    style: str = ""
    color: str = ""
    count: int = 0
    thing: str = ""  # what a person must recognise


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
    asked: list[Question] = []
    for turn, row in enumerate(rows):
        concept = catalog.concepts[row]
        asked += _in_turn("seen", catalog, row, concept.asked, turn)
        asked += [_plain("held_out", catalog, row, style) for style in concept.held_out]
    return _shuffled(asked, seed=1)


def new_labels(catalog: Catalog) -> list[str]:
    """The labels of the catalog's list of new concepts; none where it has no list."""
    path = catalog.folder / NEW
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [line.strip() for line in lines if line.strip()]


def new_rows(catalog: Catalog) -> list[int]:
    """The rows of the new concepts. Raises ValueError for a label that the catalog has not."""
    row = {concept.label: i for i, concept in enumerate(catalog.concepts)}
    labels = new_labels(catalog)
    missing = [label for label in labels if label not in row]
    if missing:
        raise ValueError(
            f"{catalog.folder / NEW} names {missing[0]!r} and {len(missing) - 1} more labels that "
            "concepts.json does not have: write the labels as they are there, one a line"
        )
    return sorted({row[label] for label in labels})


def new_questions(catalog: Catalog, rows: Sequence[int]) -> list[Question]:
    """Each new concept in one of its styles, in turn; shuffled."""
    asked: list[Question] = []
    for turn, row in enumerate(rows):
        asked += _in_turn("new", catalog, row, catalog.concepts[row].styles, turn)
    return _shuffled(asked, seed=3)


def _in_turn(
    kind: str, catalog: Catalog, row: int, styles: Sequence[str], turn: int
) -> list[Question]:
    """The question on a concept in the next of its styles that the UNet was shown, if any."""
    seen = [style for style in styles if style not in catalog.concepts[row].held_out]
    return [_plain(kind, catalog, row, seen[turn % len(seen)])] if seen else []


def _plain(kind: str, catalog: Catalog, row: int, style: str) -> Question:
    words = f"{article(catalog.concepts[row].label)}, {style_words(style)[0]}, white background"
    return Question(kind, words, row=row, style=style)


def _shuffled(asked: Sequence[Question], seed: int) -> list[Question]:
    """The same questions in a fixed order, of which the first N are a fair sample."""
    return [asked[i] for i in np.random.default_rng(seed).permutation(len(asked))]


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


def hundred_questions() -> list[Question]:
    """Prompts in a newcomer's words, and what a person must recognise; shuffled.

    In the file like stands beside like, and who looks at the pictures should not guess by that.
    """
    halves = [line.split(" | ") for line in _lines(_HUNDRED)]
    asked = [Question("hundred", prompt, thing=thing) for prompt, thing in halves]
    return _shuffled(asked, seed=2)


def pair_questions() -> list[Question]:
    """Prompts for two models, first of things that the first model knew, then of ordinary words."""
    return [Question("pair", prompt) for prompt in _lines(_PAIRS)]


def _lines(path: Path) -> list[str]:
    lines = path.read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@dataclass(frozen=True)
class Share:
    """One of several processes that share the questions; by default the only one."""

    number: int = 1
    of: int = 1

    @classmethod
    def read(cls, words: str) -> Share:
        """Of "2/4", as a command's argument. Raises ArgumentTypeError for anything else."""
        number, _, of = words.partition("/")
        if not (number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of)):
            raise ArgumentTypeError(f"{words!r} is no part: write 1/4 for the first of four")
        return cls(int(number), int(of))

    def has(self, i: int) -> bool:
        """Whether question `i`, from 0 on, is its."""
        return i % self.of == self.number - 1


def model_on(
    device: str, path: str | Path | None = None, tiny_vae: str | Path | None = None
) -> Model:
    """A model in float32 on "cpu", "cuda" or "cuda:1", the built-in one without a path; and a tiny
    VAE beside its own.
    """
    speed = "graph" if device.startswith("cuda") else "eager"
    plan = MemoryPlan(device=device, speed=speed)
    return load(path, plan, precision="full", tiny_vae=tiny_vae)


def answers(
    model: Model,
    questions: Sequence[Question],
    folder: Path,
    steps: int | None = None,
    part: Share | None = None,
    *,
    own: bool = False,
) -> Iterator[AnsweredQuestion]:
    """Each question with its picture, read from `folder` if this model has made it before.

    All models make them by `ALIKE`; with `own`, by the guidance, sampler and steps that suit this
    one. `steps` are in place of either's. A part answers its share. The pictures do not depend on
    who makes them.
    """
    how = Request(**({} if own else ALIKE)).but(**({} if steps is None else {"steps": steps}))
    for i, question in enumerate(questions):
        if part is not None and not part.has(i):
            continue
        request = how.but(prompt=question.prompt, seed=1000 + i).resolved(model.settings)
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
