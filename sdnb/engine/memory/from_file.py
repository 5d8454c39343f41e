"""Weights that stay in their file: a network's blocks are read in turn, ahead of the computation.

While a block computes, a second thread reads the next one beside it, into a ring of memory that
holds the largest two neighbours. Blocks that stay have memory of their own and are read once, when
their turn first comes. All of it is there only while the network is in use, so three networks that
work one after the other take the memory of one. This is `stream` for a computer's own memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sdnb.engine.memory import flat, heap, ring
from sdnb.engine.memory.flat import CPU, Entry, Weight
from sdnb.engine.memory.read_ahead import ReadAhead

#: Reads weights: each is given by the table of its module and its name there, with the tensor to
#: fill, of any dtype.
Read = Callable[[Sequence[Weight]], None]


@dataclass
class _ReadBlock:
    """A block of the network, and where its weights are now."""

    module: nn.Module
    entries: list[Entry]
    stays: bool = False
    is_read: bool = False  # of one that stays: whether it is there

    @property
    def size(self) -> int:
        return self.entries[-1].end - self.entries[0].offset


class FromFile:
    """A module on the CPU whose `units` are called in this order in each pass, as a rule, and those
    in `once` now and then; a pass that is called with `kept` calls those in `short` alone. `read`
    fills their weights when their turn comes, and all others when
    the module comes into use. Outside `use` it has weights without data.

    The largest units, up to `keep` bytes, stay while it is in use. A pass may break off, and units
    may be called in another order: what was read ahead is then read for nothing.
    """

    def __init__(
        self,
        module: nn.Module,
        read: Read,
        ahead: ReadAhead,
        units: Sequence[nn.Module] = (),
        once: Sequence[nn.Module] = (),
        *,
        short: Sequence[nn.Module] = (),
    ) -> None:
        self.module, self.keep = module, 0
        self._read, self._ahead = read, ahead
        self._modules, self._once = list(units), list(once)
        self._short = {id(module) for module in short}
        self._depth = 0
        self._forget()
        for table, name, weight in list(flat.tensors(module)):
            flat.bind(table, name, _without_data(weight, weight.dtype))

    def release(self) -> None:
        """There is nothing to bring back: whoever places the module next reads it."""

    def written(self, module: nn.Module, name: str) -> AbstractContextManager[Tensor]:
        """Raises TypeError: whoever changes weights changes what `read` gives."""
        raise TypeError(f"{type(module).__name__}.{name} is read from its file, and never written")

    @contextmanager
    def use(self, dtype: torch.dtype | None = None) -> Iterator[torch.device]:
        """Inside, the module can be called, in `dtype` if given."""
        self._depth += 1
        try:
            with self._ahead.running():
                if self._depth == 1:
                    self._enter(dtype)
                yield CPU
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._leave()

    # -- coming into use and going -------------------------------------------------------------
    def _forget(self) -> None:
        self._hooks: list[Any] = []
        self._weights: list[Weight] = []  # as they are outside of `use`
        self._blocks: list[Tensor] = []  # whatever holds weights that stay for the time of use
        self._units: list[_ReadBlock] = []
        self._ring: Tensor | None = None
        self._at_end = False  # the side of the ring that was filled last
        self._current: _ReadBlock | None = None
        self._is_short = False  # the pass
        self._pending: tuple[_ReadBlock, Tensor, Future[None]] | None = None

    def _enter(self, dtype: torch.dtype | None) -> None:
        self._weights = list(flat.tensors(self.module))
        kinds = {(id(t), n): w.dtype if dtype is None else dtype for t, n, w in self._weights}

        def laid_out(weights: Sequence[Weight]) -> tuple[list[Entry], int]:
            return flat.layout((t, n, _without_data(w, kinds[id(t), n])) for t, n, w in weights)

        in_units = list(ring.weights_by_unit(self._modules, self._once))
        for module, weights in zip(self._modules, in_units, strict=True):
            if weights:
                self._units.append(_ReadBlock(module, laid_out(weights)[0]))
        sizes = [unit.size for unit in self._units]
        for i in ring.units_that_stay(sizes, self.keep):
            self._units[i].stays = True
        passing = [unit.size for unit in self._units if not unit.stays]
        self._ring = torch.empty(ring.ring_size(passing), dtype=torch.uint8)
        known = {(id(t), n) for weights in in_units for t, n, _ in weights}
        known |= {(id(t), n) for module in self._once for t, n, _ in flat.tensors(module)}
        others = [w for w in self._weights if (id(w[0]), w[1]) not in known]
        if others:
            self._bring(*laid_out(others))
        for i, unit in enumerate(self._units):
            self._hooks.append(unit.module.register_forward_pre_hook(partial(self._before, i)))
        hook = self.module.register_forward_pre_hook(self._begin_pass, with_kwargs=True)
        self._hooks.append(hook)
        for module in self._once:
            bring = partial(self._fetch, laid_out)
            self._hooks.append(module.register_forward_pre_hook(bring))
            self._hooks.append(module.register_forward_hook(self._drop))

    def _leave(self) -> None:
        for hook in self._hooks:
            hook.remove()
        for table, name, weight in self._weights:
            table[name] = weight
        self._forget()
        heap.give_back()

    # -- what stays, and what works once a run -------------------------------------------------
    def _bring(self, entries: Sequence[Entry], size: int) -> None:
        """Read weights into a block of their own, which is there until the end of use."""
        block = torch.empty(size, dtype=torch.uint8)
        self._ahead.begin(partial(self._fill, entries, block, 0)).result()
        self._blocks.append(block)
        flat.scatter(entries, block)

    def _fetch(self, laid_out: Any, module: nn.Module, *_: object) -> None:
        entries, size = laid_out(list(flat.tensors(module)))
        block = torch.empty(size, dtype=torch.uint8)
        self._ahead.begin(partial(self._fill, entries, block, 0)).result()
        flat.scatter(entries, block)

    def _drop(self, module: nn.Module, *_: object) -> None:
        without = {(id(table), name): weight for table, name, weight in self._weights}
        for table, name, _ in list(flat.tensors(module)):
            table[name] = without[id(table), name]

    # -- what passes through the ring ----------------------------------------------------------
    def _begin_pass(self, _: nn.Module, _args: object, how: Mapping[str, Any]) -> None:
        self._is_short = how.get("kept") is not None

    def _before(self, i: int, *_: object) -> None:
        """Have the weights of a unit, and begin to read those of the next one."""
        unit = self._units[i]
        if self._current is not unit and not unit.is_read:
            self._have(unit)
        self._current = unit
        following = self._following(i)
        if following is not None and self._pending is None:
            self._begin(following)

    def _have(self, unit: _ReadBlock) -> None:
        if self._pending is not None and self._pending[0] is not unit:  # another came than thought
            self._at_end ^= not self._pending[0].stays  # its place in the ring is free again
            self._take()
        if self._pending is None:
            self._begin(unit)
        self._take()

    def _take(self) -> None:
        """Have the weights that were read ahead be their module's, once they are there."""
        assert self._pending is not None
        (unit, home, done), self._pending = self._pending, None
        done.result()
        begin = unit.entries[0].offset
        for entry in unit.entries:
            entry.bind(entry.view(home, begin))
        unit.is_read = unit.stays

    def _following(self, i: int) -> _ReadBlock | None:
        """The next unit whose weights are to be read; None where all others are there."""
        count = len(self._units)
        others = (self._units[(i + k) % count] for k in range(1, count))
        return next((unit for unit in others if not unit.is_read and self._is_called(unit)), None)

    def _is_called(self, unit: _ReadBlock) -> bool:
        """Whether this pass calls a unit."""
        return not self._is_short or id(unit.module) in self._short

    def _begin(self, unit: _ReadBlock) -> None:
        """Begin to read a unit: to its own memory, or to the side of the ring where the last one
        that passed through is not.
        """
        if unit.stays:
            home = torch.empty(unit.size, dtype=torch.uint8)
            self._blocks.append(home)
        else:
            assert self._ring is not None
            self._at_end = not self._at_end
            home = self._ring[-unit.size :] if self._at_end else self._ring[: unit.size]
        work = partial(self._fill, unit.entries, home, unit.entries[0].offset)
        self._pending = unit, home, self._ahead.begin(work)

    def _fill(self, entries: Sequence[Entry], block: Tensor, begin: int) -> None:
        with torch.inference_mode(block.is_inference()):
            self._read([(e.table, e.name, e.view(block, begin)) for e in entries])


def _without_data(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """A tensor of the weight's shape and layout that takes no memory."""
    kind = dtype if weight.is_floating_point() else weight.dtype
    return torch.empty_strided(weight.shape, weight.stride(), dtype=kind, device="meta")
