"""Where a model's parts live and compute. What a plan is, is data: `sdnb.plans`.

Nothing here knows what a UNet is: everything takes any `nn.Module`.
"""

from __future__ import annotations

from sdnb.memory.device import device_of, dtype, free, lean_allocator
from sdnb.memory.flat import pinned
from sdnb.memory.graphs import Graphed
from sdnb.memory.peak import Peak
from sdnb.memory.placement import OnCpu, Placed, cast, empty, place
from sdnb.memory.rehearsal import elsewhere, rehearse
from sdnb.memory.ring import footprint
from sdnb.memory.stream import Streamed
from sdnb.plans import MemoryPlan, names, plan

__all__ = [
    "Graphed",
    "MemoryPlan",
    "OnCpu",
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
    "names",
    "pinned",
    "place",
    "plan",
    "rehearse",
]
