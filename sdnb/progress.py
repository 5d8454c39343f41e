"""A progress bar that is right in a notebook and in a terminal (tqdm), for any run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

if TYPE_CHECKING:
    from sdnb.pipeline import Progress


def bar(steps: Iterable[Progress]) -> Iterator[Progress]:
    """Pass `steps` on, showing how far they are; the bar stays where it was when the run stops."""
    with tqdm(unit="step", dynamic_ncols=True) as meter:
        for at in steps:
            if meter.total is None:
                meter.reset(total=at.total)
            if at.result is None:
                meter.update(at.step - meter.n)
            yield at
