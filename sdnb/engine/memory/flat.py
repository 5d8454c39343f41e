"""All weights of a module in one block of memory: one copy brings them to a card.

A block of host memory is pinned where a card will read it: the copy then runs at the bus's full
speed and beside the computation. It is registered, not allocated, as pinned: PyTorch's own pinned
allocator rounds up to a power of two.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

CPU = torch.device("cpu")
ALIGN = 256  # bytes: of every weight in the block


@dataclass(frozen=True)
class Entry:
    """A weight's place: in its module, and in the block."""

    table: dict[str, Any]  # the module's `_parameters` or `_buffers`
    name: str
    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    offset: int  # bytes
    is_weight: bool

    @property
    def nbytes(self) -> int:
        return self.shape.numel() * self.dtype.itemsize

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.offset + -(-self.nbytes // ALIGN) * ALIGN

    def view(self, block: Tensor, at: int = 0) -> Tensor:
        """The weight in a block of bytes that begins `at` bytes into the whole."""
        start = self.offset - at
        data = block[start : start + self.nbytes].view(self.dtype)
        return data.as_strided(self.shape, self.stride)

    def bind(self, tensor: Tensor) -> None:
        """Make it the module's own."""
        self.table[self.name] = (
            nn.Parameter(tensor, requires_grad=False) if self.is_weight else tensor
        )


def tensors(module: nn.Module) -> Iterator[Weight]:
    """Every parameter and buffer, where it stands."""
    for part in module.modules():
        for table in (part._parameters, part._buffers):  # noqa: SLF001 - rebound, never written
            for name, tensor in table.items():
                if tensor is not None:
                    yield table, name, tensor


Weight = tuple[dict[str, Any], str, Tensor]


def layout(weights: Iterable[Weight]) -> tuple[list[Entry], int]:
    """Where each weight would lie, one after the other, and the size of it all in bytes."""
    entries, at = [], 0
    for table, name, tensor in weights:
        stride = tensor.stride() if _dense(tensor) else torch.empty(tensor.shape).stride()
        entry = Entry(
            table, name, tensor.shape, stride, tensor.dtype, at, isinstance(tensor, nn.Parameter)
        )
        entries.append(entry)
        at = entry.end
    return entries, at


def _dense(tensor: Tensor) -> bool:
    """Whether the elements fill their memory without gaps, in whatever order."""
    order = sorted((s, n) for s, n in zip(tensor.stride(), tensor.shape, strict=True) if n != 1)
    step = 1
    for stride, size in order:
        if stride != step:
            return False
        step *= size
    return True


def gather(weights: Iterable[Weight], device: torch.device = CPU) -> tuple[list[Entry], Tensor]:
    """Move weights into one block of memory on `device`; they are views of it from then on. Takes
    hardly more host memory than there was: each weight is let go when it is copied.
    """
    entries, size = layout(weights)
    block = torch.empty(size, dtype=torch.uint8, device=device)
    for entry in entries:
        view = entry.view(block)
        view.copy_(entry.table[entry.name])
        entry.bind(view)
    return entries, block


def scatter(entries: Sequence[Entry], block: Tensor) -> None:
    """Bind the weights to their places in `block`, which has the layout's size."""
    for entry in entries:
        entry.bind(entry.view(block))


def pin(block: Tensor, device: torch.device) -> bool:
    """Pin a block of host memory until it is freed; False where the system refuses."""
    if device.type != "cuda" or block.numel() == 0 or block.is_pinned():
        return False
    pointer, size = block.data_ptr(), block.numel() * block.element_size()
    cudart = torch.cuda.cudart()
    if int(cudart.cudaHostRegister(pointer, size, 0)) != 0:
        return False
    weakref.finalize(block.untyped_storage(), _unpin, pointer)
    return True


def _unpin(pointer: int) -> None:
    torch.cuda.cudart().cudaHostUnregister(pointer)


def pinned(shape: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Host memory `[b, c, h, w]`, channels last, that `device` reads and writes directly."""
    b, c, h, w = shape
    block = torch.empty((b, h, w, c), dtype=dtype)
    pin(block, device)
    return block.permute(0, 3, 1, 2)
