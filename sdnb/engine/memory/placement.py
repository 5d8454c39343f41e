"""Where the weights of a module live, and where it computes: `place` decides it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn

from sdnb.engine.memory import flat
from sdnb.engine.memory.flat import CPU


class Placed(Protocol):
    """A module in its place. Inside `use`, which may be nested, it computes on the device that the
    context gives, in `dtype` if given.
    """

    def use(self, dtype: torch.dtype | None = None) -> AbstractContextManager[torch.device]: ...

    def release(self) -> None:
        """Bring the weights back to ordinary host memory."""

    def written(self, module: nn.Module, name: str) -> AbstractContextManager[Tensor]:
        """Outside `use`, a tensor to fill with new values of a module's own weight, where that lies
        or will be put when the block ends.
        """


class Resident:
    """The weights stay on the device, in one block."""

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self.module, self.device = module, device
        if device.type == "cuda":
            flat.gather(flat.tensors(module), device)

    @contextmanager
    def use(self, dtype: torch.dtype | None = None) -> Iterator[torch.device]:
        with cast(self.module, dtype, self.device):
            yield self.device

    def written(self, module: nn.Module, name: str) -> AbstractContextManager[Tensor]:
        return nullcontext(getattr(module, name))

    def release(self) -> None:
        if self.device.type == "cuda":
            flat.gather(flat.tensors(self.module))
            empty_cache(self.device)


class Offloaded:
    """The weights come to the device for a stage, in one copy, which is dropped after it. Those on
    the CPU are never written, so nothing is copied back.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self.module, self.device = module, device
        self._depth = 0
        self._entries, self._block = flat.gather(flat.tensors(module))
        flat.pin(self._block, device)

    @contextmanager
    def use(self, dtype: torch.dtype | None = None) -> Iterator[torch.device]:
        self._depth += 1
        try:
            if self._depth == 1:
                flat.scatter(self._entries, self._block.to(self.device, non_blocking=True))
            with cast(self.module, dtype, self.device):
                yield self.device
        finally:
            self._depth -= 1
            if self._depth == 0:
                flat.scatter(self._entries, self._block)
                empty_cache(self.device)

    def written(self, module: nn.Module, name: str) -> AbstractContextManager[Tensor]:
        return nullcontext(getattr(module, name))

    def release(self) -> None:
        flat.gather(flat.tensors(self.module))  # into memory that is not pinned


def place(module: nn.Module, placement: str, device: torch.device) -> Placed:
    """Place a module "resident", "offload" or "cpu". `memory.Streamed` is for "stream"."""
    if placement == "offload" and device.type != "cpu":
        return Offloaded(module, device)
    return Resident(module, CPU if placement == "cpu" else device)


@contextmanager
def cast(module: nn.Module, dtype: torch.dtype | None, device: torch.device) -> Iterator[None]:
    """Inside the block, the weights are copies in `dtype` on `device`; None changes nothing."""
    if dtype is None:
        yield
        return
    before = list(flat.tensors(module))
    try:
        for table, name, tensor in before:
            kind = dtype if tensor.is_floating_point() else tensor.dtype
            flat.bind(table, name, tensor.to(device, kind))
        yield
    finally:
        for table, name, tensor in before:
            table[name] = tensor
        empty_cache(device)


def empty_cache(device: torch.device) -> None:
    """Give unused memory of the allocator back to the card."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
