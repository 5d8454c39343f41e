"""`sdnb bench shortcuts`: what the shortcuts of a `Request` save, and how near the pictures stay.

Each makes the same pictures as the run without any, in turn with it, in one process. The likeness
is that of all pictures together, in dB: 40 is hard to see, 30 is another picture of the same thing.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sdnb.bench.alternating import in_turn
from sdnb.request.plain_words import counted

if TYPE_CHECKING:
    from sdnb.engine.model import Model

#: The fields of each; `request.guidance_steps`, `request.deep_steps` and
#: `token_merging` name the papers.
SHORTCUTS: dict[str, dict[str, Any]] = {
    "none": {},
    "cfg_every=2": {"cfg_every": 2},
    "cfg_every=3": {"cfg_every": 3},
    "cfg_end=0.6": {"cfg_end": 0.6},
    "cfg_start=0.1": {"cfg_start": 0.1},
    "deep_every=2": {"deep_every": 2},
    "deep_every=3": {"deep_every": 3},
    "deep_every=5": {"deep_every": 5},
    "token_merging=0.5": {"token_merging": 0.5},
    "both every=2": {"cfg_every": 2, "deep_every": 2},
}
PROMPTS = (
    "a red apple, 3d style, on a blue background", "an owl at night, flat style",
    "a castle in the mountains", "two dogs on the grass",
)  # fmt: skip


def bench_shortcuts(
    rounds: int = 5, steps: int = 25, ckpt: str | None = None, memory: str = "auto",
    *, say: Callable[[str], object] = print,
) -> dict[str, Any]:  # fmt: skip
    """Measure, print a table, return its data: seconds a picture, shares of the time without a
    shortcut, and likeness in dB.
    """
    from sdnb.engine.loading import load

    with load(ckpt, memory=memory) as model:
        made: dict[str, dict[int, Any]] = {name: {} for name in SHORTCUTS}
        makers = {
            name: partial(_make, model, fields, steps, itertools.count(), made[name])
            for name, fields in SHORTCUTS.items()
        }
        # A card keeps the recorded steps of the run before alone.
        runs = in_turn(makers, rounds, again=model.device.type == "cuda")
        data: dict[str, Any] = {
            "model": model.name,
            "device": str(model.device),
            "steps": steps,
            "runs": runs,
        }
    data["seconds"] = {name: statistics.median(each) for name, each in runs.items()}
    data["share"] = {name: each / data["seconds"]["none"] for name, each in data["seconds"].items()}
    data["psnr"] = {name: _likeness(pictures, made["none"]) for name, pictures in made.items()}
    say(table(data))
    return data


def table(data: dict[str, Any]) -> str:
    """The median of each, its share of the time without any, and the likeness."""
    lines = [
        f"{data['model']} on {data['device']}, {counted(data['steps'], 'step')}",
        "                 median, s   of the time   PSNR, dB",
    ]
    for name, seconds in data["seconds"].items():
        likeness = "" if name == "none" else f"{data['psnr'][name]:11.1f}"
        lines.append(f"{name:18}{seconds:8.2f}{data['share'][name]:14.2f}{likeness}")
    return "\n".join(lines)


def _make(
    model: Model, fields: dict[str, Any], steps: int, numbers: Any, made: dict[int, Any]
) -> None:
    """The next of the pictures, which are the same for each shortcut."""
    import sdnb

    number = next(numbers)
    asked = sdnb.Request(PROMPTS[number % len(PROMPTS)], seed=number, steps=steps, **fields)
    made[number] = np.asarray(sdnb.generate(model, asked, progress=False).image, dtype=float)


def _likeness(pictures: dict[int, Any], truth: dict[int, Any]) -> float:
    """In dB, of all of them; 99 where they are equal."""
    error = float(np.mean([(pictures[number] - truth[number]) ** 2 for number in truth]))
    return 99.0 if error == 0 else 10 * float(np.log10(255**2 / error))
