"""What this machine cannot do for a memory plan: devices and kernels that it lacks, and limits that
nothing enforces here.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch

from sdnb.engine import memory
from sdnb.engine.planning import peaks
from sdnb.engine.planning.facts import Facts
from sdnb.request.memory_plan import MemoryPlan

_INSTEAD = "A number of GB, such as memory=2.5, is: of all that Python takes."


def usable(plan: MemoryPlan | None, precision: str) -> tuple[torch.device, torch.dtype, list[str]]:
    """The device and the numbers that a plan asks for, and notes for the user. Raises `ValueError`
    where this machine lacks the device, or such kernels for it.
    """
    device = memory.device_of(plan)
    if plan is not None:
        kernel(plan, device)
    by_plan = plan is not None and precision == "auto"
    return device, *memory.dtype(plan.compute if plan and by_plan else precision, device)


def kernel(plan: MemoryPlan, device: torch.device) -> str:
    """The attention kernel's name on `device`. Raises `ValueError` for xformers where it is not
    installed, or has no kernels for the device.
    """
    if plan.attention == "xformers" and device.type != "cuda":
        raise ValueError(f"attention='xformers' needs a CUDA device, this is {device.type}")
    if plan.attention == "xformers" and find_spec("xformers") is None:
        raise ValueError(
            "attention='xformers', but xformers is not installed: pip install sdnb[xformers], "
            "or use attention='sdpa'"
        )
    return plan.attention


def not_held(facts: Facts) -> list[str]:
    """Notes on a limit of memory that was asked for and is not enforced on this device."""
    kind, plan = facts.device.type, facts.asked_plan
    if kind == "cuda":
        return []
    if plan is not None and plan.name not in ("cpu", "file", "custom"):
        return [
            f"memory={plan.name!r} is a plan for an NVIDIA card, and this is {kind}: its limit is "
            f"not held here. {_INSTEAD if kind == 'cpu' else ''}".strip()
        ]
    limit, taken = facts.limit, peaks.resident()
    words = f"A limit of {limit:g} GB is"
    if limit and kind != "cpu":
        return [f"{words} not held on {kind}: nothing says what is free there."]
    if 0 < limit < taken:
        why = f"Python and the model take {taken:.2f} GB already, and no picture can be made"
        return [f"{words} too low: {why}. Load the model with more."]
    return []
