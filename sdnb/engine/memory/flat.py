"""All weights of a module in one block of memory, so that one copy brings them to a card.

A block of host memory is pinned where a card will read it: the copy then runs at the bus's full
speed, beside the computation. It is pinned after it was allocated, since PyTorch's own pinned
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
_ALIGN = 256  # bytes

Weight = tuple[dict[str, Any], str, Tensor]


@dataclass(frozen=True)
class Entry:
    """A weight's place: in its module, and in the block."""

    table: dict[str, Any]  # the module's `_parameters` or `_buffers`
    name: str
    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    offset: int  # bytes

    @property
    def nbytes(self) -> int:
        return self.shape.numel() * self.dtype.itemsize

    @property
    def end(self) -> int:
        """Where the next weight begins."""
        return self.offset + aligned(self.nbytes)

    def view(self, block: Tensor, at: int = 0) -> Tensor:
        """The weight in a block that begins `at` bytes into the whole."""
        start = self.offset - at
        data = block[start : start + self.nbytes].view(self.dtype)
        return data.as_strided(self.shape, self.stride)

    def bind(self, tensor: Tensor) -> None:
        bind(self.table, self.name, tensor)


def aligned(size: int) -> int:
    """The bytes that a weight of `size` bytes takes in a block."""
    return -(-size // _ALIGN) * _ALIGN


def bind(table: dict[str, Any], name: str, tensor: Tensor) -> None:
    """Make a tensor the module's own, as a parameter where it had one there."""
    is_parameter = isinstance(table[name], nn.Parameter)
    table[name] = nn.Parameter(tensor, requires_grad=False) if is_parameter else tensor


def tensors(module: nn.Module) -> Iterator[Weight]:
    """Every parameter and buffer, with the table of its module that holds it."""
    for part in module.modules():
        for table in (part._parameters, part._buffers):  # noqa: SLF001 - rebound, never written
            for name, tensor in table.items():
                if tensor is not None:
                    yield table, name, tensor


def layout(weights: Iterable[Weight]) -> tuple[list[Entry], int]:
    """Where each weight would lie, one after the other, and the size of the whole in bytes."""
    entries, at = [], 0
    for table, name, tensor in weights:
        stride = torch.empty_like(tensor, device="meta").stride()  # its own, but without gaps
        entry = Entry(table, name, tensor.shape, stride, tensor.dtype, at)
        entries.append(entry)
        at = entry.end
    return entries, at


def gather(weights: Iterable[Weight], device: torch.device = CPU) -> tuple[list[Entry], Tensor]:
    """Move weights into one block of memory on `device`, of which they are views from then on. Each
    is freed once it is copied, so that little more host memory is taken.
    """
    entries, size = layout(weights)
    block = torch.empty(size, dtype=torch.uint8, device=device)
    for entry in entries:
        view = entry.view(block)
        view.copy_(entry.table[entry.name])
        entry.bind(view)
    return entries, block


def scatter(entries: Sequence[Entry], block: Tensor) -> None:
    """Make the weights views of `block`."""
    for entry in entries:
        entry.bind(entry.view(block))


def pin(block: Tensor, device: torch.device) -> bool:
    """Pin a block of host memory until it is freed; False where the system refuses."""
    if device.type != "cuda" or block.numel() == 0 or block.is_pinned():
        return False
    pointer, size = block.data_ptr(), block.numel() * block.element_size()
    if int(torch.cuda.cudart().cudaHostRegister(pointer, size, 0)) != 0:
        return False
    weakref.finalize(block.untyped_storage(), _unpin, pointer)
    return True


def _unpin(pointer: int) -> None:
    torch.cuda.cudart().cudaHostUnregister(pointer)


def pinned(shape: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Pinned host memory `[b, c, h, w]`, channels-last."""
    b, c, h, w = shape
    block = torch.empty((b, h, w, c), dtype=dtype)
    pin(block, device)
    return block.permute(0, 3, 1, 2)
