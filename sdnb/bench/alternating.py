"""Times alternatives in turn, so that the machine's noise affects all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

Work = Callable[[], object]


def seconds(work: Work) -> float:
    """The seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turn(
    makers: Mapping[str, Work], rounds: int, *, again: bool = False
) -> dict[str, list[float]]:
    """Seconds of each maker in each round, after a first run that may compile, measure or load.
    With `again`, each runs twice in its turn and the second counts: where one takes back from the
    next what that has recorded.
    """
    for make in makers.values():
        make()
    runs: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(rounds):
        for name, make in makers.items():
            if again:
                make()
            runs[name].append(seconds(make))
    return runs
