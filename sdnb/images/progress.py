"""How far a run is, and a bar of it that is right in a notebook and in a terminal (tqdm)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

if TYPE_CHECKING:
    from torch import Tensor

    from sdnb.images.result import Result


@dataclass(frozen=True)
class Progress:
    """How far a run is. The first says how many steps there will be; the last has the `result`."""

    step: int  # steps done: 0..total
    total: int  # steps of the whole run, over all pictures
    seconds: float  # since the run began
    latent: Tensor | None = None  # [b, 4, h/8, w/8], the clean latent as guessed now: for previews
    result: Result | None = None
    results: tuple[Result, ...] = ()  # instead, at the end of `pipeline.run_together`
    waiting: bool = False  # nothing has begun: another run has the model

    @property
    def where(self) -> str:
        """ "step 7 of 25", or what it waits for."""
        if self.waiting:
            return "waiting for another run of this model"
        return f"step {self.step} of {self.total}"


def bar(steps: Iterable[Progress]) -> Iterator[Progress]:
    """Pass `steps` on, showing how far they are; the bar stays where it was when the run stops."""
    steps = iter(steps)
    first = next(steps)  # step 0: the bar is there before the first step, which may be long
    waiting = False
    with tqdm(total=first.total, unit="step", dynamic_ncols=True, disable=not first.total) as meter:
        for at in chain([first], steps):
            if at.waiting != waiting:
                waiting = at.waiting
                meter.set_postfix_str(at.where if waiting else "")
            meter.total = at.total
            meter.update(at.step - meter.n)
            yield at
