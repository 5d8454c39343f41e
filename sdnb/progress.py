"""A progress bar that is right in a notebook and in a terminal (tqdm), for any run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

if TYPE_CHECKING:
    from sdnb.pipeline import Progress


def bar(steps: Iterable[Progress]) -> Iterator[Progress]:
    """Pass `steps` on, showing how far they are; the bar stays where it was when the run stops."""
    steps = iter(steps)
    first = next(steps)  # step 0: the bar is there before the first step, which may be long
    with tqdm(total=first.total, unit="step", dynamic_ncols=True, disable=not first.total) as meter:
        yield first
        for at in steps:
            meter.update(at.step - meter.n)
            yield at
