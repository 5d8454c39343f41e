"""Where a model's parts live and compute: a `MemoryPlan` is data, and `use` brackets a stage with
it.

Nothing here knows what a UNet is: a plan names three parts, and `use` takes any `nn.Module`. Plans
with a name are the YAML files in `configs/memory`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from types import TracebackType
from typing import TYPE_CHECKING

import psutil
import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from sdnb import assets, checks

if TYPE_CHECKING:
    from typing_extensions import Self

PLACEMENTS = ("resident", "offload", "cpu")
PRECISIONS = {"full": torch.float32, "half": torch.float16, "bf16": torch.bfloat16}
_GB = 2**30


@dataclass(frozen=True)
class MemoryPlan:
    """How a model uses memory. A placement is "resident" (weights stay on the device), "offload"
    (they come to the device for their stage) or "cpu" (the part computes on the CPU, in full
    precision).
    """

    name: str = "custom"
    device: str = "auto"  # "cpu", "cuda", "cuda:1", "mps"; auto: the best there is
    text: str = "resident"
    unet: str = "resident"
    vae: str = "resident"
    attention: str = "auto"  # sdpa, sliced, xformers; auto: what is fastest on the device
    batch: int = 1  # pictures in one pass of the UNet; 1 makes each, bit for bit, what it is alone
    together: bool = True  # both halves of guidance in one pass

    def __post_init__(self) -> None:
        for part in ("text", "unet", "vae"):
            checks.choice(part, getattr(self, part), PLACEMENTS)
        if self.batch < 1:
            raise ValueError(f"batch={self.batch}: a pass holds at least 1 picture")


def names() -> list[str]:
    """The names that `memory=` takes."""
    return ["auto", *sorted(p.stem for p in (assets.configs() / "memory").glob("*.yaml"))]


def plan(memory: str | MemoryPlan) -> MemoryPlan | None:
    """The plan of that name, or the plan itself; None for "auto", which `choose` decides.

    Raises `TypeError` or `ValueError` that list the known names.
    """
    if isinstance(memory, MemoryPlan):
        return memory
    if not isinstance(memory, str):
        raise TypeError(
            f"memory={memory!r}: expected a MemoryPlan or one of the names {', '.join(names())}"
        )
    checks.choice("memory", memory, tuple(names()))
    return None if memory == "auto" else _read(memory)


def _read(name: str) -> MemoryPlan:
    path = assets.configs() / "memory" / f"{name}.yaml"
    try:
        merged = OmegaConf.merge(OmegaConf.structured(MemoryPlan), OmegaConf.load(path))
        return MemoryPlan(**{f.name: merged[f.name] for f in fields(MemoryPlan)})
    except OmegaConfBaseException as error:
        raise ValueError(f"{path} is not a memory plan: {error}") from error


def device_of(plan: MemoryPlan | None) -> torch.device:
    """The device a plan asks for; raises `ValueError` when this machine has none of that kind."""
    name = plan.device if plan else "auto"
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"the plan asks for {name}, but torch finds no CUDA device here")
    return device


def choose(weights: int, device: torch.device) -> MemoryPlan:
    """The plan for "auto": `weights` bytes on `device`, by the memory that is free there now."""
    if device.type == "cpu":
        return _read("cpu")
    if device.type != "cuda":
        return _read("max")
    free, _ = torch.cuda.mem_get_info(device)
    if free > weights + 6 * _GB:
        return _read("max")
    return _read("8gb" if free > weights + 3 * _GB else "4gb")


def dtype(precision: str, device: torch.device) -> tuple[torch.dtype, list[str]]:
    """The numbers a model computes in on `device`, and what to tell the user about it.

    "auto" is half on a card that computes it well and full elsewhere; GTX 16xx cards give black or
    green pictures in half precision, so they get full. Raises `ValueError` for an unknown name.
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


def attention(plan: MemoryPlan, device: torch.device) -> str:
    """The attention kernel's name on `device`. "auto" is PyTorch's fused kernel.

    Raises `ValueError` for xformers on a device it has no kernels for, or where it is not
    installed.
    """
    if plan.attention == "auto":
        return "sdpa"
    if plan.attention == "xformers":
        if device.type != "cuda":
            raise ValueError(f"attention='xformers' needs a CUDA device, this is {device.type}")
        try:
            import xformers.ops  # noqa: F401  (only whether it is there)
        except ImportError as error:
            raise ValueError(
                "attention='xformers', but xformers is not installed: pip install sdnb[xformers], "
                "or use attention='sdpa'"
            ) from error
    return plan.attention


@contextmanager
def use(module: nn.Module, placement: str, device: torch.device) -> Iterator[torch.device]:
    """Bracket a stage: yields the device on which `module` computes inside.

    "offload" copies the weights to the device and drops the copies afterwards, also when the stage
    fails; the weights on the CPU are never written, so nothing is copied back. Brackets may nest.
    """
    if placement != "offload" or device.type == "cpu":
        yield device if placement != "cpu" else torch.device("cpu")
        return
    home = [
        (table, name, tensor)
        for part in module.modules()
        for table in (part._parameters, part._buffers)  # noqa: SLF001  (swapped, never written)
        for name, tensor in table.items()
        if tensor is not None
    ]
    if any(tensor.device.type != "cpu" for _, _, tensor in home):
        yield device  # an outer bracket has brought it
        return
    try:
        for table, name, tensor in home:
            copy = tensor.to(device, non_blocking=True)
            is_weight = isinstance(tensor, nn.Parameter)
            table[name] = nn.Parameter(copy, requires_grad=False) if is_weight else copy
        yield device
    finally:
        for table, name, tensor in home:
            table[name] = tensor
        if device.type == "cuda":
            torch.cuda.empty_cache()


class Peak:
    """The most memory in use inside a `with` block, in GB: reserved on a card, resident on a CPU.

    A CPU has no counter that can be reset on every system, so a thread looks 50 times a second.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.gb = 0.0
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return self

    def _watch(self) -> None:
        process = psutil.Process()
        while True:
            self.gb = max(self.gb, process.memory_info().rss / _GB)
            if self._done.wait(0.02):
                return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def read(self) -> float:
        """The peak so far."""
        if self.device.type == "cuda":
            self.gb = torch.cuda.max_memory_reserved(self.device) / _GB
        return self.gb
