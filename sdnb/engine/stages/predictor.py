"""The UNet as a run uses it: with its prompts and guidance, where and how the memory plan says.

`unet_passes` has the passes that it takes turns with. When memory runs out, the predictor steps
down to a leaner plan and goes on from the last finished step; a note for the result says so.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from sdnb.engine import memory
from sdnb.engine.model import Model
from sdnb.engine.stages.contexts import Contexts, same_length
from sdnb.engine.stages.deep_cache import DeepCache
from sdnb.engine.stages.guiding import Guiding
from sdnb.engine.stages.steering import Steering
from sdnb.engine.stages.unet_passes import PassKind, UNetPasses
from sdnb.request import stop
from sdnb.request.deep_steps import KEEPS, SHALLOW
from sdnb.request.guidance_steps import Guess
from sdnb.request.memory_plan import MemoryPlan, leaner

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")

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
    it, or the only one; `guiding` says at which calls they do, and how far. `extra` `[1, 5, h/8,
    w/8]` is what a 9-channel model also sees, and `steering` its control networks. With `dtype` it
    computes in other numbers than the model's own; `merge` is the share of its tokens that
    self-attention merges.

    A context manager: inside, the weights are where they compute. Keys and values of all texts are
    computed when it is entered, what the times add when they first come, and both are kept.
    """

    def __init__(
        self,
        model: Model,
        contexts: Contexts,
        guiding: Guiding,
        *,
        extra: Tensor | None = None,
        steering: Steering | None = None,
        times: Sequence[float] = (),
        dtype: torch.dtype | None = None,
        merge: float = 0.0,
        notes: list[str],
    ) -> None:
        self.model, self.guiding, self._merge = model, guiding, merge
        self.contexts, self.extra, self.steering = contexts, extra, steering
        self.dtype, self.notes = dtype, notes
        self._times = list(times)
        self._stack = ExitStack()
        self._enqueued: deque[torch.cuda.Event] = deque()
        self._calls = 0
        self._time_rows: dict[float, Tensor] = {}  # what a time adds in each block
        self._passes: UNetPasses | None = None  # None: not open
        self._cache: DeepCache | None = None  # while open

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
        assert self._passes is not None
        guess, active = self.guiding.steps.at(self._calls), self._active(self._calls)
        row = self._time_rows.get(t)
        if row is None:
            row = self._time_rows[t] = self.model.unet.time_rows([t], self._dtype_probe)[0]
        extra = [] if self.extra is None else [self.extra.expand(len(x), -1, -1, -1)]
        rows = self.steering.rows(active, t) if self.steering else []
        now, scales = self.contexts.at(self._calls), self.guiding.scales(guess)
        output = self._pass(guess, active, now, (x, row, scales, *extra), rows)
        output = self.guiding.guided(guess, output)
        if self.model.device.type == "cuda":
            self._enqueued.append(torch.cuda.Event())
            self._enqueued[-1].record()
        return output

    def _pass(
        self, guess: Guess, active: tuple[int, ...], now: int, tensors: Sequence[Tensor],
        rows: Sequence[Tensor],
    ) -> Tensor:  # fmt: skip
        """One pass, with what was kept of the deep blocks, or such that they are kept. Where a
        shallow one was meant and nothing fits, it is whole: the plan changed, or the words did.
        """
        assert self._passes is not None
        assert self._cache is not None
        reads, depth, kept = guess.reads, guess.depth, None
        if depth == SHALLOW:
            kept = self._cache.find(reads, now)
            depth = KEEPS if kept is None else SHALLOW
        if depth == KEEPS:
            self._cache.make_room(reads)
        kind = PassKind(active, reads, depth)
        output = self._passes(kind, now, *tensors, *(kept or ()), *rows)
        if isinstance(output, Tensor):
            return output
        predicted, *features = output
        self._cache.keep(reads, now, features)
        return predicted

    def _wait(self) -> None:
        seconds = self._passes.seconds if self._passes else 0.0
        most = min(PASSES_AHEAD, int(SECONDS_AHEAD / seconds) - 1) if seconds else PASSES_AHEAD
        while len(self._enqueued) > max(most, 0):
            self._enqueued.popleft().synchronize()

    # -- when memory runs out ------------------------------------------------------------------
    def _retry_leaner(self, work: Callable[[], T]) -> T:
        """Open and do `work`; when memory runs out, do so again by a leaner plan."""
        while True:
            try:
                if self._passes is None:
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
            together = model.memory.together and self._one_length_is_short()
            sets = [
                self._prepared(contexts, dtype, together=together)
                for contexts in self.contexts.sets
            ]
            self._time_rows = {}
            self._dtype_probe = torch.empty(0, dtype=dtype, device=model.device)
            if self._times:
                table = model.unet.time_rows(self._times, self._dtype_probe)
                self._time_rows = dict(zip(self._times, table, strict=True))
            self.guiding.to(model.device)
            if self.steering is not None:
                self.steering.open(
                    self._stack, self.dtype, self.contexts.sets, self._times,
                    together=together,
                )  # fmt: skip
            self._cache = DeepCache(together=together)
            self._passes = UNetPasses(
                model, sets, texts=self.contexts.texts, together=together,
                has_extra=self.extra is not None, steps=len(self._times), steering=self.steering,
                dtype=self.dtype, kinds=list(dict.fromkeys(self._kinds())), merge=self._merge,
            )  # fmt: skip
        except BaseException:
            self._close()
            raise

    def _one_length_is_short(self) -> bool:
        """Whether the texts can share a call of the UNet: they are as long, or nearly so after each
        is repeated to one length.
        """
        lengths = [context.shape[1] for context in self.contexts.sets[0]]
        return math.lcm(*lengths) <= 4 * max(lengths)

    def _prepared(
        self, contexts: Sequence[Tensor], dtype: torch.dtype, *, together: bool
    ) -> list[Tensor]:
        """Keys and values of a set of contexts, group by group and layer by layer."""
        contexts = [context.to(self.model.device, dtype) for context in contexts]
        groups = [torch.cat(same_length(contexts))] if together else contexts
        return [t for group in groups for pair in self.model.unet.prepare(group) for t in pair]

    def _active(self, call: int) -> tuple[int, ...]:
        """The control networks that work at a call."""
        return self.steering.at(call) if self.steering else ()

    def _kinds(self) -> Iterator[PassKind]:
        """The kinds of passes of the run."""
        for call in range(self.guiding.steps.calls):
            guess = self.guiding.steps.at(call)
            yield PassKind(self._active(call), guess.reads, guess.depth)

    def _close(self) -> None:
        self._time_rows = {}
        self._enqueued.clear()
        if self._passes is not None:
            self._passes.close()
        self._passes = self._cache = None
        self._stack.close()
        if self.model.memory.gb:
            memory.empty_cache(self.model.device)


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
