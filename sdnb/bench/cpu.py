"""`sdnb bench cpu`: prompt to picture on the CPU, time and peak memory, beside diffusers.

Each side has a process of its own. They make pictures in turn, with the same number of threads,
weights, size, steps and guidance, in fp32; the first picture of each does not count. Memory is the
peak of the process's resident memory, beside that of its imports alone.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sdnb.bench import random_sd
from sdnb.bench.alternating import in_turn
from sdnb.bench.fast_speed import bench_fast
from sdnb.request.plain_words import counted


def bench_cpu(
    rounds: int = 5, steps: int = 25, threads: int = 2, *, size: int | None = None,
    random: bool = False, fast: str | None = None, say: Callable[[str], object] = print,
) -> dict[str, Any]:  # fmt: skip
    """Measure, print a table, return its data: seconds a picture, peak memory, and their ratios.
    With `fast`, the name of a fast variant, `bench_fast` does.
    """
    if fast is not None:
        return bench_fast(fast, rounds, threads, say=say)
    sides = ["sdnb", "diffusers"]
    if find_spec("diffusers") is None:
        say("diffusers is not installed, so there is nothing to compare with: ")
        say("pip install 'sdnb[bench]'")
        sides = sides[:1]
    size = size or (512 if random else 256)
    data: dict[str, Any] = {
        "model": "SD 1.4's shapes, random weights" if random else "built-in model",
        "size": size, "steps": steps, "threads": threads,
    }  # fmt: skip
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory()) if random else None
        path = str(random_sd.write(Path(folder))) if folder else None
        asked = {"path": path, "size": size, "steps": steps, "threads": threads}
        running = {name: stack.enter_context(_side(name, asked)) for name in sides}
        makers = {name: partial(ask, "picture") for name, ask in running.items()}
        data["runs"] = in_turn(makers, rounds)
        data["memory"] = {name: ask("memory") for name, ask in running.items()}
    data["seconds"] = {name: statistics.median(runs) for name, runs in data["runs"].items()}
    if len(sides) > 1:
        ours, theirs = data["memory"]["sdnb"], data["memory"]["diffusers"]
        above = (ours["peak"] - ours["imports"]) / (theirs["peak"] - theirs["imports"])
        data["ratios"] = {
            "seconds": data["seconds"]["sdnb"] / data["seconds"]["diffusers"],
            "peak": ours["peak"] / theirs["peak"],
            "above_imports": above,
        }
    say(table(data))
    return data


def table(data: dict[str, Any]) -> str:
    """The median, least and most of each, its memory, and the ratios."""
    lines = [
        (
            f"{data['model']}, {data['size']}x{data['size']}, "
            f"{counted(data['steps'], 'step')} of ddim, {counted(data['threads'], 'thread')}, fp32"
        ),
        "           median, s   min, s   max, s   peak, MB   of which imports, MB",
    ]
    for name, seconds in data["runs"].items():
        memory = data["memory"][name]
        lines.append(
            f"{name:11}{data['seconds'][name]:9.2f}{min(seconds):9.2f}{max(seconds):9.2f}"
            f"{memory['peak'] / 1e6:11.0f}{memory['imports'] / 1e6:23.0f}"
        )
    if "ratios" in data:
        seconds, peak, rest = (data["ratios"][k] for k in ("seconds", "peak", "above_imports"))
        lines.append(
            f"sdnb in multiples of diffusers: {seconds:.2f} of the time, {peak:.2f} of the peak "
            f"memory ({rest:.2f} without the imports)"
        )
    return "\n".join(lines)


# -- each in its own process -------------------------------------------------------------------
@contextmanager
def _side(name: str, asked: dict[str, Any]) -> Iterator[Callable[[str], Any]]:
    """A process of `sdnb.bench.cpu_side`, as a function from a word to the process's answer."""
    command = [sys.executable, "-m", "sdnb.bench.cpu_side", name, json.dumps(asked)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(word: str) -> Any:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):  # the process has ended, and gives no answer either
            process.stdin.write(word + "\n")
            process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{name}'s process ended: see its output above")
        return json.loads(answer)

    try:
        yield ask
    finally:
        process.kill()
        process.communicate()
