"""`python -m sdnb.models.evaluate --data DATA`: what the built-in model can do, in figures.

It measures seconds a picture; the VAE on scenes that it never saw; whether a classifier of the real
sprites finds the asked concept among 200, for seen and for held-out pairs of concept and style, and
for concepts that the first model did not know (`DATA/new200.txt`); background colours; counts; and
how near the pictures are to the training sprites. It makes a hundred pictures of ordinary prompts,
which a person judges (`sdnb.models.hundred`). The pictures stay in `--out`, with their requests
inside: with `--part 1/4`, `2/4` and so on several processes make them, and one more judges.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import sdnb
from sdnb.engine import pixels
from sdnb.engine.full_precision import current, full_precision
from sdnb.models import card_rows, hundred
from sdnb.models.training import classifier, held_out, judges, questions
from sdnb.models.training.catalog import Catalog
from sdnb.models.training.painter import Painter
from sdnb.models.training.questions import AnsweredQuestion, Question, Share
from sdnb.models.training.scenes import plain, stack
from sdnb.request.plain_words import counted

Figures = dict[str, Any]
#: The least figures of a model that ships.
GOALS = {
    "vae.psnr": 30.0, "tiny_vae.decoder": 30.0, "tiny_vae.encoder": 30.0,
    "retrieval.seen.top5": 0.8, "retrieval.held_out.top5": 0.6, "new.top5": 0.7,
    "colors.right": 0.85, "counts.right": 0.6,
}  # fmt: skip
#: Every test, and the folder of its pictures, if it asks questions.
TESTS = {
    "speed": "", "vae": "", "tiny_vae": "", "counts": "count", "colors": "color",
    "retrieval": "retrieval", "new": "new", "hundred": "hundred",
}  # fmt: skip
_SCALES = (0.62, 0.68, 0.74, 0.8, 0.86)  # of a sprite that is compared with a picture
_TIMED = 20  # decodes, of which the quickest counts
_VIEWS = 10  # of each sprite, from which the classifier learns
_LEAST_VIEWS = 50  # of each concept: the new ones have one to three sprites


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tests and print their figures; 0 where every goal is met, else 1."""
    args = _parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    evaluation = Evaluation(args)
    able = {"new": bool(evaluation.new_rows), "tiny_vae": evaluation.model.tiny_vae is not None}
    names = args.only or [name for name in TESTS if able.get(name, True)]
    if args.part:
        made = sum(1 for name in names for _ in evaluation.answers(name))
        print(counted(made, "picture"))
        return 0
    figures: Figures = {"model": evaluation.model.name, "device": args.device}
    figures["fingerprint"] = evaluation.model.fingerprint
    for name in names:
        figures[name] = evaluation.run(name)
        print(f"{name}: {json.dumps(figures[name])}", flush=True)
    if "new" not in names and not args.only:
        print(f"new: not asked, since there is no {args.data / questions.NEW}")
    print("\n".join(["", *card_rows.table(figures), ""]))
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
    parser.add_argument("--tiny-vae", help="a tiny VAE's file or folder to judge beside the model")
    parser.add_argument("--out", type=Path, default=Path("evaluation"), help="pictures go here")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1; in float32 on each")
    parser.add_argument("--part", type=Share.read, help="only make pictures: 1/4 for a quarter")
    parser.add_argument("--concepts", type=int, default=200, help="the retrieval is among so many")
    parser.add_argument("--most", type=int, help="questions of each test; all by default")
    parser.add_argument("--only", nargs="+", choices=tuple(TESTS))
    parser.add_argument(
        "--own", action="store_true",
        help="by the steps, guidance and sampler that suit the model, not by 25 of ddim at cfg 4",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, help="in place of these")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser


def _missed(figures: Figures, path: str, goal: float) -> bool:
    """Whether a figure that was measured is below its goal."""
    value: Any = figures
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value is not None and value < goal


class Evaluation:
    """The tests of one model. Each method gives the figures of the test of its name."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.catalog = args, Catalog(args.data)
        self.model = questions.model_on(args.device, args.model, args.tiny_vae)
        self.device = self.model.device
        self.rows = questions.rows_asked(self.catalog, args.concepts)
        self.new_rows = questions.new_rows(self.catalog)

    def run(self, name: str) -> Figures:
        """The figures of a test."""
        figures: Figures = getattr(self, name)()
        return figures

    def answers(self, name: str) -> Iterator[AnsweredQuestion]:
        """The questions of a test with their pictures, or a part of them; none if it asks none."""
        asked: dict[str, Callable[[], list[Question]]] = {
            "counts": questions.count_questions,
            "colors": questions.color_questions,
            "retrieval": lambda: questions.retrieval_questions(self.catalog, self.rows),
            "new": lambda: questions.new_questions(self.catalog, self.new_rows),
            "hundred": questions.hundred_questions,
        }
        some = asked[name]()[: self.args.most] if name in asked else []
        yield from self.answers_of(some, TESTS[name])

    def answers_of(self, asked: Sequence[Question], folder: str) -> Iterator[AnsweredQuestion]:
        """These questions with their pictures, which are kept in this folder of `--out`."""
        args = self.args
        yield from questions.answers(
            self.model, asked, args.out / folder, args.steps, args.part, own=args.own
        )

    def speed(self) -> Figures:
        """Seconds a picture at the model's own size, steps and guidance; a first one is free."""
        prompt, settings = "a red apple, 3d style", self.model.settings
        results = [sdnb.txt2img(self.model, prompt, seed=seed, progress=False) for seed in range(4)]
        times = [result.seconds for result in results[1:]]
        size, steps = f"{settings.width}x{settings.height}", counted(settings.steps, "step")
        picture = f"{size}, {steps}, {self._where()}"
        return {"seconds": statistics.median(times), "least": min(times), "picture": picture}

    def _where(self) -> str:
        """What computes, as a figure of time says it."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return counted(self.args.threads, "thread")

    @torch.inference_mode()
    def vae(self) -> Figures:
        """PSNR of scenes made only of held-out pairs, encoded and decoded."""
        with full_precision(), current(self.device):
            values = [float(judges.coded_psnr(self.model.vae, picture)) for picture in self._held()]
        mean, least = _rounded(statistics.mean(values)), _rounded(min(values))
        return {"psnr": mean, "least": least, "scenes": held_out.SCENES}

    @torch.inference_mode()
    def tiny_vae(self) -> Figures:
        """PSNR of the tiny VAE beside the model's own against that one, on the same scenes: of its
        decoder, and of the full decoder's pictures of its latents; in float16 too. The milliseconds
        of one picture are the least of several, its megabytes those of its weights in float16.
        """
        tiny = self.model.tiny_vae
        if tiny is None:
            raise ValueError(
                f"{self.model.name} has no tiny VAE beside its own: give one as --tiny-vae, or "
                "leave this test out"
            )
        with full_precision(), current(self.device):
            figures = judges.tiny_vae_figures(self.model.vae, tiny, self._held())
            latent = tiny.encode(next(self._held()))
            times = [_milliseconds(lambda: tiny.decode(latent)) for _ in range(_TIMED)]
        rounded = {name: _rounded(value) for name, value in figures.items()}
        size, megabytes = (
            self.model.settings.width,
            2e-6 * sum(p.numel() for p in tiny.parameters()),
        )
        return {
            **rounded, "decode_ms": round(min(times), 1), "scenes": held_out.SCENES,
            "megabytes": round(megabytes, 2), "picture": f"{size}x{size}, {self._where()}",
        }  # fmt: skip

    def _held(self) -> Iterator[Tensor]:
        """The scenes by which VAEs are judged, on the model's device."""
        for picture in held_out.pictures(self.catalog, self.model.settings.width, held_out.SCENES):
            yield picture.to(self.device)

    def counts(self) -> Figures:
        """Two and three of a thing, counted as connected components, with and without bridges."""
        answered = list(self.answers("counts"))
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

    def colors(self) -> Figures:
        """Whether the rim of a picture is nearest to the asked one of the twelve colours."""
        right, wrong = [], []
        for answer in self.answers("colors"):
            name = judges.border_color(np.asarray(answer.picture))
            right.append(name == answer.question.color)
            if not right[-1]:
                wrong.append(f"{answer.question.prompt}: {name}")
        return {"right": _rounded(judges.share(right)), "pictures": len(right), "wrong": wrong}

    def retrieval(self) -> Figures:
        """Where the classifier ranks the asked concept, and how near each picture is to a sprite.

        Of what the catalog says is asked for: what the first model knew, in its styles.
        """
        answered = list(self.answers("retrieval"))
        ranks, figures = self.ranks(answered, self.rows)
        for kind in ("seen", "held_out"):
            at = [i for i, answer in enumerate(answered) if answer.question.kind == kind]
            if at:
                figures[kind] = _top(ranks[at]) | self._nearness([answered[i] for i in at])
        return figures

    def new(self) -> Figures:
        """Where a classifier of the new concepts alone ranks the asked one."""
        if not self.new_rows:
            raise FileNotFoundError(
                f"no {self.args.data / questions.NEW}: write the labels of concepts there that the "
                "first model was not shown, one a line, or leave this test out"
            )
        ranks, figures = self.ranks(list(self.answers("new")), self.new_rows, _LEAST_VIEWS)
        drawings = len(classifier.judged_pairs(self.catalog, self.new_rows))
        return {**_top(ranks), **figures, "drawings": drawings}

    def hundred(self) -> Figures:
        """A sheet for a person to judge, and the verdicts once they are there."""
        return hundred.lay_out(list(self.answers("hundred")), self.args.out)

    def ranks(
        self, answered: Sequence[AnsweredQuestion], rows: Sequence[int], least: int = 0
    ) -> tuple[Tensor, Figures]:
        """How many concepts score above the asked one `[n]`, and the classifier's own figures."""
        views = partial(classifier.examples, self.catalog, rows, device=self.device)
        judge = classifier.train(*views(_VIEWS, 0, least=least), count=len(rows))
        fresh, known = views(1, 1)
        on_sprites = _top(classifier.ranks(judge, classifier.floats(fresh), known))
        small = [classifier.shrink(pixels.tensor(answer.picture)) for answer in answered]
        classes = torch.tensor([rows.index(answer.question.row) for answer in answered])
        ranks = classifier.ranks(judge, torch.cat(small).to(self.device), classes.to(self.device))
        return ranks.cpu(), {"classifier_on_sprites": on_sprites, "concepts": len(rows)}

    def _nearness(self, answered: Sequence[AnsweredQuestion]) -> Figures:
        """The distance to the nearest sprite of a concept, and how often the style is right.

        A held-out pair cannot have been memorised: its distance is that of a picture drawn anew.
        """
        distances, asked_style = [], []
        rows = sorted({answer.question.row for answer in answered})
        pairs = classifier.judged_pairs(self.catalog, rows)
        sprites = self.catalog.sprites([self.catalog.number[pair] for pair in pairs])
        for answer in answered:
            at = [i for i, (row, _) in enumerate(pairs) if row == answer.question.row]
            painter = Painter(sprites[at], device=self.device)
            plans = [plain(i, scale=s) for i in range(len(at)) for s in _SCALES]
            picture = pixels.tensor(answer.picture)[0].to(self.device)
            distance, index = judges.nearest(picture, painter(stack(plans)))
            distances.append(distance)
            asked_style.append(pairs[at[index // len(_SCALES)]][1] == answer.question.style)
        return {
            "nearest": _rounded(statistics.median(distances), 3),
            "least_near": _rounded(min(distances), 3),
            "nearest_is_asked_style": _rounded(judges.share(asked_style)),
        }


def _top(ranks: Tensor) -> Figures:
    shares = {f"top{k}": _rounded(judges.share((ranks < k).tolist())) for k in (1, 5)}
    return {**shares, "of": len(ranks)}


def _milliseconds(work: Callable[[], Tensor]) -> float:
    """Of a call, until its numbers are on the CPU."""
    began = time.perf_counter()
    work().cpu()
    return (time.perf_counter() - began) * 1000


def _rounded(value: float, digits: int = 2) -> float:
    """Rounded down, so that a goal is never met by rounding."""
    return np.floor(value * 10**digits).item() / 10**digits


if __name__ == "__main__":
    sys.exit(main())
