"""`python -m sdnb.models.hundred VERDICTS`: how many of a hundred prompts a person recognised.

The evaluation lays out `hundred.jpg`, whose pictures have numbers and no words, and beside it
`hundred-verdicts.txt`. Write there what each picture shows, before you read what was asked for:
`17 | a boat |`. Then this command prints what was asked for; write yes or no behind each line,
`17 | a boat | no`, and it prints how many were recognised.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdnb.images import contact_sheet
from sdnb.models.labelled import labelled
from sdnb.models.training.questions import AnsweredQuestion, hundred_questions

_COLUMNS = 10
_HEAD = "# number | what the picture shows, as you see it | yes or no, once you know what was asked"


@dataclass(frozen=True)
class Verdict:
    """What a person saw in a picture, and whether it is what was asked for."""

    number: int  # from 1 on
    seen: str = ""
    verdict: str = ""  # "yes", "no", or "" while it is open


def main(argv: Sequence[str] | None = None) -> int:
    """Print how many were recognised and return 0; or what is still to be done, and 1."""
    parser = argparse.ArgumentParser(
        prog="python -m sdnb.models.hundred", description=__doc__.partition("\n\n")[2]
    )
    parser.add_argument("verdicts", type=Path, help="the file that you filled in")
    path = parser.parse_args(argv).verdicts
    verdicts, asked = read(path), hundred_questions()
    unseen = [str(v.number) for v in verdicts if not v.seen]
    if unseen:
        print(f"{path} has no words on {', '.join(unseen)}: write what these pictures show first")
        return 1
    undecided = [v for v in verdicts if not v.verdict]
    for v in undecided or [v for v in verdicts if v.verdict == "no"]:
        question = asked[v.number - 1]
        print(f"{v.number} | {v.seen} | asked: {question.prompt}; must show: {question.thing}")
    if undecided:
        print(f"write yes or no behind these {len(undecided)} lines of {path}")
        return 1
    print(f"recognised: {recognised(verdicts)} of {len(verdicts)}")
    return 0


def lay_out(answered: Sequence[AnsweredQuestion], folder: Path) -> dict[str, Any]:
    """Write the sheet and, if there is none, an empty file of verdicts; the figures so far."""
    numbered = [labelled(answer.picture, str(i)) for i, answer in enumerate(answered, 1)]
    contact_sheet.sheet(numbered, _COLUMNS).save(folder / "hundred.jpg", quality=90)
    path = folder / "hundred-verdicts.txt"
    if not path.exists():
        lines = [f"{i} | |" for i in range(1, len(answered) + 1)]
        path.write_text("\n".join([_HEAD, *lines, ""]), encoding="utf-8")
    verdicts = read(path)
    figures = {"pictures": len(answered)}
    if all(v.verdict for v in verdicts):
        figures["recognised"] = recognised(verdicts)
    return figures


def recognised(verdicts: Sequence[Verdict]) -> int:
    """How many are yes."""
    return sum(v.verdict == "yes" for v in verdicts)


def read(path: Path) -> list[Verdict]:
    """The verdicts of a file, in order. Raises ValueError for a line that is none."""
    lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    verdicts = [_verdict(line) for line in lines if line and not line.startswith("#")]
    numbers = [v.number for v in verdicts]
    if numbers != list(range(1, len(numbers) + 1)) or len(numbers) > len(hundred_questions()):
        raise ValueError(
            f"{path} numbers its lines {numbers}: write each picture once, 1, 2, 3 ..."
        )
    return verdicts


def _verdict(line: str) -> Verdict:
    number, *rest = (part.strip() for part in line.split("|"))
    seen, verdict, *more = [*rest, "", ""]
    if not number.isdigit() or any(more) or verdict.lower() not in ("", "yes", "no"):
        raise ValueError(f"{line!r} is no verdict: write it as 17 | a boat | yes")
    return Verdict(int(number), seen, verdict.lower())


if __name__ == "__main__":
    sys.exit(main())
