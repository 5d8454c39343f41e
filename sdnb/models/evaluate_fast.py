"""`python -m sdnb.models.evaluate_fast --data DATA`: a fast variant beside the model that it is of.

Both are asked the questions of `sdnb.models.evaluate` on things, background colours and counts,
with the same seeds: the standard one by 25 steps of ddim at cfg 4, the fast one by the settings
that suit it. It prints the rows of both, how the fast one keeps up, and lays out forty pairs of
pictures to be looked at, the standard one's left: `pairs-1.jpg` and `pairs-2.jpg` in `--out`.

With `--part 1/4`, `2/4` and so on several processes make the pictures, and one more judges.
"""

from __future__ import annotations

import argparse
import json
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from sdnb.models import pairs
from sdnb.models.evaluate import Evaluation
from sdnb.models.training import questions
from sdnb.models.training.questions import AnsweredQuestion, Share
from sdnb.request.plain_words import counted

Figures = dict[str, Any]
TESTS = ("retrieval", "colors", "counts")
KEPT = 0.93  # of the standard model's share of things that are found
COLORS_RIGHT = 34 / 36
COUNTS_LOST = 2  # of each number of things
_PAIRS = 40


def main(argv: Sequence[str] | None = None) -> int:
    """Make the pictures, judge them and lay out the pairs; 0 where every goal is met, else 1."""
    args = _parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    sides = {
        "standard": _evaluation(args, args.model, "standard", own=False),
        "fast": _evaluation(args, args.fast, "fast", own=True),
    }
    if args.part:
        made = sum(1 for side in sides.values() for _ in _made(side))
        print(counted(made, "picture"))
        return 0
    figures: dict[str, Figures] = {name: {} for name in sides}
    for name, side in sides.items():
        for test in TESTS:
            figures[name][test] = side.run(test)
            print(f"{name}, {test}: {json.dumps(figures[name][test])}", flush=True)
    left, right = (list(_pairs(side)) for side in sides.values())
    for number, sheet in enumerate(pairs.sheets(left, right, [0] * len(left)), 1):
        sheet.save(args.out / f"pairs-{number}.jpg", quality=90)
    rows = compared(figures["standard"], figures["fast"])
    heads = [_head(side) for side in sides.values()]
    print(f"| test | {heads[0]} | {heads[1]} | kept | goal |\n|---|---|---|---|---|")
    print("\n".join(row.line for row in rows))
    missed = [row.name for row in rows if not row.met]
    print("goals missed: " + (", ".join(missed) or "none"))
    if args.json:
        about = {name: side.model.fingerprint for name, side in sides.items()}
        args.json.write_text(
            json.dumps({"fingerprints": about, **figures}, indent=2) + "\n", encoding="utf-8"
        )
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sdnb.models.evaluate_fast", description=__doc__.partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data", type=Path, required=True, help="folder of sprites (see training)")
    parser.add_argument("--model", help="the standard model; the built-in one by default")
    parser.add_argument("--fast", default="tiny-fast", help="its variant (%(default)s)")
    parser.add_argument("--steps", type=int, help="of the fast one, in place of its own")
    parser.add_argument("--out", type=Path, default=Path("evaluation-fast"), help="pictures")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1; in float32 on each")
    parser.add_argument("--part", type=Share.read, help="only make pictures: 1/4 for a quarter")
    parser.add_argument("--concepts", type=int, default=200, help="the retrieval is among so many")
    parser.add_argument("--most", type=int, help="questions of each test; all by default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser


def _evaluation(args: Namespace, model: str | None, folder: str, *, own: bool) -> Evaluation:
    steps = args.steps if own else None
    out = args.out / (folder if steps is None else f"{folder}-{steps}")
    given = {"model": model, "own": own, "out": out, "steps": steps, "tiny_vae": None}
    return Evaluation(Namespace(**{**vars(args), **given}))


def _made(side: Evaluation) -> Iterator[AnsweredQuestion]:
    for test in TESTS:
        yield from side.answers(test)
    yield from _pairs(side)


def _pairs(side: Evaluation) -> Iterator[AnsweredQuestion]:
    """Forty of the prompts on which people compare two models, spread over all of them."""
    every = questions.pair_questions()
    some = [every[i * len(every) // _PAIRS] for i in range(_PAIRS)][: side.args.most]
    yield from side.answers_of(some, "pairs")


def _head(side: Evaluation) -> str:
    settings = side.model.settings
    steps, cfg = (
        (settings.steps, settings.cfg)
        if side.args.own
        else (questions.ALIKE["steps"], questions.ALIKE["cfg"])
    )
    return f"{counted(side.args.steps or steps, 'step')}, cfg {cfg:g}"


class KeptRow:
    """A line of the table: both figures, the goal, and whether it is met."""

    def __init__(self, name: str, both: Sequence[str], kept: str, goal: str, *, met: bool) -> None:
        self.name, self.met = name, met
        self.line = f"| {name} | {both[0]} | {both[1]} | {kept} | {goal} |"


def compared(standard: Figures, fast: Figures) -> list[KeptRow]:
    """How the fast model keeps up with the standard one, by the figures of both."""
    rows = []
    for kind, words in (("seen", "seen pairs"), ("held_out", "held-out pairs")):
        if kind in standard["retrieval"]:
            one, other = (side["retrieval"][kind]["top5"] for side in (standard, fast))
            ratio = other / one if one else 0.0
            shown = [f"{value:.0%}" for value in (one, other)]
            name = f"asked concept among {standard['retrieval']['concepts']}, {words}, top-5"
            rows.append(KeptRow(name, shown, f"{ratio:.3f}", f">= {KEPT}", met=ratio >= KEPT))
    right = [f["colors"]["pictures"] - len(f["colors"]["wrong"]) for f in (standard, fast)]
    of = fast["colors"]["pictures"]
    shown = [f"{n} of {of}" for n in right]
    met = right[1] >= COLORS_RIGHT * of
    rows.append(
        KeptRow("background colour", shown, f"{right[1] - right[0]:+}", ">= 34 of 36", met=met)
    )
    for word in questions.NUMBERS.values():
        shown = [f["counts"][word] for f in (standard, fast)]
        before, after = (int(text.split()[0]) for text in shown)
        lost = before - after
        met = lost <= COUNTS_LOST
        rows.append(
            KeptRow(f"{word} of a thing", shown, f"{-lost:+}", f">= -{COUNTS_LOST}", met=met)
        )
    return rows


if __name__ == "__main__":
    sys.exit(main())
