"""What a machine cannot do for a memory plan: devices, kernels and numbers that it has not, limits
that nothing holds there.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch

from sdnb.engine import memory
from sdnb.engine.planning import planner
from sdnb.request.memory_plan import MemoryPlan

if TYPE_CHECKING:
    from sdnb.engine.loading import Model

_INSTEAD = "A number of GB, such as memory=2.5, is: of all that Python takes."


def usable(plan: MemoryPlan | None, precision: str) -> tuple[torch.device, torch.dtype, list[str]]:
    """The device and the numbers that a plan asks for, and what to tell the user about them.

    Raises `ValueError` where this machine has not the device, or no such kernels for it.
    """
    device = memory.device_of(plan)
    if plan is not None:
        kernel(plan, device)
    wish = plan.compute if plan is not None and precision == "auto" else precision
    return device, *memory.dtype(wish, device)


def kernel(plan: MemoryPlan, device: torch.device) -> str:
    """The attention kernel's name on `device`.

    Raises `ValueError` for xformers on a device it has no kernels for, or where it is not
    installed.
    """
    if plan.attention != "xformers":
        return plan.attention
    if device.type != "cuda":
        raise ValueError(f"attention='xformers' needs a CUDA device, this is {device.type}")
    if find_spec("xformers") is None:
        raise ValueError(
            "attention='xformers', but xformers is not installed: pip install sdnb[xformers], "
            "or use attention='sdpa'"
        )
    return plan.attention


def not_held(model: Model) -> list[str]:
    """What a limit of memory that was asked for does not do on the model's device, in words."""
    kind, plan = model.device.type, model.wanted
    if kind == "cuda":
        return []
    if plan is not None and plan.name not in ("cpu", "custom"):
        return [
            f"memory={plan.name!r} is a plan for an NVIDIA card, and this is {kind}: its limit is "
            f"not held here. {_INSTEAD if kind == 'cpu' else ''}".strip()
        ]
    limit, taken = planner.limit(model), planner.resident()
    words = f"A limit of {limit:g} GB is"
    if limit and kind != "cpu":
        return [f"{words} not held on {kind}: nothing says what is free there."]
    if 0 < limit < taken:
        why = f"Python and the model take {taken:.2f} GB already, and no picture can be made"
        return [f"{words} too low: {why}. Load the model with more."]
    return []
