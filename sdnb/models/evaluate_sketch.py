"""`python -m sdnb.models.evaluate_sketch --data DATA`: how far pictures follow a drawing.

The things that `sdnb.models.evaluate` asks for are drawn as the sketch net was trained on drawings:
each somewhere, in some size, by some pen. The model makes each with the drawing and without it,
with the same words and seed. It prints how far a drawn pixel is from the nearest edge of the
picture on average, and how often the asked thing is found; for a fast variant too.

All pictures are kept in `--out`, and laid out in `sketches.jpg` to be looked at: the drawing, the
picture without it, and with it.
"""

from __future__ import annotations

import argparse
import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import sdnb
from sdnb.hints.opencv import cv2
from sdnb.models.evaluate import Evaluation
from sdnb.models.training import drawn_hints, judges, questions
from sdnb.models.training.drawn_hints import Painted
from sdnb.models.training.painter import Painter
from sdnb.models.training.questions import AnsweredQuestion, Question
from sdnb.models.training.scenes import plain, stack

Array = np.ndarray[Any, Any]
Figures = dict[str, Any]
NEARER, KEPT = 0.5, 0.9  # of the distance, and of the things found, without the drawing
_DRAWN = 128  # of 0..255
_FAR, _SCALES = 0.3, (0.5, 0.75)  # from the middle, -1..1; of the picture's side
_SHOWN, _ROWS = 128, 8


def main(argv: Sequence[str] | None = None) -> int:
    """Make the pictures, judge them and lay them out; 0 where every goal is met, else 1."""
    args = _parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    sketches = []
    for name in args.models:
        own = name != args.models[0]
        given = {"model": name, "own": own, "out": args.out / name, "tiny_vae": None}
        sketches.append(Sketches(Evaluation(Namespace(**{**vars(args), **given}))))
    # One classifier judges all: to train it takes longer than to make the pictures.
    answers = [answer for each in sketches for way in each.answers.values() for answer in way]
    ranks, _ = sketches[0].side.ranks(answers, sketches[0].side.rows)
    missed, figures = [], {}
    shares = ranks.chunk(len(sketches))
    for name, each, own_ranks in zip(args.models, sketches, shares, strict=True):
        figures[name] = each.judged(own_ranks)
        print(f"{name}: {json.dumps(figures[name])}", flush=True)
        missed += [f"{name}, {goal}" for goal, met in goals(figures[name]).items() if not met]
    print("goals missed: " + ("; ".join(missed) or "none"))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sdnb.models.evaluate_sketch", description=__doc__.partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data", type=Path, required=True, help="folder of sprites (see training)")
    parser.add_argument(
        "--models", nargs="+", default=["tiny", "tiny-fast"],
        help="the first by 25 steps with guidance, others by the settings that suit them",
    )  # fmt: skip
    parser.add_argument("--scale", type=float, default=1.0, help="of the control")
    parser.add_argument("--most", type=int, default=40, help="drawings (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("evaluation-sketch"), help="pictures")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1; in float32 on each")
    parser.add_argument("--concepts", type=int, default=200, help="the retrieval is among so many")
    parser.add_argument("--steps", type=int, help="in place of each model's")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser


def goals(figures: Figures) -> dict[str, bool]:
    """Whether each goal is met."""
    distance, found = figures["distance"], figures["top5"]
    return {
        f"distance at most {NEARER} of that without": distance["with"]
        <= NEARER * distance["without"],
        f"top-5 at least {KEPT} of that without": found["with"] >= KEPT * found["without"],
    }


class Sketches:
    """The drawings, and what one model makes of them: `answers`, without them and with them."""

    def __init__(self, side: Evaluation) -> None:
        self.side, self.args = side, side.args
        every = questions.retrieval_questions(side.catalog, side.rows)
        self.asked: list[Question] = every[: self.args.most]
        self.drawings = [self._drawing(n, question) for n, question in enumerate(self.asked)]
        self.answers = {
            "without": [self._made(n, None) for n in range(len(self.asked))],
            "with": [self._made(n, drawing) for n, drawing in enumerate(self.drawings)],
        }

    def judged(self, ranks: torch.Tensor) -> Figures:
        """The figures of both ways, of which `ranks` are the concepts that score above the asked
        one `[2 n]`; the sheet is written.
        """
        halves = dict(zip(self.answers, ranks.chunk(2), strict=True))
        figures: Figures = {"distance": {}, "top5": {}, "of": len(self.asked)}
        for way, answers in self.answers.items():
            pairs = zip(self.drawings, answers, strict=True)
            apart = [distance(drawing, np.asarray(each.picture)) for drawing, each in pairs]
            figures["distance"][way] = round(float(np.mean(apart)), 2)
            figures["top5"][way] = round(judges.share((halves[way] < 5).tolist()), 3)
        drawn = [Image.fromarray(255 - drawing) for drawing in self.drawings]
        made = [[each.picture for each in self.answers[way]] for way in ("without", "with")]
        rows = [
            each.resize((_SHOWN, _SHOWN)) for row in zip(drawn, *made, strict=True) for each in row
        ]
        sheet = sdnb.images.sheet([each.convert("RGB") for each in rows], columns=3 * _ROWS // 2)
        sheet.save(self.args.out / "sketches.jpg", quality=90)
        return figures

    def _drawing(self, n: int, question: Question) -> Array:
        """Light lines on black `[s, s]`: of the thing, somewhere."""
        random = np.random.default_rng(7000 + n)
        sprite = self.side.catalog.number[question.row, question.style]
        scene = plain(0, scale=random.uniform(*_SCALES))
        scene.place[0] = random.uniform(-_FAR, _FAR, 2)
        size = self.side.model.settings.width
        painter = Painter(self.side.catalog.sprites([sprite]), size)
        painted, things = painter.with_things(stack([scene]))
        pixels = ((painted[0] + 1) * 127.5).round().byte().permute(1, 2, 0).contiguous().numpy()
        return drawn_hints.sketch(Painted(pixels, things[0].numpy(), random))[:, :, 0]

    def _made(self, n: int, drawing: Array | None) -> AnsweredQuestion:
        question, args = self.asked[n], self.args
        how = {} if args.own else dict(questions.ALIKE)
        if args.steps is not None:
            how["steps"] = args.steps
        asked = sdnb.Request(question.prompt, seed=1000 + n, **how)
        if drawing is not None:
            control = sdnb.Control("sketch", sdnb.images.picture(drawing), scale=args.scale)
            asked = asked.but(controls=control)
        result = sdnb.generate(self.side.model, asked, progress=False)
        result.save(args.out, f"{n:03d}-{'free' if drawing is None else 'drawn'}")
        return AnsweredQuestion(question, result.image)


def distance(drawing: Array, picture: Array) -> float:
    """How far a drawn pixel is from the nearest edge of the picture on average, in pixels; drawn
    are the outlines of what is drawn, and edges are Canny's.
    """
    edges = cv2().Canny(picture, 60, 120)
    away = cv2().distanceTransform(255 - edges, cv2().DIST_L2, 5)
    drawn = (drawing >= _DRAWN).astype(np.uint8)
    inside = cv2().erode(drawn, np.ones((3, 3), np.uint8))
    return float(away[drawn > inside].mean())


if __name__ == "__main__":
    sys.exit(main())
