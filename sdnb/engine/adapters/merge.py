"""A weight with additions: read from the checkpoint, summed in float32, and rounded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from sdnb.engine.adapters.families import Delta
from sdnb.engine.checkpoint import LazyTensor

Addition = tuple[Delta, float]  # and its strength
T = TypeVar("T")

#: More would wait for Python: eight threads of 16 cores took no less than four.
_MOST_THREADS = 4
#: Numbers of a weight in work at once, in each thread: they add little to the memory, 80 MB in two
#: threads. With fewer a thread spends its time on opening pieces, and waits for Python: of SD 1.4's
#: UNet two threads took 1.4 s by 2^21, 1.5 by 2^20 and 2.3 by 2^18.
_AT_ONCE = 1 << 21


def in_threads(work: Callable[[T], object], items: Sequence[T]) -> None:
    """Do `work` for each item, in a thread a processor, eight at most. Inside, torch has one thread
    a call: many small products wait less for each other so, and their bits do not depend on how
    many there are.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that begin after this take it over
    pool = ThreadPoolExecutor(min(threads, _MOST_THREADS), "sdnb-weights")
    try:
        for _ in pool.map(work, items):
            pass
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def write_sum(
    original: LazyTensor, additions: Sequence[Addition], target: Tensor, dtype: torch.dtype
) -> None:
    """Fill `target`, of the original's shape, with the sum, rounded to `dtype`. It may be anywhere,
    in any layout and type.
    """
    whole = [(delta, strength) for delta, strength in additions if delta.factors is None]
    if not additions and target.dtype == dtype:
        original.read_into(target)
        return
    up, down = _joined([pair for pair in additions if pair[0].factors is not None])
    rows = max(_AT_ONCE * len(target) // max(original.count, 1), 1)
    by_rows = all(delta.by_rows for delta, _ in whole) and original.stride is None
    if not by_rows:
        rows = len(target)
    makers = [(_made_by_rows(delta), strength) for delta, strength in whole]
    # With several, each is made from the weight as it was before any.
    apart = len(whole) > 1 and any(delta.needs_weight for delta, _ in whole)
    buffer = torch.empty((min(rows, len(target)), *original.shape[1:]), dtype=torch.float32)
    for first in range(0, len(target), rows):
        end = min(first + rows, len(target))
        total = buffer[: end - first]
        _rows(original, first, end).read_into(total)
        weight = total.clone() if apart else total
        for make, strength in makers:
            total.add_(make(weight, slice(first, end)), alpha=strength)
        if up is not None:
            total.view(len(total), -1).addmm_(up[first:end], down)
        # Rounded here for a card too: it lacks the room, and the bits are the same everywhere.
        rounds = target.dtype == dtype and target.device.type == "cpu"
        target[first:end].copy_(total if rounds else total.to(dtype))


def _joined(plain: Sequence[Addition]) -> tuple[Tensor | None, Tensor]:
    """The factors of all plain LoRAs as one pair, `[out, r]` and `[r, all else]`."""
    pairs = []
    for delta, strength in plain:
        assert delta.factors is not None
        up, down = delta.factors()
        pairs.append((up * strength, down))
    if not pairs:
        return None, torch.empty(0)
    ups, downs = zip(*pairs, strict=True)
    return (torch.cat(ups, dim=1), torch.cat(downs)) if len(pairs) > 1 else (ups[0], downs[0])


def _made_by_rows(delta: Delta) -> Callable[[Tensor, slice], Tensor]:
    return delta.by_rows() if delta.by_rows else lambda weight, _: delta.make(weight)


def _rows(tensor: LazyTensor, first: int, end: int) -> LazyTensor:
    if (first, end) == (0, tensor.shape[0]):
        return tensor
    width = tensor.nbytes // tensor.shape[0]
    return replace(
        tensor, offset=tensor.offset + first * width, shape=(end - first, *tensor.shape[1:])
    )
