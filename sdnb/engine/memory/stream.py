"""Streaming: a network's weights pass through the device, each block's while others compute.

The weights lie in one pinned block of host memory, in the order of execution. On the device there
is a ring of memory, a little larger than the two largest neighbours, in which every block has its
fixed place; copies run on a stream of their own, as far ahead as there is room, over the end of a
pass into the next one's beginning. Nothing waits on the host: a block's computation waits for its
copy, and a copy for the computation that last used its place, by events on the device.

A pass can be recorded as a CUDA graph, copies and all: what the ring holds when it begins is what
it holds when it ends. On a CPU the same code runs without streams: that is how it is tested.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from sdnb.engine.memory import flat, quantised, ring
from sdnb.engine.memory.flat import Entry
from sdnb.engine.memory.placement import empty


@dataclass
class _Unit:
    """A block of the network: its weights' range in the source block, and its place in the ring."""

    module: nn.Module
    entries: list[Entry]
    coded: list[quantised.Coded]  # empty: the weights cross the bus as they are
    begin: int  # bytes, in the source block
    end: int
    place: int = -1  # bytes, in the ring; -1: it stays on the device
    back: int = 0  # its place was last in use by the streamed unit this many before it
    copied: Any = None  # events
    done: Any = None

    @property
    def size(self) -> int:
        return self.end - self.begin

    @property
    def whole(self) -> int:
        """Bytes of the weights as the network computes with them."""
        return self.entries[-1].end - self.entries[0].offset if self.entries else 0


class Streamed:
    """A module whose `units` are called in this order, once a pass, and whose `once` modules work
    now and then.

    `keep` bytes of the largest units stay on the device; `weights` "int8" stores the units in 8
    bits, which halves what crosses the bus and what stays.
    """

    def __init__(
        self,
        module: nn.Module,
        device: torch.device,
        units: Sequence[nn.Module],
        once: Sequence[nn.Module] = (),
        *,
        weights: str = "same",
    ) -> None:
        self.module, self.device, self.weights = module, device, weights
        self.keep = 0
        self._once = list(once)
        self._depth = 0
        self._hooks: list[Any] = []
        self._take_in(units)

    # -- in host memory ------------------------------------------------------------------------
    def _take_in(self, units: Sequence[nn.Module]) -> None:
        """Bring the weights into one block of host memory, coded and pinned as they are to be."""
        self._gather(units)
        if self.weights == "int8":
            self._code()
        self.pinned = flat.pin(self._source, self.device)

    def _gather(self, units: Sequence[nn.Module]) -> None:
        apart = {id(t) for m in self._once for t, _, _ in flat.tensors(m)}
        order: list[flat.Weight] = []
        cuts = [0]
        for unit in units:
            order += [w for w in flat.tensors(unit) if id(w[0]) not in apart]
            cuts.append(len(order))
        known = {(id(t), n) for t, n, _ in order}
        self._rest = [w for w in flat.tensors(self.module) if (id(w[0]), w[1]) not in known]
        self._entries, self._source = flat.gather(order)
        self._units = []
        for module, (a, b) in zip(units, pairwise(cuts), strict=True):
            if b > a:
                own = self._entries[a:b]
                self._units.append(_Unit(module, own, [], own[0].offset, own[-1].end))

    def _code(self) -> None:
        """Replace the source by a coded one; the modules' own weights are then only placeholders of
        no memory, until a pass binds decoded ones.
        """
        at, coded = 0, []
        for unit in self._units:
            items, end = quantised.plan(unit.entries, at)
            coded.append((unit, items, at, end))
            at = end
        block = torch.empty(at, dtype=torch.uint8)
        for unit, items, begin, end in coded:
            for item in items:
                item.write(block, item.entry.table[item.entry.name])
            unit.coded, unit.begin, unit.end = items, begin, end
        self._source = block
        for entry in self._entries:
            entry.bind(_nothing(entry))

    @property
    def host(self) -> int:
        """Bytes of host memory that the weights take."""
        return self._source.numel() + sum(t.nbytes for _, _, t in self._rest)

    @property
    def streamed(self) -> int:
        """Bytes that cross the bus in each pass."""
        return sum(unit.size for unit in self._units) - self._kept(self.keep)[1]

    def _kept(self, keep: int) -> tuple[set[int], int]:
        """The units that stay on the device, and their bytes."""
        chosen = ring.largest([unit.size for unit in self._units], keep)
        return {id(self._units[i]) for i in chosen}, sum(self._units[i].size for i in chosen)

    def release(self) -> None:
        """Bring the weights back to ordinary host memory, 8-bit ones decoded."""
        for unit in self._units:
            for item in unit.coded:
                entry = item.entry
                out = torch.empty_strided(entry.shape, entry.stride, dtype=entry.dtype)
                item.read(self._source, out)
                entry.bind(out)
        if self.weights != "int8":
            flat.gather([w for u in self._units for w in _weights(u.entries)])

    # -- on the device -------------------------------------------------------------------------
    @contextmanager
    def use(self, dtype: torch.dtype | None = None) -> Iterator[torch.device]:
        """Inside the block, the module can be called. With `dtype`, a copy in those numbers is
        streamed instead.
        """
        if dtype is not None and self._depth == 0:
            with self._recast(dtype) as device:
                yield device
            return
        self._depth += 1
        try:
            if self._depth == 1:
                self._enter()
            yield self.device
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._leave()

    def _enter(self) -> None:
        kept, size = self._kept(self.keep)
        self._cycle = [unit for unit in self._units if id(unit) not in kept]
        places, total = ring.places([unit.size for unit in self._cycle])
        for unit, (place, back) in zip(self._cycle, places, strict=True):
            unit.place, unit.back = place, back
        device = self.device
        self._ring = torch.empty(total, dtype=torch.uint8, device=device)
        whole = max((unit.whole for unit in self._units), default=0)
        coded = self.weights == "int8"
        self._scratch = torch.empty(whole if coded else 0, dtype=torch.uint8, device=device)
        self._stay = torch.empty(size, dtype=torch.uint8, device=device)
        at = 0
        self._homes = {}  # unit -> its bytes on the device
        for unit in self._units:
            if id(unit) in kept:
                home = self._stay[at : at + unit.size]
                home.copy_(self._source[unit.begin : unit.end], non_blocking=True)
                at += unit.size
            else:
                home = self._ring[unit.place : unit.place + unit.size]
            self._homes[id(unit)] = home
            for entry in unit.entries:
                block = self._scratch if coded else home
                entry.bind(entry.view(block, unit.entries[0].offset))
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        if self._stream is not None:  # memory that other work has just given back
            self._stream.wait_stream(torch.cuda.current_stream(device))
        self._hook()
        self._restart()

    def _hook(self) -> None:
        number = {id(unit): i for i, unit in enumerate(self._cycle)}
        for unit in self._units:
            i = number.get(id(unit), -1)
            before, after = (
                functools.partial(self._before, unit, i),
                functools.partial(self._after, i),
            )
            self._hooks.append(unit.module.register_forward_pre_hook(before))
            self._hooks.append(unit.module.register_forward_hook(after))
        for module in self._once:
            self._hooks.append(module.register_forward_pre_hook(self._fetch))
            self._hooks.append(module.register_forward_hook(self._drop))
        self._hooks.append(self.module.register_forward_pre_hook(self._begin))
        self._hooks.append(self.module.register_forward_hook(self._end))

    def _restart(self) -> None:
        """Start again with the first unit, whatever was in flight."""
        self._recording = False
        self._sealed = self._past = -1  # units copied, and computed, before recording began
        if self._stream is not None:
            torch.cuda.current_stream(self.device).synchronize()
            self._stream.synchronize()
            for unit in self._cycle:  # new ones: a graph's own mean nothing outside it
                unit.copied, unit.done = torch.cuda.Event(), torch.cuda.Event()
        self._issued = self._computed = 0  # streamed units, counted over all passes
        self._issue()

    def _issue(self) -> None:
        """Start each copy whose place is free, or will be free once the enqueued work has run."""
        while self._cycle and self._issued < self._computed + len(self._cycle):
            unit = self._cycle[self._issued % len(self._cycle)]
            last = self._issued - unit.back  # who used the place
            if last >= self._computed:
                return
            used = last >= 0 and last >= self._past
            self._copy(unit, self._cycle[last % len(self._cycle)] if used else None)
            self._issued += 1

    def _copy(self, unit: _Unit, last: _Unit | None) -> None:
        home, source = self._homes[id(unit)], self._source[unit.begin : unit.end]
        if self._stream is None:
            home.copy_(source)
            return
        with torch.cuda.stream(self._stream):
            if last is not None:
                self._stream.wait_event(last.done)
            home.copy_(source, non_blocking=True)
            unit.copied.record(self._stream)

    def _begin(self, *_: object) -> None:
        if self._stream is not None and torch.cuda.is_current_stream_capturing():
            if not self._recording:  # all that was under way has ended: recording waits for it
                self._recording, self._sealed, self._past = True, self._issued, self._computed
            self._stream.wait_stream(torch.cuda.current_stream(self.device))
        elif self._recording or (self._cycle and self._computed % len(self._cycle)):
            self._restart()  # a graph was recorded, or the pass before broke off

    def _end(self, *_: object) -> None:
        if self._recording:
            torch.cuda.current_stream(self.device).wait_stream(self._stream)

    def _before(self, unit: _Unit, i: int, *_: object) -> None:
        if i >= 0:
            if self._computed % len(self._cycle) != i:
                raise RuntimeError("the blocks of a streamed network were called out of order")
            self._issue()
            if self._stream is not None and self._computed >= self._sealed:
                torch.cuda.current_stream(self.device).wait_event(unit.copied)
        for item in unit.coded:
            item.read(self._homes[id(unit)], item.entry.table[item.entry.name], unit.begin)

    def _after(self, i: int, *_: object) -> None:
        if i < 0:
            return
        if self._stream is not None:
            self._cycle[i].done.record(torch.cuda.current_stream(self.device))
        self._computed += 1
        self._issue()

    def _fetch(self, module: nn.Module, *_: object) -> None:
        """Bring the weights of a module of `once`."""
        for table, name, tensor in list(flat.tensors(module)):
            copy = tensor.to(self.device)
            table[name] = nn.Parameter(copy, requires_grad=False)

    def _drop(self, module: nn.Module, *_: object) -> None:
        home = {(id(t), n): tensor for t, n, tensor in self._rest}
        for table, name, _ in list(flat.tensors(module)):
            table[name] = home[id(table), name]

    def _leave(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        if self._stream is not None:
            self._stream.synchronize()
        for table, name, tensor in self._rest:
            table[name] = tensor
        for unit in self._units:
            for entry in unit.entries:
                if unit.coded:
                    entry.bind(_nothing(entry))
                else:
                    entry.bind(entry.view(self._source))
        del self._ring, self._stay, self._scratch, self._homes
        empty(self.device)

    @contextmanager
    def _recast(self, dtype: torch.dtype) -> Iterator[torch.device]:
        units = [unit.module for unit in self._units]
        self.release()
        dtypes = [(table, name, weight.dtype) for table, name, weight in flat.tensors(self.module)]
        try:
            self.module.to(dtype)
            other = Streamed(self.module, self.device, units, self._once)
            with other.use() as device:
                yield device
            other.release()
        finally:
            for table, name, kind in dtypes:
                table[name] = nn.Parameter(table[name].to(kind), requires_grad=False)
            self._take_in(units)


def _weights(entries: Sequence[Entry]) -> list[flat.Weight]:
    return [(entry.table, entry.name, entry.table[entry.name]) for entry in entries]


def _nothing(entry: Entry) -> Tensor:
    """A placeholder of the weight's shape, without memory."""
    return torch.empty_strided(entry.shape, entry.stride, dtype=entry.dtype, device="meta")
