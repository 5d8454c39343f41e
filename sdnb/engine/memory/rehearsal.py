"""How much memory a computation would take: it runs on tensors without data, on the meta device,
and its allocations are counted, so that no formula has to follow the code. Kernels' own workspaces
do not show.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from sdnb.engine.memory.pool import Pool

#: A CUDA allocation's granularity, in bytes.
GRAIN = 512

_aten = torch.ops.aten
# They promote the dtypes of their operands, as `torch.promote_types` does.
_ARITHMETIC = (
    _aten.add.Tensor, _aten.sub.Tensor, _aten.mul.Tensor, _aten.div.Tensor, _aten.addcmul.default,
)  # fmt: skip
_CONVOLUTIONS = (_aten.convolution.default, _aten.conv2d.default, _aten.conv2d.padding)
_NORMS = (_aten.group_norm.default, _aten.layer_norm.default)

_not_counted: set[int] = set()  # storages that stand for other memory than the device's
_stream_number = 0  # whose pool a tensor comes from


class _Count(TorchDispatchMode):
    """Counts the storages that are alive, as they come and go."""

    def __init__(self, *pools: Pool, copies_weights: bool = False) -> None:
        super().__init__()
        self.copies_weights = copies_weights
        self.now = self.peak = 0
        self.pools = pools  # of the stream that is recorded, and of the one beside it
        self._known: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """What PyTorch's base class asks: keeping its compiler off each call would import that."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {_key(x) for x in _tensors((*args, *(kwargs or {}).values()))}
        if self.copies_weights and func in _CONVOLUTIONS:
            self.peak = max(self.peak, self.now + args[1].nbytes)
        result = _alike(func, args, kwargs or {})
        if result is None:
            result = func(*args, **(kwargs or {}))
        for made in _tensors((result,)):
            if _key(made) not in given:  # views are nothing new
                self._see(made)
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


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    """Those among an operation's arguments or results, which may be in lists."""
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += _tensors(value)
    return found


def _alike(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What a layer, a norm, an elementwise operation or one that joins or reduces tensors gives,
    without the milliseconds that PyTorch takes to find out, and the second in which it imports its
    compiler; None for another operation, and where shapes, layouts or dtypes are unusual.
    """
    if func in _OWN_RULES:
        return _OWN_RULES[func](*args, **kwargs)
    if not args or not isinstance(args[0], Tensor):
        return None
    first = args[0]
    if func in _NORMS:
        return _empty_like(first, first.dtype)
    if func is _aten.linear.default:
        return first.new_empty((*first.shape[:-1], args[1].shape[0]))
    if torch.Tag.pointwise not in func.tags:
        return None
    if func._schema.is_mutable:  # noqa: SLF001 - in place
        return first if func._schema.name.endswith("_") else None  # noqa: SLF001
    return _spread(func, [a for a in args if isinstance(a, Tensor)])


def _cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    """Channels last, where all are so; else in rows."""
    first, layouts = tensors[0], {_layout(t) for t in tensors}
    if None in layouts or len({(t.dtype, t.ndim) for t in tensors}) > 1:
        return None
    shape = list(first.shape)
    shape[dim] = sum(t.shape[dim] for t in tensors)
    if "rows" in layouts:
        return first.new_empty(shape)
    _, c, h, w = shape
    return first.new_empty_strided(shape, (c * h * w, 1, c * w, c))


def _layout(tensor: Tensor) -> str | None:
    """None: another one, one that is both, or no elements."""
    rows = tensor.is_contiguous()
    last = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return None if rows == last or not tensor.numel() else "rows" if rows else "channels last"


def _stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    """Of tensors in rows, along a new dimension before the others."""
    rows = all(t.is_contiguous() and t.dtype == tensors[0].dtype for t in tensors)
    return tensors[0].new_empty((len(tensors), *tensors[0].shape)) if rows and dim == 0 else None


def _var_mean(
    tensor: Tensor, dim: Sequence[int] | None = None, *, keepdim: bool = False, **_: float | None
) -> tuple[Tensor, Tensor] | None:
    """Over some dimensions, which go. The other argument, `correction`, changes numbers alone."""
    if not dim or keepdim or not tensor.is_floating_point():
        return None
    gone = {n % tensor.ndim for n in dim}
    shape = [size for n, size in enumerate(tensor.shape) if n not in gone]
    return tensor.new_empty(shape), tensor.new_empty(shape)


_OWN_RULES: dict[Any, Callable[..., Any]] = {
    _aten.cat.default: _cat, _aten.stack.default: _stack, _aten.var_mean.correction: _var_mean,
}  # fmt: skip


def _spread(func: Any, operands: list[Tensor]) -> Tensor | None:
    """What an elementwise operation gives: one operand has its shape, the others are spread over
    that one.
    """
    largest = max(operands, key=lambda a: (a.numel(), a.ndim))
    kinds = {a.dtype for a in operands}
    if not all(kind.is_floating_point for kind in kinds) or len(func._schema.returns) != 1:  # noqa: SLF001
        return None
    if len(kinds) > 1 and (func not in _ARITHMETIC or not all(a.ndim for a in operands)):
        return None
    whole = largest.shape[::-1]
    pairs = [zip(a.shape[::-1], whole, strict=False) for a in operands if a is not largest]
    if not all(n in {1, of} for each in pairs for n, of in each):
        return None
    return _empty_like(largest, reduce(torch.promote_types, kinds))


def _empty_like(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """`torch.empty_like`, which for a tensor without data is slow Python."""
    if 0 in tensor.stride():
        return torch.empty_like(tensor, dtype=dtype)
    strides, room = [0] * tensor.ndim, 1
    for n in sorted(range(tensor.ndim), key=lambda n: (tensor.stride(n), -n)):
        strides[n], room = room, room * tensor.shape[n]
    return tensor.new_empty_strided(tensor.shape, strides, dtype=dtype)


def _key(tensor: Tensor) -> int:
    """The identity of a tensor's storage."""
    return tensor.untyped_storage()._cdata  # noqa: SLF001


def rehearse(work: Callable[[], object], *, copies_weights: bool = False) -> int:
    """The most bytes that the tensors made by `work`, which computes on meta, take at one time.
    `copies_weights`: with a copy of a convolution's weights, while it computes, in the order that
    the CPU's kernels want.
    """
    with torch.inference_mode(), _Count(copies_weights=copies_weights) as count:
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
