"""`sdnb bench caps`: the largest square picture under a cap of card memory, beside diffusers.

The cap is set on the allocator (`set_per_process_memory_fraction`), so that it does not cover the
driver's share. Sizes are tried from the largest down, with one step and the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from sdnb.bench import card

CAPS = (4.0, 2.0, 1.0)  # GiB
SIZES = {
    "sdnb": {4.0: (5120, 4096, 3072), 2.0: (4096, 3584, 3072), 1.0: (2560, 2304, 2048)},
    "diffusers": {4.0: (3072, 2560, 2048), 2.0: (2048, 1536, 1088), 1.0: (1088, 768, 512)},
}


def bench_caps(
    out: Path, say: Callable[[str], object] = print,
    keep: Callable[[dict[str, Any]], object] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Measure, print a table, return its data. The arguments are those of `card.measure_sides`."""
    asked = {side: [str(cap) for cap in CAPS] for side in SIZES}
    data = card.measure_sides("caps", out, asked, say, keep)
    say(table(data))
    return data


def table(data: dict[str, Any]) -> str:
    """A line for each cap."""
    lines = [f"{'largest square under':24}{'sdnb':>10}{'diffusers':>12}"]
    for cap in CAPS:
        ours, theirs = (largest(data.get(side, {}), cap) or "-" for side in SIZES)
        lines.append(f"{f'{cap:g} GiB':24}{ours:>10}{theirs:>12}")
    return "\n".join(lines)


def largest(cells: dict[str, Any], cap: float) -> int:
    """The largest size that worked under the cap, or 0."""
    worked = [c["size"] for c in cells.values() if c["cap"] == cap and "error" not in c]
    return max(worked, default=0)


def cells(side: str, path: Path, cap: str) -> Iterator[dict[str, Any]]:
    """Try sizes from the largest down until one works, in a process of its own."""
    limit = float(cap)
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(limit * card.GB / total)
    for size in SIZES[side][limit]:
        cell: dict[str, Any] = {"name": f"{cap} {size}", "cap": limit, "size": size}
        try:
            if side == "sdnb":
                data = card.ours(path, card.Case("auto", size, 1), "auto", warm=False)[0]
            else:
                how = card.Case("group offload, leaf, stream", size, 1)
                data = card.theirs(path, how, warm=False)
        except (torch.OutOfMemoryError, ValueError, RuntimeError) as error:
            yield {**cell, "error": f"{type(error).__name__}: {str(error)[:300]}"}
            card.clean()
        else:
            yield {**cell, **data}
            return
