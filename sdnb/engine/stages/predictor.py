"""The UNet as a run uses it: with its prompts and guidance, where and how the memory plan says.

`guided_pass` is where the UNet is called. When memory runs out, the predictor steps down
to a leaner plan and goes on from the last finished step; a note for the result says so.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from sdnb.engine import memory
from sdnb.engine.memory import Graphed
from sdnb.engine.memory.graphs import BEARABLE
from sdnb.engine.model import Model
from sdnb.engine.planning.measured import GRAPH_MIN_STEPS
from sdnb.engine.stages.contexts import Contexts, same_length
from sdnb.engine.stages.one_pass import ControlPass, guided_pass
from sdnb.engine.stages.steering import Steering
from sdnb.request import stop
from sdnb.request.memory_plan import MemoryPlan, leaner

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")
Pass = Callable[..., Tensor]

#: Passes of the UNet that may be enqueued before the host waits: the card never idles, and a report
#: of progress, Stop or Ctrl-C is at most this far from the truth.
PASSES_AHEAD = 2
#: Seconds of recorded passes that may be enqueued, the one that runs among them. Long ones that are
#: not recorded: `memory.RunAhead`.
SECONDS_AHEAD = 0.8


class OutOfMemoryError(RuntimeError):
    """No plan was lean enough for the steps."""


class Predictor:
    """The UNet with its prompts: `predictor(x, t)` is what it predicts, guidance included.

    `contexts` are the encoded prompts over its calls: the first text and those that guide away from
    it, or the only one. `scales` `[texts - 1 (+ 2), b, 1, 1, 1]` say how far each guides, and how
    much of it is rescaled (`denoise.guided`); `extra`
    `[1, 5, h/8, w/8]` is what a 9-channel model also sees, and `steering` its control networks.
    With `dtype` it computes in other numbers than the model's own.

    A context manager: inside, the weights are where they compute. Keys and values of all texts are
    computed when it is entered, what the times add when they first come, and both are kept.
    """

    def __init__(
        self,
        model: Model,
        contexts: Contexts,
        scales: Tensor,
        *,
        extra: Tensor | None = None,
        steering: Steering | None = None,
        times: Sequence[float] = (),
        dtype: torch.dtype | None = None,
        notes: list[str],
    ) -> None:
        self.model, self.scales = model, scales
        self.contexts, self.extra, self.steering = contexts, extra, steering
        self.dtype, self.notes = dtype, notes
        self._times = list(times)
        self._stack = ExitStack()
        self._enqueued: deque[torch.cuda.Event] = deque()
        self._calls = 0
        self._sets: list[list[Tensor]] = []  # keys and values of each set of contexts
        self._set = 0  # the one in use
        self._active: tuple[int, ...] = ()  # the control networks that work
        # What a pass needs of both at every step; its last are the set's own.
        self._constants: list[Tensor] = []
        self._time_rows: dict[float, Tensor] = {}  # what a time adds in each block
        self._pass: Pass = self._eager
        self._passes: dict[tuple[int, ...], Pass] = {}  # of each combination of networks
        self._is_open = False

    def __enter__(self) -> Self:
        self._retry_leaner(lambda: None)
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @torch.inference_mode()
    def __call__(self, x: Tensor, t: float) -> Tensor:
        """x `[b, 4, h/8, w/8]` of unit variance at time t; float32 or the model's numbers."""
        self._wait()
        stop.look()
        output = self._retry_leaner(lambda: self._predict(x, t))
        self._calls += 1
        return output

    def _predict(self, x: Tensor, t: float) -> Tensor:
        if self._wanted() != (self._set, self._active):
            self._turn()
        row = self._time_rows.get(t)
        if row is None:
            row = self._time_rows[t] = self.model.unet.time_rows([t], self._dtype_probe)[0]
        extra = [] if self.extra is None else [self.extra.expand(len(x), -1, -1, -1)]
        is_new = isinstance(self._pass, Graphed) and not self._pass.recorded
        rows = self.steering.rows(self._active, t) if self.steering else []
        output = self._pass(x, row, self._scale, *extra, *rows, *self._constants)
        if is_new:
            self._keep_in_graph()
        if self.model.device.type == "cuda":
            self._enqueued.append(torch.cuda.Event())
            self._enqueued[-1].record()
        return output

    def _wait(self) -> None:
        seconds = self._pass.seconds if isinstance(self._pass, Graphed) else 0.0
        most = min(PASSES_AHEAD, int(SECONDS_AHEAD / seconds) - 1) if seconds else PASSES_AHEAD
        while len(self._enqueued) > max(most, 0):
            self._enqueued.popleft().synchronize()

    # -- when memory runs out ------------------------------------------------------------------
    def _retry_leaner(self, work: Callable[[], T]) -> T:
        """Open and do `work`; when memory runs out, do so again by a leaner plan."""
        while True:
            try:
                if not self._is_open:
                    self._open()
                return work()
            except torch.OutOfMemoryError as error:
                words = str(error).split(". ")[0]
            self._step_down(words)  # outside `except`: the error keeps the tensors of its frames

    def _step_down(self, words: str) -> None:
        self._close()
        plan = self.model.memory
        lower = leaner(plan)
        if lower is None:
            raise OutOfMemoryError(
                f"out of memory with memory={plan.name!r}, the leanest plan ({words}); make a "
                "smaller picture, or load the model with memory='cpu'"
            )
        self.model.weights.apply(lower)
        self.notes.append(
            f"Out of memory with {_in_words(plan)}: went on from the last finished step with "
            f"{_in_words(lower)}."
        )

    # -- opening and closing -------------------------------------------------------------------
    def _open(self) -> None:
        model = self.model
        self._stack = ExitStack()
        if self.steering is not None:
            self.steering.encode_adapters(self.dtype)
        self._stack.enter_context(model.weights.use("unet", self.dtype))
        try:
            dtype = self.dtype or model.dtype
            self._together = model.memory.together and self._one_length_is_short()
            self._sets = [self._prepared(contexts, dtype) for contexts in self.contexts.sets]
            self._time_rows = {}
            self._dtype_probe = torch.empty(0, dtype=dtype, device=model.device)
            if self._times:
                table = model.unet.time_rows(self._times, self._dtype_probe)
                self._time_rows = dict(zip(self._times, table, strict=True))
            self._scale = self.scales.to(model.device, torch.float32)
            if self.steering is not None:
                self.steering.open(
                    self._stack, self.dtype, self.contexts.sets, self._times,
                    together=self._together,
                )  # fmt: skip
            self._passes = {}
            model.weights.keep_graphs({self._key(active) for active in self._all_active()})
            self._turn()
            self._is_open = True
        except BaseException:
            self._close()
            raise

    def _one_length_is_short(self) -> bool:
        """Whether the texts can share a call of the UNet: they are as long, or nearly so after each
        is repeated to one length.
        """
        lengths = [context.shape[1] for context in self.contexts.sets[0]]
        return math.lcm(*lengths) <= 4 * max(lengths)

    def _prepared(self, contexts: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
        """Keys and values of a set of contexts, group by group and layer by layer."""
        contexts = [context.to(self.model.device, dtype) for context in contexts]
        groups = [torch.cat(same_length(contexts))] if self._together else contexts
        return [t for group in groups for pair in self.model.unet.prepare(group) for t in pair]

    def _wanted(self) -> tuple[int, tuple[int, ...]]:
        """The set of contexts, and the control networks, of the next call."""
        active = self.steering.at(self._calls) if self.steering else ()
        return self.contexts.at(self._calls), active

    def _all_active(self) -> set[tuple[int, ...]]:
        return self.steering.sets if self.steering else {()}

    def _turn(self) -> None:
        """Have the UNet attend to the next call's contexts, and be steered by its networks, from
        now on.
        """
        self._set, active = self._wanted()
        if active != self._active or active not in self._passes:
            self._ahead = memory.RunAhead(self.model.device)  # its passes are others
            self._active = active
            if active not in self._passes:
                self._passes[active] = self._graph() or self._eager
            self._pass = self._passes[active]
        more = self.steering.constants(active, self._set) if self.steering else []
        self._constants = [*more, *self._sets[self._set]]
        self._keep_in_graph()

    def _close(self) -> None:
        self._is_open = False
        self._sets, self._constants, self._time_rows = [], [], {}
        self._enqueued.clear()
        self._forget_passes()
        self._pass, self._passes = self._eager, {}
        self._stack.close()
        if self.model.memory.gb:
            memory.empty_cache(self.model.device)

    def _forget_passes(self) -> None:
        """Those that the model does not keep: their weights do not stay where they are."""
        recorded = [
            each for active, each in self._passes.items()
            if isinstance(each, Graphed) and not self._stay(active)
        ]  # fmt: skip
        if recorded:
            torch.cuda.synchronize(self.model.device)
        for each in recorded:
            each.forget()

    # -- the pass of the UNet, as it is or as a CUDA graph -------------------------------------
    def _eager(self, *tensors: Tensor) -> Tensor:
        model, dtype = self.model, self.dtype or self.model.dtype
        has_extra, control = self.extra is not None, self._control()
        with self._ahead.bounded():
            return guided_pass(
                model.unet, dtype, self._groups(), has_extra, tensors, control=control
            )

    def _control(self, *, beside: bool = False) -> ControlPass | None:
        """What control networks do in a pass; `beside`: where it pays, beside the UNet."""
        if self.steering is None:
            return None
        return self.steering.in_pass(self._active, self.contexts.texts, beside=beside)

    def _groups(self) -> int:
        """Calls of the UNet for one prediction."""
        return 1 if self._together else self.contexts.texts

    def _graph(self) -> Graphed | None:
        """The pass as a graph: kept by the model where the weights stay, else for this stage, if it
        is long enough to be worth recording. None where the plan or the device has none.
        """
        plan = self.model.memory
        if self.model.device.type != "cuda" or self.dtype is not None or plan.speed == "eager":
            return None
        if self._stay(self._active):
            return self.model.weights.graph(self._key(self._active), self._function)
        if len(self._times) < GRAPH_MIN_STEPS:
            return None
        # A long pass as well: with little memory the allocator costs one that is not recorded 1.5 %
        # (1088² in full precision, 3.9 GB, an H100). In plenty of it a recorded one is slower by as
        # much (2048², resident).
        return Graphed(self._function(), BEARABLE)

    def _stay(self, active: tuple[int, ...]) -> bool:
        """Whether the weights of a pass with these control networks stay where they are."""
        plan = self.model.memory
        roles = ("unet", "control") if active else ("unet",)
        return all(plan.placement(role) == "resident" for role in roles)

    def _key(self, active: tuple[int, ...] = ()) -> tuple[object, ...]:
        """By what a recorded pass is known; what control networks of a run work in it, too."""
        texts, steering = self.contexts.texts, self.steering
        control = steering.key(active) if steering and active else None
        return (self._together, texts, self.extra is not None, control)

    def _function(self) -> Pass:
        """The pass without this predictor in it: a graph outlives it."""
        model, groups, has_extra = self.model, self._groups(), self.extra is not None
        unet, dtype = model.unet, model.dtype
        compiles = model.memory.speed == "compile"
        # Weights that come in turn would come for two at once; bands of rows are for little memory.
        beside = self._stay(self._active) and not (model.memory.chunk or compiles)
        control = self._control(beside=beside)
        if compiles:
            unet = torch.compile(unet, dynamic=False)
        return lambda *tensors: guided_pass(
            unet, dtype, groups, has_extra, tensors, control=control
        )

    def _keep_in_graph(self) -> None:
        """Keep what is the same at every step where a recorded graph reads it: no copy of it a
        step.
        """
        if not isinstance(self._pass, Graphed):
            return
        control = self._control()
        first = 3 + (self.extra is not None) + (len(control.nets) if control else 0)
        own = self._pass.own(self._constants, first)
        if own is not None:
            self._constants = own
            if len(self._sets) == 1:
                self._sets = [own[-len(self._sets[0]) :]]


def is_sound(latent: Tensor) -> bool:
    """Whether a latent can be a picture: finite, and not one value all over. Waits for it."""
    values = latent.float()
    good = values.isfinite().all() & (values.amax() > values.amin())
    return bool(good.item())


def not_sound(model: Model, dtype: torch.dtype | None) -> str:
    """Words for a UNet that gave no picture."""
    what = "The UNet gave no usable numbers (nan, or one value all over)"
    if torch.float32 in (dtype, model.dtype):
        return f"{what} in full precision."
    numbers = str(model.dtype).removeprefix("torch.")
    return f"{what} at {numbers}: all steps were run again in full precision."


def _in_words(plan: MemoryPlan) -> str:
    lean = " and one thing at a time" if plan.together is False else ""
    return f"memory={plan.name!r}{lean}"
