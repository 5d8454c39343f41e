"""Where a model's parts live and compute, by a plan of `sdnb.request.memory_plan`.

Everything here takes any `nn.Module`, and knows nothing of a UNet.
"""

from __future__ import annotations

from sdnb.engine.memory.beside import Beside, has_second_stream
from sdnb.engine.memory.device import device_of, dtype, free, lean_allocator
from sdnb.engine.memory.flat import pinned
from sdnb.engine.memory.from_file import FromFile
from sdnb.engine.memory.graphs import Graphed
from sdnb.engine.memory.peak import Peak
from sdnb.engine.memory.placement import Placed, cast, empty_cache, place
from sdnb.engine.memory.read_ahead import ReadAhead
from sdnb.engine.memory.rehearsal import not_counted, rehearse, rehearse_alone
from sdnb.engine.memory.ring import streaming_bytes
from sdnb.engine.memory.run_ahead import KnownPasses, RunAhead
from sdnb.engine.memory.stream import Streamed

__all__ = [
    "Beside", "FromFile", "Graphed", "KnownPasses", "Peak", "Placed", "ReadAhead", "RunAhead",
    "Streamed", "cast", "device_of", "dtype", "empty_cache", "free", "has_second_stream",
    "lean_allocator", "not_counted", "pinned", "place", "rehearse", "rehearse_alone",
    "streaming_bytes",
]  # fmt: skip
