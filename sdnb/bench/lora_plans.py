"""`sdnb bench lora --plans`: LoRAs that come and go, by every memory plan of a CUDA card.

Random weights of SD 1.4's shapes and four LoRAs: of all layers, of attention, of convolutions, and
one of DoRA. By each plan, in a process of its own, a model's set of LoRAs is changed 30 times at
random, and each picture has to be, bit for bit, that of a model that was loaded for this set alone.
Then prompts that change over the steps, by recorded steps and by steps that are not.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import sdnb
from sdnb.bench import card, random_lora
from sdnb.request import checks, memory_plan
from sdnb.request.lora import PRESETS

if TYPE_CHECKING:
    from sdnb.engine.model import Model
    from sdnb.images.result import Result

#: Weights that stay on the card, that come for a stage, that are streamed (a part of them stays),
#: and that are streamed in 8 bits.
PLANS = ("max", "4gb", "2gb", "1gb int8")
_CHOSEN: dict[str, dict[str, Any]] = {"2gb": {"keep": 0.2}, "1gb int8": {"weights": "int8"}}
CHANGES, RANK, SIZE, STEPS = 30, 16, 512, 8
PROMPTS = {
    "[a:b:0.5]": "a [red:blue:0.5] fox in the snow",
    "[a|b]": "a [red|blue] fox in the snow",
    "AND": "a red fox AND a field of snow :0.6",
}
_FAILED = "FAILED: pictures differ that should not, or are alike, or no step was recorded"
_LORAS: dict[str, dict[str, Any]] = {
    "all": {},
    "attention": {"wanted": lambda stem: "attn" in stem and "_te_" not in stem},
    "convolutions": {"wanted": lambda stem: "_conv" in stem or "samplers" in stem},
    "dora": {"wanted": lambda stem: "attentions" in stem or "_conv1" in stem, "dora": True},
}


def bench_plans(
    out: Path, plans: Sequence[str], say: Callable[[str], object] = print,
    keep: Callable[[dict[str, Any]], object] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Compare by these of `PLANS` (all where none is named), print a table, return its data, with
    "failed": whether any picture differs. The other arguments are those of `card.measure_sides`.

    Raises ValueError for another plan, RuntimeError without a CUDA card.
    """
    asked = {name: [""] for name in plans or PLANS}
    for name in asked:
        if name not in PLANS:
            raise ValueError(f"--plans {name!r}: {checks.known(name, PLANS)}")
    card.refuse_without("lora --plans")
    data = card.measure_sides("lora_plans", out, asked, say, keep)
    rows = [row for name in asked for row in data[name].values()]
    data["failed"] = len(rows) < len(asked) * (1 + len(PROMPTS)) or any(map(_failed, rows))
    say(table(data, list(asked)))
    return data


def table(data: dict[str, Any], plans: Sequence[str]) -> str:
    """A line for each plan and each thing compared."""
    lines = [f"{'':26}{'pictures':>10}{'differ':>8}{'largest':>9}{'recorded':>10}{'change, s':>11}"]
    for plan in plans:
        for name, row in data[plan].items():
            line = f"{plan + ', ' + name:26}"
            if "error" in row:
                lines.append(f"{line}  {row['error'][:80]}")
                continue
            change = f"{row['change']:11.2f}" if "change" in row else ""
            lines.append(
                f"{line}{row['pictures']:10}{row['differ']:8}{row['largest']:9}{row['recorded']:10}"
                f"{change}"
            )
    lines.append(_FAILED if data["failed"] else "all pictures are equal")
    return "\n".join(lines)


def _failed(row: dict[str, Any]) -> bool:
    """Sets whose pictures are alike, or steps that were not recorded, would show nothing."""
    return "error" in row or bool(row["differ"] or row.get("alike")) or not row["recorded"]


# -- one plan, in a process of its own ---------------------------------------------------------
def cells(side: str, path: Path, _: str) -> Iterator[dict[str, Any]]:
    """The comparisons of the plan `side`."""
    loras = {
        name: random_lora.write(path.parent / "loras" / f"{name}.safetensors", RANK, seed=n, **how)
        for n, (name, how) in enumerate(_LORAS.items())
    }
    plan = memory_plan.read(side.split(maxsplit=1)[0]).but(**_CHOSEN.get(side, {}))
    calls = count_recorded_calls()
    with sdnb.load(path, memory=plan) as model:
        try:
            yield walk(model, loras_in_sets(loras), lambda: sdnb.load(path, memory=plan), calls)
        except Exception as error:  # noqa: BLE001 - one plan's failure is a line of the table
            yield {"name": "changes", "error": f"{type(error).__name__}: {error}"}
            return
        with sdnb.load(path, memory=plan.but(speed="eager")) as other:
            unrecorded = {name: _picture(other, _asked(text))[0] for name, text in PROMPTS.items()}
        card.clean()
        for name, text in PROMPTS.items():
            calls.clear()
            found = [_picture(model, _asked(text))[0] for _ in range(2)]
            yield {"name": name, **compare(found, [unrecorded[name]] * 2), "recorded": len(calls)}


def loras_in_sets(files: dict[str, Path]) -> list[list[sdnb.Lora]]:
    """The sets that are exchanged: none, one, several, some with nothing for the text encoder."""
    whole, attention, convolutions, dora = (str(files[name]) for name in _LORAS)
    return [
        [],
        [sdnb.Lora(whole, 0.7)],
        [sdnb.Lora(attention, -0.5), sdnb.Lora(dora)],
        [sdnb.Lora(convolutions, 0.8), sdnb.Lora(whole, 0.5, text=0.0)],
        [sdnb.Lora(dora, 0.6), sdnb.Lora(whole), sdnb.Lora(attention, 0.3)],
        [sdnb.Lora(attention, blocks=PRESETS["OUTALL"]), sdnb.Lora(whole, 0.0, text=1.0)],
    ]


def walk(
    model: Model, sets: Sequence[list[sdnb.Lora]], fresh: Callable[[], Model], calls: list[object],
    asked: sdnb.Request | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Change the model's set of LoRAs at random, and its order, and compare each picture with that
    of a `fresh` model. `calls` grows by one with each recorded step.
    """
    asked = asked or _asked(card.PROMPT)
    truth = []
    for loras in sets:
        with fresh() as other:
            truth.append(_picture(other, asked.but(loras=loras))[0])
        card.clean()
    draw, seconds, pairs = random.Random(7), [], []
    calls.clear()
    for _ in range(CHANGES):
        n = draw.randrange(len(sets))
        found, before = _picture(model, asked.but(loras=draw.sample(sets[n], len(sets[n]))))
        seconds.append(before)
        pairs.append((found, truth[n]))
    figures = compare(*zip(*pairs, strict=True))
    return {
        "name": "changes", **figures, "recorded": len(calls), "change": statistics.median(seconds),
        "longest": max(seconds), "seconds": seconds,
        "alike": len(sets) - len({each.tobytes() for each in truth}),
    }  # fmt: skip


def _asked(prompt: str) -> sdnb.Request:
    return card.request_of(SIZE, STEPS).but(prompt=prompt, syntax="a1111")


def _picture(model: Model, request: sdnb.Request) -> tuple[Any, float]:
    """The pixels of a picture, and the seconds before its first step: those of the change."""
    began, before = time.perf_counter(), 0.0
    result: Result | None = None
    for at in sdnb.run(model, request):
        before = before or time.perf_counter() - began
        result = at.result
    assert result is not None
    return np.asarray(result.image).astype(int), before


def compare(found: Sequence[Any], truth: Sequence[Any]) -> dict[str, int]:
    """How many pictures of 0..255 differ from what they are to be, and by how much at most."""
    apart = [int(abs(one - other).max()) for one, other in zip(found, truth, strict=True)]
    return {"pictures": len(apart), "differ": sum(map(bool, apart)), "largest": max(apart)}


def count_recorded_calls() -> list[object]:
    """From now on, each launch of a CUDA graph adds to this list."""
    import torch

    calls: list[object] = []

    class Counted(torch.cuda.CUDAGraph):
        def replay(self) -> None:
            calls.append(None)
            super().replay()

    torch.cuda.CUDAGraph = Counted
    return calls
