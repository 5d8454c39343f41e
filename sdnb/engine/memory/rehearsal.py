"""How much memory a computation would take: it runs on tensors without data, on the meta device,
and its allocations are counted, so that no formula has to follow the code. Kernels' own workspaces
do not show.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from sdnb.engine.memory.pool import Pool

#: A CUDA allocation's granularity, in bytes.
GRAIN = 512

_NORMS = (torch.ops.aten.group_norm.default, torch.ops.aten.layer_norm.default)

_not_counted: set[int] = set()  # storages that stand for other memory than the device's
_stream_number = 0  # whose pool a tensor comes from


class _Count(TorchDispatchMode):
    """Counts the storages that are alive, as they come and go."""

    def __init__(self, *pools: Pool) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.pools = pools  # of the stream that is recorded, and of the one beside it
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {_key(x) for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        result = _alike(func, args)
        if result is None:
            result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and _key(leaf) not in given:  # views are nothing new
                self._see(leaf)
        return result

    def _see(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), _key(tensor)
        if tensor.device.type != "meta" or key in self._known or key in _not_counted:
            return
        size = -(-storage.nbytes() // GRAIN) * GRAIN
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        pool = self.pools[_stream_number] if self.pools and size else None
        if pool is not None:
            pool.allocate(key, size)
        weakref.finalize(storage, self._forget, key, size, pool)

    def _forget(self, key: int, size: int, pool: Pool | None) -> None:
        self._known.discard(key)
        self.now -= size
        if pool is not None:
            pool.free(key, size)


def _alike(func: Any, args: Any) -> Tensor | None:
    """What a norm or an elementwise operation gives, without the milliseconds that PyTorch takes to
    find out; None for another operation, and where shapes or dtypes differ.
    """
    if not args or not isinstance(args[0], Tensor):
        return None
    first = args[0]
    if func in _NORMS:
        return torch.empty_like(first)
    if torch.Tag.pointwise not in func.tags:
        return None
    if func._schema.is_mutable:  # noqa: SLF001 - in place
        return first if func._schema.name.endswith("_") else None  # noqa: SLF001
    others = (a for a in args[1:] if isinstance(a, Tensor))
    if not first.is_floating_point() or len(func._schema.returns) != 1:  # noqa: SLF001
        return None
    if any(a.shape != first.shape or a.dtype != first.dtype for a in others):
        return None
    return torch.empty_like(first)


def _key(tensor: Tensor) -> int:
    """The identity of a tensor's storage."""
    return tensor.untyped_storage()._cdata  # noqa: SLF001


def rehearse(work: Callable[[], object]) -> int:
    """The most bytes that the tensors made by `work`, which computes on meta, take at one time."""
    with torch.inference_mode(), _Count() as count:
        kept = work()
        del kept
    return count.peak


def rehearse_alone(work: Callable[[], object]) -> int:
    """The bytes that PyTorch's allocator takes from a card for those tensors in a pool of their
    own, as the work recorded as a CUDA graph has one: one for each stream.
    """
    pools = Pool(), Pool()
    with torch.inference_mode(), _Count(*pools):
        kept = work()
        del kept
    return sum(pool.reserved for pool in pools)


@contextmanager
def another_pool() -> Iterator[None]:
    """Have tensors come from the pool of the stream beside the one that is recorded: the allocator
    gives no stream's memory to another.
    """
    global _stream_number  # noqa: PLW0603
    before, _stream_number = _stream_number, 1
    try:
        yield
    finally:
        _stream_number = before


def not_counted(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A tensor that stands for memory which is not the device's, so that it does not count."""
    with _disable_current_modes():
        tensor = torch.empty(shape, dtype=dtype, device="meta")
        _not_counted.add(_key(tensor))
        weakref.finalize(tensor.untyped_storage(), _not_counted.discard, _key(tensor))
    return tensor
