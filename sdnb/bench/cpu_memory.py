"""`sdnb bench cpu --memory`: memory plans of a CPU beside all weights in memory.

Each plan has a process of its own; they make the same picture in turn, and the first of each does
not count. Peaks are those of the process's resident memory, with what it imports, in GiB.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from sdnb.bench import random_sd
from sdnb.bench.alternating import in_turn
from sdnb.bench.cpu_process import pixels_of, psnr, side
from sdnb.request.memory_plan import GB
from sdnb.request.plain_words import counted

#: With what the others are compared: all weights in memory.
WHOLE = "cpu"
#: The plans to measure where none is named: the budgets of small computers, and the least.
PLANS = ("1.5", "1.0", "file")


def bench_memory(
    plans: Sequence[str], asked: dict[str, Any], rounds: int, *, random: bool,
    say: Callable[[str], object] = print,
) -> dict[str, Any]:  # fmt: skip
    """Measure these plans, names or numbers of GB (none: `PLANS`), print a table, return the data.
    `asked` has size, steps, threads and precision; `random` takes SD 1.4's shapes.
    """
    with ExitStack() as stack:
        path = None
        if random:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            path = str(random_sd.write(Path(folder)))
        running = {
            name: stack.enter_context(side("sdnb", {**asked, "path": path, "memory": memory}))
            for name, memory in ((name, _memory(name)) for name in _names(plans))
        }
        runs = in_turn({name: partial(ask, "picture") for name, ask in running.items()}, rounds)
        memory = {name: ask("memory") for name, ask in running.items()}
        pixels = {name: ask("pixels") for name, ask in running.items()}
    data = {
        **asked,
        "model": "SD 1.4's shapes, random weights" if random else "built-in model",
        "plans": {
            name: {
                "runs": times,
                "seconds": statistics.median(times),
                # Of each round: the machine's noise is then the same for both.
                "times": statistics.median(a / b for a, b in zip(times, runs[WHOLE], strict=True)),
                "peak": memory[name]["peak"] / GB,
                "imports": memory[name]["imports"] / GB,
                "expected": memory[name]["expected"],
                "plan": memory[name]["plan"],
                "largest": _largest(pixels[name], pixels[WHOLE]),
                "psnr": psnr(pixels[name], pixels[WHOLE]),
            }
            for name, times in runs.items()
        },
    }
    say(table(data))
    return data


def _names(plans: Sequence[str]) -> list[str]:
    """The plans, each once, behind the one with which they are compared."""
    return list(dict.fromkeys([WHOLE, *(plans or PLANS)]))


def _memory(name: str) -> str | float:
    try:
        return float(name)
    except ValueError:
        return name


def _largest(one: str, other: str) -> int:
    """The largest difference of two pictures of 0..255."""
    return int(abs(pixels_of(one).astype(int) - pixels_of(other)).max())


def table(data: dict[str, Any]) -> str:
    """A line for each plan."""
    size, steps = f"{data['size']}x{data['size']}", counted(data["steps"], "step")
    lines = [
        f"{data['model']}, {size}, {steps} of ddim, {counted(data['threads'], 'thread')}",
        "memory=      median, s   times    peak, GiB   predicted   PSNR, dB   largest difference",
    ]
    for name, its in data["plans"].items():
        expected = "" if its["expected"] is None else f"{its['expected']:.3f}"
        lines.append(
            f"{name:13}{its['seconds']:9.2f}{its['times']:8.2f}{its['peak']:13.3f}{expected:>12}"
            f"{its['psnr']:11.1f}{its['largest']:>16d}/255"
        )
    return "\n".join(lines)
