"""The processes of `sdnb bench cpu`: each side, or each memory plan, computes in one of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np


@contextmanager
def side(name: str, asked: dict[str, Any]) -> Iterator[Callable[[str], Any]]:
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


def pixels_of(digits: str) -> Any:
    """The numbers of a picture, 0..255, from the answer to "pixels"."""
    return np.frombuffer(bytes.fromhex(digits), np.uint8)


def psnr(one: str, other: str) -> float:
    """How near two pictures of 0..255 are, in dB; 99 where they are equal."""
    from skimage.metrics import peak_signal_noise_ratio

    a, b = pixels_of(one), pixels_of(other)
    return 99.0 if (a == b).all() else float(peak_signal_noise_ratio(b, a, data_range=255))
