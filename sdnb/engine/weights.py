"""The weights of a model: what their values are, and where they are by the memory plan in force.

Values come from whatever `write` is given, so a model's weights are a function of a checkpoint and
of what is laid over it. Places come from the plan, part by part, so a run may have more networks
than one UNet: each is a `Part` with the role by which a plan places it. Where a plan has them stay
in their files, they are read from there in turn, and never all in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial

import torch
from torch import nn

from sdnb.engine import checkpoint, memory
from sdnb.engine.adapters import NOTHING, Overlay, merge
from sdnb.engine.checkpoint import Tensors
from sdnb.engine.checkpoint.tensors import keep_open
from sdnb.engine.memory import FromFile, Graphed, KnownPasses, Placed, ReadAhead, Streamed, flat
from sdnb.engine.memory.graphs import Output
from sdnb.engine.model_parts import Part, in_turn, names, parts_of, sizes
from sdnb.engine.networks import attention
from sdnb.engine.planning import machine
from sdnb.engine.planning.facts import PartFacts
from sdnb.engine.weight_sources import Additions, WeightSources
from sdnb.request import checks
from sdnb.request.memory_plan import GB, DecidedPlan, MemoryPlan

#: The fields of a plan that a recorded step holds: with another value it is recorded again.
IN_A_GRAPH = ("speed", "together", "chunk", "attention")


class Weights:
    """The networks of a model by name, and their parts; all on the CPU and empty until `write`.

    `lazily`: they stay on disk until a plan wants them in memory, which may be never.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        device: torch.device,
        dtype: torch.dtype,
        *,
        lazily: bool = False,
    ) -> None:
        self.networks = dict(networks)
        self.device, self.dtype, self.lazily = device, dtype, lazily
        self.plan: DecidedPlan | None = None  # None: nothing is placed yet
        self.parts: dict[str, Part] = {}
        for name, network in self.networks.items():
            self.parts |= parts_of(name, network)
        self.passes = KnownPasses()  # of the VAE, by the plan in force
        self._graphs: dict[Hashable, Graphed] = {}
        self._told: dict[str, tuple[str, int]] = {}  # what each network was told by `apply`
        self._sources = WeightSources(dtype)
        self._ahead = ReadAhead()
        self._touched: set[tuple[str, str]] = set()  # weights that may differ from the checkpoint

    @property
    def overlay(self) -> Overlay | None:
        """What is laid over the checkpoint; None: a change of it broke off half-way."""
        return self._sources.overlay

    def write(
        self,
        network: str,
        tensors: Tensors,
        on_weight: Callable[[int], object] | None = None,
    ) -> None:
        """Give every weight of a network its values, in the storage that it has. `on_weight` is
        called with the numbers of each weight that is there.

        Raises CheckpointError that lists what does not fit; nothing is changed then.
        """
        module = self.networks[network]
        parts = [part for part in self.parts.values() if part.network == network]
        for part in parts:
            self._release(part)
        try:
            if self.lazily:
                module.to("meta")
                checkpoint.check_weights(module, tensors, what=network)
            else:
                checkpoint.assign_weights(
                    module, tensors, dtype=self.dtype, device="cpu", what=network,
                    on_weight=on_weight,
                )  # fmt: skip
            self._sources.add(network, tensors)
            self._touched -= {touched for touched in self._touched if touched[0] == network}
            self._sources.overlay = NOTHING if not self._touched else None
        finally:
            for part in parts:
                part.size, part.in_turn = sizes(part.module, self.dtype)
                if self.plan is not None:
                    self._place(part, self.plan)
            if self.plan is not None:
                self._share_memory(self.plan)

    def source(self, network: str) -> Tensors:
        """The weights on disk from which a network was written."""
        return self._sources[network]

    def add(
        self,
        name: str,
        role: str,
        network: nn.Module,
        tensors: Tensors,
        additions: Additions,
    ) -> None:
        """Take in one more network, such as one for control, with its values: `tensors`, and what
        is added to some of them. The next `apply` places it, by the role that it has in a plan.
        Recorded steps, which are without it, give their memory back to it.

        Raises CheckpointError that lists what does not fit; nothing is taken in then.
        """
        if self.lazily:
            checkpoint.check_weights(network, tensors, what=name)
        else:
            # As a model's own are, which are loaded outside of a run.
            with torch.inference_mode(False), torch.no_grad():
                checkpoint.assign_weights(
                    network, tensors, dtype=self.dtype, device="cpu", what=name
                )
                for weight, some in additions.items():
                    target = network.get_parameter(weight)
                    merge.write_sum(tensors[weight], some, target, self.dtype)
        self._sources.add(name, tensors, additions)
        self.forget_graph()
        self.networks[name] = network
        self._told.pop(name, None)
        size, turn = sizes(network, self.dtype)
        self.parts[name] = Part(name, role, network, size=size, in_turn=turn)

    @property
    def are_placed(self) -> bool:
        """Whether all of them are where the plan wants them."""
        return all(part.placed is not None for part in self.parts.values())

    def drop(self, name: str) -> None:
        """Give the memory of a network back that `add` took in."""
        self.forget_graph()
        del self.networks[name], self.parts[name]
        self._sources.drop(name)
        memory.empty_cache(self.device)

    def lay_over(self, overlay: Overlay) -> set[str]:
        """Have the weights be the checkpoint's with what `overlay` adds, and nothing of the one
        before; returns the networks that have other weights now. What differs between both is read
        again, and written where it lies, so that a recorded step stays valid. Outside of `use`.

        Raises CheckpointError where a file of the checkpoint is gone or is another one; nothing is
        changed then. If it breaks off half-way, the next call writes all of it.
        """
        if overlay == self.overlay:
            return set()
        wanted = {(n, w) for n, additions in overlay.additions.items() for w in additions}
        before = self.overlay
        todo = [
            touched
            for touched in sorted(
                wanted | self._touched, key=lambda pair: self._sources.place(*pair)
            )
            if before is None or before.of(*touched) != overlay.of(*touched)
        ]
        for network in {network for network, _ in todo}:
            some = [weight for its, weight in todo if its == network]
            self._sources.check(network, some, "A change of LoRAs reads its weights again")
        self._sources.overlay, self._touched = None, wanted | self._touched
        # What stays in its file is read anew in each run.
        lying = [each for each in todo if not isinstance(self.parts[each[0]].placed, FromFile)]
        merge.in_threads(lambda touched: self._rewrite(*touched, overlay), lying)
        memory.empty_cache(self.device)  # what 8-bit weights were coded in
        self._sources.overlay, self._touched = overlay, wanted
        return {network for network, _ in todo}

    def _rewrite(self, network: str, weight: str, overlay: Overlay) -> None:
        placed = self.parts[network].placed
        assert placed is not None
        path, _, leaf = weight.rpartition(".")
        # A write outside of inference mode is counted, and so seen by what was prepared of it.
        with (
            keep_open(),
            placed.written(self.networks[network].get_submodule(path), leaf) as target,
            torch.inference_mode(target.is_inference()),
            torch.no_grad(),
        ):
            self._sources.read(network, weight, target, overlay)

    def apply(self, plan: DecidedPlan) -> None:
        """Use memory by `plan` from now on: brings the weights to where it wants them."""
        if self.device.type == "cuda":
            memory.lean_allocator()
        if plan != self.plan:
            self.passes.forget()
        if self.plan and any(getattr(plan, n) != getattr(self.plan, n) for n in IN_A_GRAPH):
            self.forget_graph()
        for part in self.parts.values():
            self._place(part, plan)
        self._share_memory(plan)
        kernel = machine.kernel(plan, self.device)
        for name in self.networks:
            # A head of 512, the VAE's, is too wide for these.
            narrow = name == "vae" and kernel in ("xformers", "flash", "cudnn")
            self._tell(name, "auto" if narrow else kernel, plan.chunk)
        self.plan = plan

    def _tell(self, name: str, kernel: str, chunk: int) -> None:
        """Have a network compute by a kernel and in chunks, if it does not: before each picture it
        takes milliseconds to look through all of its modules.
        """
        if self._told.get(name) == (kernel, chunk):
            return
        network = self.networks[name]
        if name != "text":
            attention.set_kernel(network, kernel)
        if hasattr(network, "set_chunk"):
            network.set_chunk(chunk)
        self._told[name] = kernel, chunk

    def _place(self, part: Part, plan: MemoryPlan) -> None:
        """Place a part, if it is not where the plan wants it."""
        placement = plan.placement(part.role)
        how = (placement, plan.weights if placement == "stream" else "")
        if part.placed is None or part.how != how:
            self._release(part)
            part.module.to(torch.float32 if placement == "cpu" else self.dtype)
            if placement != "file":
                self._bring(part)
            part.placed, part.how = self._placed(part, placement, plan), how

    def _share_memory(self, plan: MemoryPlan) -> None:
        """What stays of streamed parts is the UNet's first, then the control networks', which
        compute before it in each pass: so their weights pass through one ring.
        """
        left, streamed = int((plan.keep or 0.0) * GB), []
        for part in self.parts.values():
            if isinstance(part.placed, Streamed):
                part.placed.keep = max(left, 0)
                left -= part.size
                streamed.append(part.placed)
            if isinstance(part.placed, FromFile) and part.role in ("unet", "control"):
                part.placed.keep = max(left, 0)
                left -= part.size
        for placed in streamed:
            placed.lender = streamed[0] if placed is not streamed[0] else None
            placed.ring_at_least = max(each.ring_bytes for each in streamed)

    def _placed(self, part: Part, placement: str, plan: MemoryPlan) -> Placed:
        module, (units, once, short) = part.module, in_turn(part.module)
        if placement == "stream":
            return Streamed(module, self.device, units, once, short=short, weights=plan.weights)
        if placement == "file":
            read = partial(self._read_in_turn, part.network, names(self.networks[part.network]))
            return FromFile(module, read, self._ahead, units, once, short=short)
        return memory.place(module, placement, self.device)

    def _bring(self, part: Part) -> None:
        """Read what has no values yet: it was on disk until now."""
        known = names(self.networks[part.network])
        empty = [each for each in flat.tensors(part.module) if each[2].is_meta]
        if not empty:
            return
        todo = [(known[id(table), leaf], (table, leaf, weight)) for table, leaf, weight in empty]
        todo.sort(key=lambda pair: self._sources.place(part.network, pair[0]))
        self._sources.check(part.network, [name for name, _ in todo], "Its weights are still there")

        def bring(each: tuple[str, flat.Weight]) -> None:
            name, (table, leaf, weight) = each
            with keep_open(), torch.no_grad():
                new = torch.empty_like(weight, device="cpu")
                self._sources.read(part.network, name, new)
            flat.bind(table, leaf, new)

        merge.in_threads(bring, todo)

    def _read_in_turn(
        self, network: str, known: Mapping[tuple[int, str], str], weights: Sequence[flat.Weight]
    ) -> None:
        named = [(known[id(table), leaf], target) for table, leaf, target in weights]
        self._sources.read_in_turn(network, named)

    def _release(self, part: Part) -> None:
        """Bring a part's weights back to ordinary memory of the computer."""
        if part.placed is not None:
            if part.role in ("unet", "control"):
                self.forget_graph()
            part.placed.release()
            part.placed = None

    def use(
        self, part: str, dtype: torch.dtype | None = None
    ) -> AbstractContextManager[torch.device]:
        """Bracket the work of "text", "unet", "encoder", "decoder" or of a half of the tiny VAE,
        "tiny_encoder" or "tiny_decoder": inside, its weights are where they compute, which is the
        device that the context gives; with `dtype` in those numbers. Raises ValueError after
        `clear`.
        """
        if not self.parts:
            raise ValueError(checks.UNLOADED)
        placed = self.parts[part].placed
        assert placed is not None
        return placed.use(dtype)

    def facts(self) -> dict[str, PartFacts]:
        """The parts as a planner sees them."""
        return {
            # One look at each: another thread may be in the middle of a run.
            name: PartFacts(part.role, part.size, part.how[:1] == ("resident",), part.in_turn)
            for name, part in list(self.parts.items())
        }

    def ring_bytes(self, storage: str, keep: float) -> tuple[int, int]:
        """Bytes that streaming the UNet takes on the device, `keep` GB of it staying there: of the
        ring, and beside it.
        """
        unet = self.networks["unet"]
        units, once = unet.execution_order(), unet.once_a_run()
        return memory.streaming_bytes(units, once, int(keep * GB), storage)

    def graph(self, key: Hashable, function: Callable[[], Callable[..., Output]]) -> Graphed:
        """A step of the UNet as a CUDA graph, kept from run to run while the weights stay."""
        if key not in self._graphs:
            self._graphs[key] = Graphed(function())
        return self._graphs[key]

    def keep_graphs(self, keys: Collection[Hashable]) -> None:
        """Give the memory of recorded steps back, but for those of `keys`."""
        for key in [key for key in self._graphs if key not in keys]:
            self._graphs.pop(key).forget()

    def forget_graph(self) -> None:
        """Give the memory of all recorded steps back."""
        self.keep_graphs(())

    def clear(self) -> None:
        """Give all memory back."""
        self.forget_graph()
        self.parts.clear()
        self.networks.clear()
        memory.empty_cache(self.device)
