"""`python -m sdnb.models.evaluate --data DATA`: what the built-in model can do, in figures.

It measures on the CPU: seconds a picture; the VAE on scenes that it never saw; whether a classifier
of the real sprites finds the asked concept among 200, for seen and for held-out pairs of concept
and style; background colours; counts; and how near the pictures are to the training sprites. The
pictures stay in `--out`, with their requests inside.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import sdnb
from sdnb.engine import pixels
from sdnb.engine.model import Model
from sdnb.models.training import classifier, judges, questions
from sdnb.models.training.catalog import Catalog
from sdnb.models.training.painter import Painter
from sdnb.models.training.questions import AnsweredQuestion
from sdnb.models.training.scenes import Composer, plain, stack
from sdnb.request.plain_words import counted

Figures = dict[str, Any]
#: The least figures of a model that ships.
GOALS = {
    "vae.psnr": 30.0, "retrieval.seen.top5": 0.8, "retrieval.held_out.top5": 0.6,
    "colors.right": 0.85, "counts.right": 0.6,
}  # fmt: skip
TESTS = ("speed", "vae", "counts", "colors", "retrieval")
_SCALES = (0.62, 0.68, 0.74, 0.8, 0.86)  # of a sprite that is compared with a picture
_HELD_OUT_SCENES = 64


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tests and print their figures; 0 where every goal is met, else 1."""
    args = _parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    catalog = Catalog(args.data)
    model = sdnb.load(args.model, memory="cpu", precision="full")
    tests: dict[str, Callable[[], Figures]] = {
        "speed": lambda: speed(model, args.threads),
        "vae": lambda: vae(model, catalog),
        "counts": lambda: counts(model, args.out, args.most),
        "colors": lambda: colors(model, args.out, args.most),
        "retrieval": lambda: retrieval(model, catalog, args),
    }
    figures: Figures = {"model": model.name, "fingerprint": model.fingerprint}
    for name in args.only or tests:
        figures[name] = tests[name]()
        print(f"{name}: {json.dumps(figures[name])}", flush=True)
    missed = [f"{name} >= {goal}" for name, goal in GOALS.items() if _missed(figures, name, goal)]
    print("goals missed: " + (", ".join(missed) or "none"))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sdnb.models.evaluate", description=__doc__.partition("\n\n")[2]
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of sprites (see training)")
    parser.add_argument("--model", help="a checkpoint; the built-in model by default")
    parser.add_argument("--out", type=Path, default=Path("evaluation"), help="pictures go here")
    parser.add_argument("--concepts", type=int, default=200, help="the retrieval is among so many")
    parser.add_argument("--most", type=int, help="questions of each test; all by default")
    parser.add_argument("--only", nargs="+", choices=TESTS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser


def _missed(figures: Figures, path: str, goal: float) -> bool:
    """Whether a figure that was measured is below its goal."""
    value: Any = figures
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value is not None and value < goal


def speed(model: Model, threads: int) -> Figures:
    """Seconds a picture at the model's own size, steps and guidance; a first one does not count."""
    prompt, settings = "a red apple, 3d style", model.settings
    results = [sdnb.txt2img(model, prompt, seed=seed, progress=False) for seed in range(4)]
    times = [result.seconds for result in results[1:]]
    cost = f"{counted(settings.steps, 'step')}, {counted(threads, 'thread')}"
    picture = f"{settings.width}x{settings.height}, {cost}"
    return {"seconds": statistics.median(times), "least": min(times), "picture": picture}


@torch.inference_mode()
def vae(model: Model, catalog: Catalog) -> Figures:
    """PSNR of scenes made only of held-out pairs, encoded and decoded."""
    torch.manual_seed(0)  # the painter draws random stars
    composer = Composer(catalog, seed=9, which="held")
    scenes = [composer.draw()[0] for _ in range(_HELD_OUT_SCENES)]
    numbers = sorted({int(n) for scene in scenes for n in scene.sprite if n >= 0})
    place = {number: i for i, number in enumerate(numbers)}
    for scene in scenes:  # read only the sprites that are used
        scene.sprite[:] = [place.get(int(n), -1) for n in scene.sprite]
    painter = Painter(catalog.sprites(numbers), model.settings.width)
    pictures = (painter(stack([scene])) for scene in scenes)
    values = [float(judges.coded_psnr(model.vae, picture)) for picture in pictures]
    mean, least = _rounded(statistics.mean(values)), _rounded(min(values))
    return {"psnr": mean, "least": least, "scenes": _HELD_OUT_SCENES}


def counts(model: Model, out: Path, most: int | None) -> Figures:
    """Two and three of a thing, counted as connected components, with and without cut bridges."""
    asked = questions.count_questions()[:most]
    answered = list(questions.answers(model, asked, out / "count"))
    right, plainly = [], []
    for answer in answered:
        picture, count = np.asarray(answer.picture), answer.question.count
        right.append(judges.count_things(picture) == count)
        plainly.append(judges.count_things(picture, bridge=0.0) == count)
    figures: Figures = {"right": _rounded(judges.share(right))}
    for n, word in questions.NUMBERS.items():
        among = [r for r, a in zip(right, answered, strict=True) if a.question.count == n]
        figures[word] = f"{sum(among)} of {len(among)}"
    without = _rounded(judges.share(plainly))
    return {**figures, "without_cutting": without, "pictures": len(answered)}


def colors(model: Model, out: Path, most: int | None) -> Figures:
    """Whether the rim of a picture is nearest to the asked one of the twelve colours."""
    asked = questions.color_questions()[:most]
    answered = list(questions.answers(model, asked, out / "color"))
    right, wrong = [], []
    for answer in answered:
        name = judges.border_color(np.asarray(answer.picture))
        right.append(name == answer.question.color)
        if not right[-1]:
            wrong.append(f"{answer.question.prompt}: {name}")
    return {"right": _rounded(judges.share(right)), "pictures": len(answered), "wrong": wrong}


def retrieval(model: Model, catalog: Catalog, args: argparse.Namespace) -> Figures:
    """Where the classifier ranks the asked concept, and how near each picture is to a sprite."""
    rows = questions.rows_asked(catalog, args.concepts)
    asked = questions.retrieval_questions(catalog, rows)[: args.most]
    answered = list(questions.answers(model, asked, args.out / "retrieval"))
    judge = classifier.train(*classifier.examples(catalog, rows, 10, seed=0), count=len(rows))
    fresh, known = classifier.examples(catalog, rows, 1, seed=1)
    pictures = torch.cat([pixels.tensor(answer.picture) for answer in answered])
    classes = torch.tensor([rows.index(answer.question.row) for answer in answered])
    ranks = classifier.ranks(judge, classifier.shrink(pictures), classes)
    on_sprites = _top(classifier.ranks(judge, classifier.floats(fresh), known))
    figures: Figures = {"classifier_on_sprites": on_sprites, "concepts": len(rows)}
    for kind in ("seen", "held_out"):
        at = [i for i, answer in enumerate(answered) if answer.question.kind == kind]
        figures[kind] = _top(ranks[at]) | _nearness(catalog, [answered[i] for i in at])
    return figures


def _nearness(catalog: Catalog, answered: Sequence[AnsweredQuestion]) -> Figures:
    """The distance to the nearest sprite of the asked concept, and how often the style is right.

    A held-out pair cannot have been memorised: its distance is that of a picture drawn anew.
    """
    distances, asked_style = [], []
    for answer in answered:
        row = answer.question.row
        styles = catalog.concepts[row].judged
        painter = Painter(catalog.sprites([catalog.number[row, s] for s in styles]))
        plans = [plain(i, scale=s) for i in range(len(styles)) for s in _SCALES]
        known = painter(stack(plans))
        distance, index = judges.nearest(pixels.tensor(answer.picture)[0], known)
        distances.append(distance)
        asked_style.append(styles[index // len(_SCALES)] == answer.question.style)
    if not answered:
        return {}
    return {
        "nearest": _rounded(statistics.median(distances), 3),
        "least_near": _rounded(min(distances), 3),
        "nearest_is_asked_style": _rounded(judges.share(asked_style)),
    }


def _top(ranks: Tensor) -> Figures:
    shares = {f"top{k}": _rounded(judges.share((ranks < k).tolist())) for k in (1, 5)}
    return {**shares, "of": len(ranks)}


def _rounded(value: float, digits: int = 2) -> float:
    """Rounded down, so that a goal is never met by rounding."""
    return np.floor(value * 10**digits).item() / 10**digits


if __name__ == "__main__":
    sys.exit(main())
