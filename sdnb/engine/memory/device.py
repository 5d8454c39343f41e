"""Which device a plan gets, in which numbers it computes, and how much of its memory is free."""

from __future__ import annotations

import math
import os

import psutil
import torch

from sdnb.request import checks
from sdnb.request.memory_plan import GB, MemoryPlan

PRECISIONS = {"full": torch.float32, "half": torch.float16, "bf16": torch.bfloat16}


def device_of(plan: MemoryPlan | None) -> torch.device:
    """The device a plan asks for; raises `ValueError` when this machine has none of that kind."""
    name = plan.device if plan else "auto"
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"the plan asks for {name}, but torch finds no CUDA device here")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        last = torch.cuda.device_count() - 1
        raise ValueError(f"the plan asks for {name}, but the last device here is cuda:{last}")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError(f"the plan asks for {name}, but torch finds no Metal device here")
    return device


def dtype(precision: str, device: torch.device) -> tuple[torch.dtype, list[str]]:
    """The numbers that a model computes in on `device`, and notes for the user.

    "auto" is full on a CPU and on cards that compute half badly: GTX 16xx cards give black or green
    pictures in it. Raises `ValueError` for an unknown name.
    """
    checks.choice("precision", precision, ("auto", *PRECISIONS))
    if precision != "auto":
        return PRECISIONS[precision], []
    if device.type == "cpu":
        return torch.float32, []
    if device.type == "cuda":
        card = torch.cuda.get_device_name(device)
        if "GTX 16" in card or torch.cuda.get_device_capability(device) < (7, 0):
            note = (
                f"{card}: full precision, because half precision is broken or slow on this card "
                "(precision='half' overrides)"
            )
            return torch.float32, [note]
    return torch.float16, []


def free(device: torch.device) -> float:
    """GB that a run may use on `device`: what is free, with what PyTorch holds unused there; on a
    CPU, which other programs share, half of what is free.
    """
    if device.type == "cuda":
        left, _ = torch.cuda.mem_get_info(device)
        reserved, allocated = _reserved_and_allocated(device)
        limit = torch.cuda.get_per_process_memory_fraction(device)
        total = torch.cuda.get_device_properties(device).total_memory
        return max(min(left + reserved - allocated, limit * total - allocated), 0) / GB
    if device.type == "cpu":
        return psutil.virtual_memory().available / 2 / GB
    return math.inf


def _reserved_and_allocated(device: torch.device) -> tuple[int, int]:
    """Bytes of PyTorch's on a card. Its own functions for one of them make a flat table of hundreds
    of numbers each time, which is felt where many small pictures are made.
    """
    stats = torch.cuda.memory_stats_as_nested_dict(device)
    if not stats:  # nothing was allocated yet
        return 0, 0
    reserved, allocated = (
        stats[f"{what}_bytes"]["all"]["current"] for what in ("reserved", "allocated")
    )
    return reserved, allocated


def lean_allocator() -> bool:
    """Have the CUDA allocator grow its segments page by page, so that it reserves what is in use;
    False where that is not possible, or the environment says otherwise.
    """
    given = os.environ.get("PYTORCH_CUDA_ALLOC_CONF", "") + os.environ.get("PYTORCH_ALLOC_CONF", "")
    if "expandable_segments" in given:
        return "expandable_segments:True" in given
    setter = getattr(torch._C, "_accelerator_setAllocatorSettings", None)  # noqa: SLF001
    setter = setter or getattr(torch.cuda.memory, "_set_allocator_settings", None)
    if setter is None:
        return False
    try:
        setter("expandable_segments:True")
    except (RuntimeError, ValueError):
        return False
    return True
