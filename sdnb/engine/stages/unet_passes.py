"""The passes of the UNet that a run takes turns with, each as it is or as a CUDA graph.

They differ in which control networks work, in which texts are read (`request.guidance_steps`), and
in how much of the UNet is computed (`request.deep_steps`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sdnb.engine import memory
from sdnb.engine.memory import Graphed
from sdnb.engine.memory.graphs import BEARABLE, Output
from sdnb.engine.model import Model
from sdnb.engine.planning.measured import GRAPH_MIN_STEPS
from sdnb.engine.stages.contexts import of_words
from sdnb.engine.stages.one_pass import ControlPass, guided_pass
from sdnb.engine.stages.steering import Steering
from sdnb.request.deep_steps import SHALLOW, WHOLE
from sdnb.request.guidance_steps import APART, GUIDED, WORDS

Run = Callable[..., Output]


@dataclass(frozen=True)
class PassKind:
    """What tells one pass from another: the control networks that work, what is read, and how much
    of the UNet is computed.
    """

    active: tuple[int, ...] = ()
    reads: str = GUIDED
    depth: str = WHOLE


@dataclass
class _Pass:
    run: Run
    # What it needs at every step with a set of contexts: the networks' own, then keys and values.
    constants: list[Tensor] = field(default_factory=list)
    set_index: int = -1  # of these contexts


class UNetPasses:
    """The passes of one run whose weights are in place, until `close`.

    `sets` are keys and values of each set of contexts, group by group and layer by layer, of
    `texts` texts, which are read `together` or one after the other. `steps` is how many there are.
    With `dtype` the UNet computes in other numbers than the model's own; `merge` is the share of
    its tokens that self-attention merges.
    """

    def __init__(
        self, model: Model, sets: Sequence[list[Tensor]], *, texts: int, together: bool,
        has_extra: bool, steps: int, steering: Steering | None, dtype: torch.dtype | None,
        kinds: Sequence[PassKind], merge: float = 0.0,
    ) -> None:  # fmt: skip
        self.model, self.steering, self.dtype = model, steering, dtype
        self._sets, self._texts, self._together = list(sets), texts, together
        self._has_extra, self._steps, self._kinds = has_extra, steps, kinds
        self._merge = merge
        self._passes: dict[PassKind, _Pass] = {}
        self._last: _Pass | None = None
        model.weights.keep_graphs({self._key(kind) for kind in kinds})

    def __call__(self, kind: PassKind, set_index: int, *tensors: Tensor) -> Output:
        """One pass: `tensors` are those of `guided_pass` that come before the constants."""
        its = self._passes.get(kind)
        if its is None:
            its = self._passes[kind] = _Pass(self._graph(kind) or self._eager(kind))
        if its.set_index != set_index:
            its.constants, its.set_index = self._constants(kind, set_index), set_index
            self._keep_in_graph(kind, its)
        is_new = isinstance(its.run, Graphed) and not its.run.recorded
        self._last = its
        output = its.run(*tensors, *its.constants)
        if is_new:
            self._keep_in_graph(kind, its)
        return output

    @property
    def seconds(self) -> float:
        """What the last pass takes, where it is recorded; else 0."""
        run = self._last.run if self._last else None
        return run.seconds if isinstance(run, Graphed) else 0.0

    def close(self) -> None:
        """Forget the graphs that the model does not keep: their weights do not stay where they
        are.
        """
        recorded = [
            each.run for kind, each in self._passes.items()
            if isinstance(each.run, Graphed) and not self._stay(kind)
        ]  # fmt: skip
        if recorded:
            torch.cuda.synchronize(self.model.device)
        for each in recorded:
            each.forget()
        self._passes, self._sets, self._last = {}, [], None

    # -- what a pass reads ---------------------------------------------------------------------
    def _read(self, kind: PassKind) -> int:
        """How many texts it reads."""
        return 1 if kind.reads == WORDS else self._texts

    def _groups(self, kind: PassKind) -> int:
        """Calls of the UNet in it."""
        return 1 if self._together else self._read(kind)

    def _constants(self, kind: PassKind, set_index: int) -> list[Tensor]:
        words_alone = kind.reads == WORDS and self._texts > 1
        keys = self._sets[set_index]
        if words_alone:
            keys = of_words(keys, together=self._together)
        if kind.depth == SHALLOW:
            keys = self._shallow(keys)
        if self.steering is None:
            return keys
        more = self.steering.constants(
            kind.active, set_index, words_alone=words_alone, together=self._together
        )
        return [*more, *keys]

    def _shallow(self, keys: list[Tensor]) -> list[Tensor]:
        """Of keys and values, group by group and layer by layer, those of a shallow pass."""
        unet = self.model.unet
        group = range(0, len(keys), 2 * unet.attentions)
        pairs = [start + 2 * i for start in group for i in unet.shallow_pairs]
        return [keys[at] for pair in pairs for at in (pair, pair + 1)]

    def _control(self, kind: PassKind, *, beside: bool = False) -> ControlPass | None:
        """What control networks do in a pass; `beside`: where it pays, beside the UNet."""
        if self.steering is None:
            return None
        return self.steering.in_pass(kind.active, self._read(kind), beside=beside)

    # -- as it is, or as a graph ---------------------------------------------------------------
    def _eager(self, kind: PassKind) -> Run:
        model, dtype = self.model, self.dtype or self.model.dtype
        control, ahead = self._control(kind), memory.RunAhead(model.device)

        def run(*tensors: Tensor) -> Output:
            with ahead.bounded():
                return guided_pass(
                    model.unet, dtype, self._groups(kind), self._has_extra, tensors,
                    control=control, apart=kind.reads == APART, depth=kind.depth,
                    merge=self._merge,
                )  # fmt: skip

        return run

    def _graph(self, kind: PassKind) -> Graphed | None:
        """The pass as a graph: kept by the model where the weights stay, else for this run, if it
        is long enough to be worth recording. None where the plan or the device has none.
        """
        model = self.model
        if model.device.type != "cuda" or self.dtype is not None or model.memory.speed == "eager":
            return None
        if self._stay(kind):
            return model.weights.graph(self._key(kind), lambda: self._function(kind))
        if self._steps < GRAPH_MIN_STEPS:
            return None
        # A long pass as well: with little memory the allocator costs one that is not recorded 1.5 %
        # (1088² in full precision, 3.9 GB, an H100). In plenty of it a recorded one is slower by as
        # much (2048², resident).
        return Graphed(self._function(kind), BEARABLE)

    def _stay(self, kind: PassKind) -> bool:
        """Whether the weights of a pass with these control networks stay where they are."""
        plan = self.model.memory
        roles = ("unet", "control") if kind.active else ("unet",)
        return all(plan.placement(role) == "resident" for role in roles)

    def _key(self, kind: PassKind) -> tuple[object, ...]:
        """By what a recorded pass is known; what control networks of a run work in it, too."""
        control = self.steering.key(kind.active) if self.steering and kind.active else None
        apart = kind.reads == APART
        return (
            self._together, self._read(kind), apart, self._has_extra, control, kind.depth,
            self._merge,
        )  # fmt: skip

    def _function(self, kind: PassKind) -> Run:
        """The pass without this run in it: a graph outlives it."""
        model, groups, has_extra = self.model, self._groups(kind), self._has_extra
        merge = self._merge
        unet, dtype, apart, depth = model.unet, model.dtype, kind.reads == APART, kind.depth
        compiles = model.memory.speed == "compile"
        # Weights that come in turn would come for two at once; bands of rows are for little memory.
        beside = self._stay(kind) and not (model.memory.chunk or compiles)
        control = self._control(kind, beside=beside)
        if compiles:
            unet = torch.compile(unet, dynamic=False)
        return lambda *tensors: guided_pass(
            unet, dtype, groups, has_extra, tensors, control=control, apart=apart, depth=depth,
            merge=merge,
        )  # fmt: skip

    def _keep_in_graph(self, kind: PassKind, its: _Pass) -> None:
        """Keep what is the same at every step where a recorded graph reads it: no copy of it a
        step.
        """
        if not isinstance(its.run, Graphed):
            return
        control = self._control(kind)
        first = 3 + self._has_extra + (len(control.nets) if control else 0)
        first += self._groups(kind) if kind.depth == SHALLOW else 0
        own = its.run.own(its.constants, first)
        if own is not None:
            its.constants = own
            if len(self._sets) == len(self._kinds) == 1:
                self._sets = [own[-len(self._sets[0]) :]]
