"""`sdnb bench cpu --fast`: seconds of a picture by the built-in model and by its fast variant.

Each makes its picture as a newcomer asks for it, with a prompt and nothing else: the size, steps
and guidance that suit it, text, steps and decoding included. They take turns, in one process; the
first picture of each does not count. The fast one is measured with the full decoder and with the
tiny one. Goal: 0.6 s on two cores that have nothing else to do.
"""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdnb import assets
from sdnb.bench.alternating import in_turn
from sdnb.bench.picture_parts import PARTS, seconds_of
from sdnb.request.plain_words import counted

if TYPE_CHECKING:
    from sdnb.engine.model import Model

GOAL = 0.6  # seconds a picture
PROMPT = "a red apple, 3d style, on a blue background"


def bench_fast(
    fast: str, rounds: int = 5, threads: int = 2, *, say: Callable[[str], object] = print
) -> dict[str, Any]:
    """Measure, print a table, return its data: seconds a picture, and where they go. `fast` is the
    fast model, "tiny-fast" or the folder of another variant.
    """
    with _threads(threads):
        models = _models(fast)
        parts: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in models}
        makers = {name: _maker(model, parts[name]) for name, model in models.items()}
        runs = in_turn(makers, rounds)
    data: dict[str, Any] = {"threads": threads, "runs": runs, "goal": GOAL}
    data["settings"] = {name: _settings(model) for name, model in models.items()}
    data["seconds"] = {name: statistics.median(each) for name, each in runs.items()}
    data["parts"] = {
        name: {part: statistics.median(each[part][1:]) for part in PARTS}  # the first is free
        for name, each in parts.items()
    }
    say(table(data))
    return data


def table(data: dict[str, Any]) -> str:
    """The median, least and most of each, and where its seconds go."""
    lines = [
        f"a picture on the CPU, {counted(data['threads'], 'thread')}, fp32, text to pixels",
        "                    median, s   min, s   max, s   of which text, steps, decoder",
    ]
    for name, runs in data["runs"].items():
        plan, text, steps, decode = (data["parts"][name][part] for part in PARTS)
        lines.append(
            f"{name:20}{data['seconds'][name]:9.2f}{min(runs):9.2f}{max(runs):9.2f}"
            f"{plan + text:12.2f}{steps:8.2f}{decode:8.2f}   {data['settings'][name]}"
        )
    standard, *others = data["seconds"].items()
    for name, seconds in others:
        is_met = "met" if seconds <= data["goal"] else "missed"
        lines.append(
            f"{name}: {seconds / standard[1]:.2f} of the {standard[0]}'s time; goal "
            f"{data['goal']} s {is_met}"
        )
    return "\n".join(lines)


def _models(fast: str) -> dict[str, Model]:
    from sdnb.engine.loading import load

    return {
        "standard": load(memory="cpu", precision="full"),
        "fast": load(fast, memory="cpu", precision="full"),
        "fast, tiny VAE": load(fast, memory="cpu", precision="full", vae=_tiny_vae()),
    }


def _tiny_vae() -> Path:
    return assets.embedded_model() / "tiny_vae"


def _maker(model: Model, parts: dict[str, list[float]]) -> Callable[[], None]:
    """What makes a picture of another seed each time, and keeps where its seconds went."""
    from sdnb.request import Request

    seeds = itertools.count(1)

    def make() -> None:
        for part, seconds in seconds_of(model, Request(PROMPT, seed=next(seeds))).items():
            parts[part].append(seconds)

    return make


def _settings(model: Model) -> str:
    s = model.settings
    return f"{s.width}x{s.height}, {counted(s.steps, 'step')} of {s.sampler}, cfg {s.cfg:g}"


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
