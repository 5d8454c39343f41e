"""The blocks of a streamed network, and the order in which they pass through the ring."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from sdnb.engine.memory import quantised, ring
from sdnb.engine.memory.flat import Entry


@dataclass
class Unit:
    """A block of the network: where its weights lie in host memory, and its place in the ring."""

    module: nn.Module
    entries: list[Entry]
    coded: list[quantised.Coded]  # empty: the weights cross the bus as they are
    begin: int  # bytes, in the source block
    end: int
    home: Any = None  # its bytes on the device: in the ring, or its own
    copied: Any = None  # events
    done: Any = None

    @property
    def size(self) -> int:
        return self.end - self.begin


class Cycle:
    """The units that pass through the ring in each pass of one kind, in order; `begins` are their
    places in it.
    """

    def __init__(self, units: Sequence[Unit], begins: Sequence[int]) -> None:
        self.units, self._begins = list(units), list(begins)
        #: The place of each was last in use by the unit this many before it.
        self.back = ring.last_uses(begins, [unit.size for unit in units])
        self._number = {id(unit): i for i, unit in enumerate(units)}

    def __contains__(self, unit: Unit) -> bool:
        return id(unit) in self._number

    def is_next(self, unit: Unit, count: int) -> bool:
        """Whether this unit comes after so many, over all passes."""
        return bool(self.units) and self._number.get(id(unit)) == count % len(self.units)

    def only(self, modules: Collection[nn.Module]) -> Cycle:
        """Those of a pass that calls these modules alone, at the same places."""
        known = set(map(id, modules))
        chosen = [i for i, unit in enumerate(self.units) if id(unit.module) in known]
        return Cycle([self.units[i] for i in chosen], [self._begins[i] for i in chosen])
