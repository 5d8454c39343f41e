"""`python -m sdnb.models.pairs --models FIRST SECOND`: a blind look at two models, side by side.

Both make the same sixty prompts with the same seeds. The sheets show them left and right in a
secret order, which is in `key.json`: do not read it. Write left, right or equal behind each number
of `choices.txt`, whichever shows the prompt better, then

    python -m sdnb.models.pairs --score choices.txt --key key.json

With `--part 1/4`, `2/4` and so on several processes make the pictures, and one more the sheets.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sdnb.images import contact_sheet
from sdnb.models.labelled import labelled
from sdnb.models.training import questions
from sdnb.models.training.questions import AnsweredQuestion, Share
from sdnb.request.plain_words import counted

_COLUMNS, _A_SHEET = 3, 30  # pairs
_CHOICES = ("left", "right", "equal")


def main(argv: Sequence[str] | None = None) -> int:
    """Make the sheets, or count the choices."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.score and args.key:
        key = json.loads(args.key.read_text("utf-8"))
        print(scored(key, args.score.read_text("utf-8")))
    elif args.models and not (args.score or args.key):
        _make(args)
    else:
        parser.error("give --models FIRST SECOND to make pictures, or --score CHOICES --key KEY")
    return 0


def _parser() -> argparse.ArgumentParser:
    about = __doc__.partition("\n\n")[2]
    parser = argparse.ArgumentParser(
        prog="python -m sdnb.models.pairs", description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--models", nargs=2, metavar=("FIRST", "SECOND"), help="two checkpoints")
    parser.add_argument("--out", type=Path, default=Path("pairs"), help="pictures and sheets")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1; in float32 on each")
    parser.add_argument("--part", type=Share.read, help="only make pictures: 1/4 for a quarter")
    parser.add_argument("--most", type=int, help="so many pairs; all by default")
    parser.add_argument("--score", type=Path, help="the choices that you filled in")
    parser.add_argument("--key", type=Path, help="key.json, made with the sheets")
    return parser


def _make(args: argparse.Namespace) -> None:
    asked = questions.pair_questions()[: args.most]
    first, second = (
        list(
            questions.answers(questions.model_on(args.device, path), asked, folder, part=args.part)
        )
        for path, folder in zip(args.models, (args.out / "first", args.out / "second"), strict=True)
    )
    if args.part:
        print(counted(len(first) + len(second), "picture"))
        return
    key = secret_order(args.models, len(asked), secrets.randbits(32))
    for number, sheet in enumerate(sheets(first, second, key["left"]), 1):
        sheet.save(args.out / f"pairs-{number}.jpg", quality=90)
    (args.out / "key.json").write_text(json.dumps(key) + "\n", encoding="utf-8")
    lines = ["# number | left, right or equal", *(f"{i} |" for i in range(1, len(asked) + 1))]
    (args.out / "choices.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")


def secret_order(models: Sequence[str], pairs: int, secret: int) -> dict[str, Any]:
    """The key: which of the models, 0 or 1, stands left in each pair; each does in half of them."""
    left = np.random.default_rng(secret).permutation(np.arange(pairs) % 2).tolist()
    return {"models": list(models), "secret": secret, "left": left}


def sheets(
    first: Sequence[AnsweredQuestion], second: Sequence[AnsweredQuestion], left: Sequence[int]
) -> list[Image.Image]:
    """The pairs, numbered, with their prompts, in pages."""
    pairs = []
    for i, both in enumerate(zip(first, second, strict=True)):
        two = contact_sheet.sheet([both[left[i]].picture, both[1 - left[i]].picture], 2)
        pairs.append(labelled(two, f"{i + 1}: {both[0].question.prompt}"))
    starts = range(0, len(pairs), _A_SHEET)
    return [contact_sheet.sheet(pairs[i : i + _A_SHEET], _COLUMNS) for i in starts]


def scored(key: dict[str, Any], choices: str) -> str:
    """What was preferred, in a sentence. Raises ValueError for choices that are not the key's."""
    lines = [line.strip() for line in choices.splitlines()]
    rows = [line for line in lines if line and not line.startswith("#")]
    chosen = dict(_choice(row) for row in rows)
    wanted = range(1, len(key["left"]) + 1)
    if len(chosen) != len(rows) or sorted(chosen) != list(wanted):
        raise ValueError(f"choices on {sorted(chosen)}: write one for each of 1 to {len(wanted)}")
    votes: Counter[int | None] = Counter()
    for number, choice in chosen.items():
        left = key["left"][number - 1]
        votes[{"left": left, "right": 1 - left, "equal": None}[choice]] += 1
    first, second = key["models"]
    return f"{second} preferred {votes[1]}, {first} preferred {votes[0]}, equal {votes[None]}"


def _choice(line: str) -> tuple[int, str]:
    number, _, choice = (part.strip().lower() for part in line.partition("|"))
    if not number.isdigit() or choice not in _CHOICES:
        raise ValueError(f"{line!r} is no choice: write it as 17 | left, or right, or equal")
    return int(number), choice


if __name__ == "__main__":
    sys.exit(main())
