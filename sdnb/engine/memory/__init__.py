"""Where a model's parts live and compute. What a plan is, is data: `sdnb.request.memory_plan`.

Nothing here knows what a UNet is: everything takes any `nn.Module`.
"""

from __future__ import annotations

from sdnb.engine.memory.device import device_of, dtype, free, lean_allocator
from sdnb.engine.memory.flat import pinned
from sdnb.engine.memory.graphs import Graphed
from sdnb.engine.memory.peak import Peak
from sdnb.engine.memory.placement import Placed, cast, empty, place
from sdnb.engine.memory.rehearsal import elsewhere, rehearse
from sdnb.engine.memory.ring import footprint
from sdnb.engine.memory.stream import Streamed

__all__ = [
    "Graphed",
    "Peak",
    "Placed",
    "Streamed",
    "cast",
    "device_of",
    "dtype",
    "elsewhere",
    "empty",
    "footprint",
    "free",
    "lean_allocator",
    "pinned",
    "place",
    "rehearse",
]
