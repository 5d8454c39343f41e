"""Streaming: a network's weights pass through the device, each block's while others compute.

The weights lie in one pinned block of host memory, in the order of execution. On the device there
is a ring of memory, in which every block has its fixed place. Copies run on a stream of their own,
as far ahead as there is room, also into the next pass. Nothing waits on the host: a block's
computation waits for its copy, and a copy for the computation that last used its place, by events.

A pass can be recorded as a CUDA graph with its copies, since the ring holds the same at its end as
at its beginning. Networks that compute in turn may share a ring, with which each pass then begins
anew; so does each where some leave units out. On a CPU the same code runs without streams, and so
it is tested.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sdnb.engine.memory import flat, quantised, ring
from sdnb.engine.memory.flat import Entry
from sdnb.engine.memory.placement import empty_cache
from sdnb.engine.memory.units import Cycle, Unit


class Streamed:
    """A module whose `units` are called in this order in each pass; those in `once` work now and
    then, and their weights come only for that. A pass that is called with `kept` calls those in
    `short` alone; others of such a run are called with `keep`.

    The largest units, up to `keep` bytes, stay on the device. `weights` "int8" stores the units in
    8 bits, which halves what crosses the bus and what stays. With a `lender`, which comes into use
    before this one, its ring is used where it is large enough; its own has `ring_at_least` bytes.
    """

    def __init__(
        self,
        module: nn.Module,
        device: torch.device,
        units: Sequence[nn.Module],
        once: Sequence[nn.Module] = (),
        *,
        short: Sequence[nn.Module] = (),
        weights: str = "same",
    ) -> None:
        self.module, self.device, self.weights = module, device, weights
        self.keep = self.ring_at_least = 0
        self.lender: Streamed | None = None
        # Whether another network's weights pass through the ring, too, or passes differ.
        self._begins_anew = False
        self._once, self._short = list(once), list(short)
        self._depth = 0
        self._hooks: list[Any] = []
        self._stream: Any = None
        self._ring: Tensor | None = None
        self._take_in(units)

    # -- in host memory ------------------------------------------------------------------------
    def _take_in(self, units: Sequence[nn.Module]) -> None:
        """Bring the weights into one pinned block of host memory."""
        self._gather(units)
        self._coded: dict[tuple[int, str], quantised.Coded] = {}
        if self.weights == "int8":
            self._code()
        flat.pin(self._source, self.device)

    def _gather(self, units: Sequence[nn.Module]) -> None:
        by_unit = list(ring.weights_by_unit(units, self._once))
        order = [weight for weights in by_unit for weight in weights]
        known = {(id(table), name) for table, name, _ in order}
        self._rest = [w for w in flat.tensors(self.module) if (id(w[0]), w[1]) not in known]
        self._entries, self._source = flat.gather(order)
        self._units, remaining = [], iter(self._entries)
        for module, weights in zip(units, by_unit, strict=True):
            if weights:
                own = [next(remaining) for _ in weights]
                self._units.append(Unit(module, own, [], own[0].offset, own[-1].end))

    def _code(self) -> None:
        """Replace the source by a coded one; the modules' own weights are then only placeholders of
        no memory, until a pass binds decoded ones.
        """
        at = 0
        for unit in self._units:
            unit.begin = at
            unit.coded, unit.end = quantised.layout(unit.entries, at)
            at = unit.end
        self._source = torch.empty(at, dtype=torch.uint8)
        for unit in self._units:
            for item in unit.coded:
                item.write(self._source, item.entry.table[item.entry.name], self.device)
                self._coded[id(item.entry.table), item.entry.name] = item
        for entry in self._entries:
            entry.bind(_nothing(entry))

    def release(self) -> None:
        """Bring the weights back to ordinary host memory, 8-bit ones decoded."""
        for unit in self._units:
            for item in unit.coded:
                entry = item.entry
                out = torch.empty_strided(entry.shape, entry.stride, dtype=entry.dtype)
                item.read(self._source, out)
                entry.bind(out)
        if self.weights != "int8":
            flat.gather((e.table, e.name, e.table[e.name]) for e in self._entries)

    @contextmanager
    def written(self, module: nn.Module, name: str) -> Iterator[Tensor]:
        """As `Placed.written`: 8-bit weights are coded again when the block ends. Until then they
        are on the device, which codes them.
        """
        item = self._coded.get((id(module._parameters), name))  # noqa: SLF001 - as in `flat`
        if item is None:
            yield getattr(module, name)
            return
        entry = item.entry
        new = torch.empty_strided(entry.shape, entry.stride, dtype=entry.dtype, device=self.device)
        yield new
        item.write(self._source, new, self.device)

    # -- on the device -------------------------------------------------------------------------
    @property
    def ring_bytes(self) -> int:
        """Bytes of the ring that it needs."""
        return ring.ring_size([unit.size for unit in self._divided()[0]])

    def _divided(self) -> tuple[list[Unit], list[Unit]]:
        """The units that pass through the ring, and those that stay."""
        chosen = ring.units_that_stay([unit.size for unit in self._units], self.keep)
        cycle = [unit for i, unit in enumerate(self._units) if i not in chosen]
        return cycle, [self._units[i] for i in sorted(chosen)]

    def lend(self, size: int) -> tuple[Tensor, Any] | None:
        """The ring, and the stream of its copies, for another network, which has them to itself
        until the next pass of this one begins; None where the ring is smaller. Inside of `use`.
        """
        if self._ring is None or len(self._ring) < size:
            return None
        self._begin_each_anew()
        return self._ring, self._stream

    def _begin_each_anew(self) -> None:
        """From now on, have each pass begin with its first unit: what was copied ahead is lost."""
        self._begins_anew = True
        if self._stream is not None:
            torch.cuda.current_stream(self.device).wait_stream(self._stream)

    @contextmanager
    def use(self, dtype: torch.dtype | None = None) -> Iterator[torch.device]:
        """Inside, the module can be called; with `dtype`, a copy in those numbers is streamed."""
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
        cycle, staying = self._divided()
        places, total = ring.places([unit.size for unit in cycle])
        decoded = [u.entries[-1].end - u.entries[0].offset for u in self._units if u.coded]
        lent = self.lender.lend(total) if self.lender is not None and total else None
        self._begins_anew = lent is not None
        own = 0 if self._begins_anew else max(total, 0 if self.lender else self.ring_at_least)
        self._ring, self._scratch, self._stay = (
            torch.empty(size, dtype=torch.uint8, device=self.device)
            for size in (own, max(decoded, default=0), sum(unit.size for unit in staying))
        )
        self._ring = self._ring if lent is None else lent[0]
        for unit, (place, _) in zip(cycle, places, strict=True):
            unit.home = self._ring[place : place + unit.size]
        self._whole = Cycle(cycle, [place for place, _ in places])
        self._shallow = self._whole.only(self._short)
        self._cycle = self._whole
        homes = self._stay.split([unit.size for unit in staying])
        for unit, home in zip(staying, homes, strict=True):
            unit.home = home.copy_(self._source[unit.begin : unit.end], non_blocking=True)
        for unit in self._units:
            for entry in unit.entries:
                block = self._scratch if unit.coded else unit.home
                entry.bind(entry.view(block, unit.entries[0].offset))
        if self.device.type == "cuda":
            # One stream for a ring: so copies that a pass left behind come before the next ones.
            self._stream = torch.cuda.Stream(self.device) if lent is None else lent[1]
            # The memory may be what other work has just given back.
            self._stream.wait_stream(torch.cuda.current_stream(self.device))
        self._hook()
        self._restart()

    def _hook(self) -> None:
        for unit in self._units:
            self._around(unit.module, partial(self._before, unit), partial(self._after, unit))
        for module in self._once:
            self._around(module, self._fetch, self._drop)
        begin = self.module.register_forward_pre_hook(self._begin, with_kwargs=True)
        self._hooks += [begin, self.module.register_forward_hook(self._end)]

    def _around(self, module: nn.Module, before: Any, after: Any) -> None:
        """Hook a module's calls."""
        self._hooks.append(module.register_forward_pre_hook(before))
        self._hooks.append(module.register_forward_hook(after))

    def _restart(self) -> None:
        """Start again with the first unit, whatever was in flight."""
        self._recording = False
        self._sealed = self._past = -1  # units copied, and computed, before recording began
        if self._stream is not None:
            torch.cuda.current_stream(self.device).synchronize()
            self._stream.synchronize()
            self._new_events()
        self._issued = self._computed = 0  # streamed units, counted over all passes, or in a shared
        if not self._begins_anew:  # ring from the beginning of the pass
            self._issue()

    def _new_events(self) -> None:  # those of a graph mean nothing outside it
        for unit in self._whole.units:
            unit.copied, unit.done = torch.cuda.Event(), torch.cuda.Event()

    def _issue(self) -> None:
        """Start each copy whose place is free, or will be once the enqueued work has run."""
        ahead, cycle = 0 if self._begins_anew else self._computed, self._cycle.units
        while cycle and self._issued < ahead + len(cycle):
            at = self._issued % len(cycle)
            last = self._issued - self._cycle.back[at]  # who used the place
            if last >= self._computed:
                return
            used = last >= 0 and last >= self._past
            self._copy(cycle[at], cycle[last % len(cycle)] if used else None)
            self._issued += 1

    def _copy(self, unit: Unit, last: Unit | None) -> None:
        source = self._source[unit.begin : unit.end]
        if self._stream is None:
            unit.home.copy_(source)
            return
        with torch.cuda.stream(self._stream):
            if last is not None:
                self._stream.wait_event(last.done)
            unit.home.copy_(source, non_blocking=True)
            unit.copied.record(self._stream)

    def _begin(self, _: nn.Module, _args: object, how: Mapping[str, Any]) -> None:
        is_short = how.get("kept") is not None
        if (how.get("keep") or is_short) and not self._begins_anew:
            self._begin_each_anew()
        if self._begins_anew:
            self._cycle = self._shallow if is_short else self._whole
            self._begin_anew()
        elif self._stream is not None and torch.cuda.is_current_stream_capturing():
            if not self._recording:  # all that was under way has ended: recording waits for it
                self._recording, self._sealed, self._past = True, self._issued, self._computed
            self._stream.wait_stream(torch.cuda.current_stream(self.device))
        elif self._recording or self._computed % max(len(self._cycle.units), 1):
            self._restart()  # a graph was recorded, or the pass before broke off

    def _begin_anew(self) -> None:
        """Start with the first unit once all that is enqueued, which used the ring, has run."""
        if self._stream is not None:
            is_recording = torch.cuda.is_current_stream_capturing()
            if self._recording and not is_recording:
                self._new_events()
            self._recording = is_recording
            self._stream.wait_stream(torch.cuda.current_stream(self.device))
        self._issued = self._computed = 0
        self._sealed = self._past = -1
        self._issue()

    def _end(self, *_: object) -> None:
        # What comes next may be a graph that was recorded before, which waits for no copy of ours.
        if self._stream is not None:
            torch.cuda.current_stream(self.device).wait_stream(self._stream)

    def _before(self, unit: Unit, *_: object) -> None:
        if unit in self._whole:
            if not self._cycle.is_next(unit, self._computed):
                raise RuntimeError("the blocks of a streamed network were called out of order")
            self._issue()
            if self._stream is not None and self._computed >= self._sealed:
                torch.cuda.current_stream(self.device).wait_event(unit.copied)
        for item in unit.coded:
            item.read(unit.home, item.entry.table[item.entry.name], unit.begin)

    def _after(self, unit: Unit, *_: object) -> None:
        if unit not in self._whole:
            return
        if self._stream is not None:
            unit.done.record(torch.cuda.current_stream(self.device))
        self._computed += 1
        self._issue()

    def _fetch(self, module: nn.Module, *_: object) -> None:
        """Bring the weights of a module of `once`."""
        for table, name, tensor in list(flat.tensors(module)):
            flat.bind(table, name, tensor.to(self.device))

    def _drop(self, module: nn.Module, *_: object) -> None:
        on_host = {(id(table), name): tensor for table, name, tensor in self._rest}
        for table, name, _ in list(flat.tensors(module)):
            table[name] = on_host[id(table), name]

    def _leave(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        if self._stream is not None:
            self._stream.synchronize()
        for table, name, tensor in self._rest:
            table[name] = tensor
        for unit in self._units:
            unit.home = None
            for entry in unit.entries:
                entry.bind(_nothing(entry) if unit.coded else entry.view(self._source))
        self._ring = self._scratch = self._stay = None
        self._begins_anew = False
        empty_cache(self.device)

    @contextmanager
    def _recast(self, dtype: torch.dtype) -> Iterator[torch.device]:
        units = [unit.module for unit in self._units]
        self.release()
        dtypes = [(table, name, weight.dtype) for table, name, weight in flat.tensors(self.module)]
        try:
            self.module.to(dtype)
            other = Streamed(self.module, self.device, units, self._once, short=self._short)
            with other.use() as device:
                yield device
            other.release()
        finally:
            for table, name, kind in dtypes:
                flat.bind(table, name, table[name].to(kind))
            self._take_in(units)


def _nothing(entry: Entry) -> Tensor:
    """A placeholder of the weight's shape, without memory."""
    return torch.empty_strided(entry.shape, entry.stride, dtype=entry.dtype, device="meta")
