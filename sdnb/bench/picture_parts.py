"""Where the seconds of a picture go: the memory plan, the text, the steps, the decoder."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdnb.engine.model import Model
    from sdnb.request import Request

PARTS = ("plan", "text", "steps", "decode")


def seconds_of(
    model: Model, request: Request, settle: Callable[[], object] = lambda: None
) -> dict[str, float]:
    """Make a picture of words that the model has not encoded yet; the seconds of each of `PARTS`,
    and of the "whole".

    "plan" is all until the model is ready for this request: it is checked, memory is planned, LoRAs
    are laid. "text" is all from there to the first step, "decode" all from the last one to the
    result. `settle` waits for a device (`torch.cuda.synchronize`) at each border.
    """
    from sdnb.engine.pipeline import run

    model.prompts.clear()
    settle()
    began = time.perf_counter()
    ready, ends = None, list[float]()
    for progress in run(model, request):
        settle()
        if progress.latent is not None:
            ends.append(time.perf_counter())
        elif ready is None and not progress.waiting:
            ready = time.perf_counter()
    done = time.perf_counter()
    if ready is None or not ends:
        raise ValueError(f"{request!r} takes no step: there is nothing to measure")
    # The first step is as long as the others, in their median; what came before it is the text's.
    step = statistics.median(b - a for a, b in itertools.pairwise([ready, *ends]))
    steps = min(step * len(ends), ends[-1] - ready)
    text = ends[-1] - ready - steps
    plan, decode = ready - began, done - ends[-1]
    return {"plan": plan, "text": text, "steps": steps, "decode": decode, "whole": done - began}
