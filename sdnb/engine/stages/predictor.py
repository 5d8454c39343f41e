"""The steps of a run under a memory plan; the VAE's two stages are in `autoencode`.

A stage brings its weights, computes, and gives the memory back. When memory runs out it steps down
to a leaner way and goes on from where it was; what was done instead is a note for the result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sdnb.engine import memory
from sdnb.engine.diffusion.denoise import combine
from sdnb.engine.memory import Graphed
from sdnb.engine.planning import planner
from sdnb.request import memory_plan as plans
from sdnb.request.memory_plan import MemoryPlan

if TYPE_CHECKING:
    from typing_extensions import Self

    from sdnb.engine.loading import Model
    from sdnb.request.request import Request

Core = Callable[..., Tensor]

#: Passes of the UNet that may be enqueued before the host waits: the card never idles, and a report
#: of progress, or Ctrl-C, is at most this far from the truth.
AHEAD = 2

#: A request is refused when it is predicted to take this many times the room there is.
SURE = 1.1

#: On a CPU a picture of more than this many times the pixels that suit the model is large.
LARGE = 4


class OutOfMemoryError(RuntimeError):
    """No plan was lean enough for the steps."""


def prepare(model: Model, request: Request, notes: list[str]) -> float | None:
    """Choose and adopt the plan for a resolved request; the predicted peak in GB, where it was
    predicted: a picture of a usual size on a CPU does not wait for that.

    Raises ValueError where the request cannot fit: in words that say what would.
    """
    if not _to_plan(model, request):
        if model.memory != model.first_plan():  # the last one was large, or stepped down
            model.adopt(model.first_plan())
        return None
    expected = model.plan(request)
    room, size = SURE * expected.room, f"{request.width}x{request.height}"
    if model.device.type == "cpu" and planner.limit(model):
        room = expected.room  # nothing there holds an allocation back
    elif model.device.type == "cpu":
        room += SURE * memory.free(model.device)  # the half of what is free that is left to others
        if expected.room < expected.gb <= room:
            notes.append(
                f"{size} takes about {expected.gb:.1f} GB, more than half of the memory that was "
                "free: other programs may be slow."
            )
    if expected.gb > room:
        raise ValueError(expected.refusal or str(expected))
    if model.wanted is not None and expected.tier != model.wanted.name:
        notes.append(
            f"memory={model.wanted.name!r} is too small for {size}: {expected.tier!r} was used."
        )
    model.adopt(expected.plan)
    return expected.gb


def beyond(model: Model, gb: float) -> list[str]:
    """Words for a run on a CPU that took `gb`, more than whoever loaded the model allows it."""
    limit = planner.limit(model)
    if model.device.type != "cpu" or not 0 < limit < gb:
        return []
    why = "on a CPU a limit is predicted, not enforced"
    return [f"It took {gb:.2f} GB, and {limit:g} are allowed: {why}."]


def _to_plan(model: Model, request: Request) -> bool:
    """Whether a plan is to be chosen: on a card always, on a CPU where a limit was given or the
    picture is large. It costs a CPU a second or two.
    """
    if model.device.type != "cpu":
        return model.device.type == "cuda"
    usual = model.settings.width * model.settings.height
    return planner.limit(model) > 0 or request.width * request.height > LARGE * usual


def unsound_steps(model: Model, dtype: torch.dtype | None) -> str:
    """Words for a UNet that gave no picture."""
    what = "The UNet gave no usable numbers (nan, or one value all over)"
    if torch.float32 in (dtype, model.dtype):
        return f"{what} in full precision."
    numbers = str(model.dtype).removeprefix("torch.")
    return f"{what} at {numbers}: all steps were run again in full precision."


class Predictor:
    """The UNet with its prompts: `predictor(x, t)` is what it predicts, guidance included.

    A context manager: inside, the weights are where they compute. Keys and values of the text are
    computed when it is entered, what the times add when they first come, and both are kept.
    """

    def __init__(
        self,
        model: Model,
        contexts: Sequence[Tensor],
        cfg: float | Tensor,
        count: int,
        *,
        extra: Tensor | None = None,
        times: Sequence[float] = (),
        dtype: torch.dtype | None = None,
        notes: list[str],
    ) -> None:
        self.model, self.cfg, self.count = model, cfg, count
        self.contexts, self.extra = contexts, extra  # [1 or b, 77, d] each; [1, 5, h, w] or None
        self.dtype, self.notes = dtype, notes
        self._times = list(times)
        self._stack = ExitStack()
        self._enqueued: deque[torch.cuda.Event] = deque()
        self._core: Core = self._eager

    def __enter__(self) -> Self:
        self._with_less(self._open)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._close()

    @torch.inference_mode()
    def __call__(self, x: Tensor, t: float) -> Tensor:
        """x `[b, 4, h, w]` of unit variance at time t; float32 or the model's numbers."""
        self._wait()
        return self._with_less(lambda: self._predict(x, t))

    def _with_less(self, work: Callable[[], Tensor | None]) -> Tensor:
        """Do `work`; when memory runs out, do it again by a leaner plan."""
        while True:
            try:
                return work()  # type: ignore[return-value]
            except torch.OutOfMemoryError as error:
                words = str(error).split(". ")[0]
            self._lower(words)  # outside `except`: the error keeps the tensors of its frames

    def _lower(self, words: str) -> None:
        self._close()
        was = self.model.memory
        leaner = leaner_steps(was)
        if leaner is None:
            raise OutOfMemoryError(
                f"out of memory with memory={was.name!r}, the leanest plan ({words}); make a "
                "smaller picture, or load the model with memory='cpu'"
            )
        self.model.adopt(leaner)
        self.notes.append(
            f"Out of memory with {_said(was)}: went on from the last finished step with "
            f"{_said(leaner)}."
        )
        try:
            self._open()
        except torch.OutOfMemoryError as error:
            words = str(error).split(". ")[0]
        else:
            return
        self._lower(words)

    def _open(self) -> None:
        model = self.model
        self._stack = ExitStack()
        self._stack.enter_context(model.use("unet", self.dtype))
        try:
            numbers = self.dtype or model.dtype
            each = [c.to(model.device, numbers).expand(self.count, -1, -1) for c in self.contexts]
            self._together = model.memory.together is not False
            groups = [torch.cat(each)] if self._together else each
            self._words = [w for group in groups for kv in model.unet.prepare(group) for w in kv]
            self._rows: dict[float, Tensor] = {}
            like = torch.empty(0, dtype=numbers, device=model.device)
            if self._times:
                table = model.unet.times(self._times, like)
                self._rows = dict(zip(self._times, table, strict=True))
            self._like = like
            self._scale = torch.as_tensor(self.cfg, dtype=torch.float32, device=model.device)
            self._core = self._compiled()
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        self._words, self._rows = [], {}
        self._enqueued.clear()
        if isinstance(self._core, Graphed) and self.model.memory.unet != "resident":
            torch.cuda.synchronize(self.model.device)
            self._core.forget()
        self._core = self._eager
        self._stack.close()
        if self.model.memory.gb:
            memory.empty(self.model.device)

    def _compiled(self) -> Core:
        """The core as the plan runs it: as it is, or as one CUDA graph."""
        model = self.model
        if model.device.type != "cuda" or self.dtype is not None:
            return self._eager
        graph = self._graph()
        if graph is None:
            return self._eager
        self._settle(graph)
        return graph

    def _settle(self, graph: Graphed) -> None:
        """Keep keys and values where a recorded graph reads them: no copy of them a step."""
        own = graph.own(self._words, 3 + (self.extra is not None))
        if own is not None:
            self._words = own

    def _graph(self) -> Graphed | None:
        """The step as a graph: kept by the model where the weights stay, else for this stage, if it
        is long enough to be worth recording.
        """
        plan = self.model.memory
        if plan.speed == "eager":
            return None
        if plan.unet == "resident":
            return self.model.graph(self._key(), self._function)
        return Graphed(self._function()) if len(self._times) >= planner.WORTH else None

    def _key(self) -> tuple[object, ...]:
        return (self._together, len(self.contexts), self.extra is not None)

    def _function(self) -> Core:
        """The core without this predictor in it: a graph outlives it."""
        model, groups, extra = self.model, self._groups(), self.extra is not None
        unet, dtype = model.unet, model.dtype
        if model.memory.speed == "compile":
            unet = torch.compile(unet, dynamic=False)
        return lambda *tensors: _core(unet, dtype, groups, extra, tensors)

    def _groups(self) -> int:
        """Passes of the UNet for one prediction."""
        return 1 if self._together else len(self.contexts)

    def _eager(self, *tensors: Tensor) -> Tensor:
        dtype = self.dtype or self.model.dtype
        return _core(self.model.unet, dtype, self._groups(), self.extra is not None, tensors)

    def _predict(self, x: Tensor, t: float) -> Tensor:
        row = self._rows.get(t)
        if row is None:
            row = self._rows[t] = self.model.unet.times([t], self._like)[0]
        extra = [] if self.extra is None else [self.extra.expand(len(x), -1, -1, -1)]
        new = isinstance(self._core, Graphed) and not self._core.recorded
        output = self._core(x, row, self._scale, *extra, *self._words)
        if new and isinstance(self._core, Graphed):
            self._settle(self._core)
        if self.model.device.type == "cuda":
            self._enqueued.append(torch.cuda.Event())
            self._enqueued[-1].record()
        return output

    def _wait(self) -> None:
        if len(self._enqueued) > AHEAD:
            self._enqueued.popleft().synchronize()


def _core(
    unet: Callable[..., Tensor],
    dtype: torch.dtype,
    groups: int,
    extra: bool,
    tensors: Sequence[Tensor],
) -> Tensor:
    """The prediction, in float32 where there is guidance. `tensors`: x, the time's row, cfg, what
    a 9-channel model also sees if there is `extra`, then keys and values of each group.
    """
    x, row, scale, *rest = tensors
    if extra:
        x, rest = torch.cat([x, rest[0]], dim=1), rest[1:]  # [b, 9, h/8, w/8]
    b = len(x)
    x = x.to(dtype, memory_format=torch.channels_last)
    each = len(rest) // groups
    parts = [rest[i * each : (i + 1) * each] for i in range(groups)]
    outputs = [unet(x, row, [*zip(part[::2], part[1::2], strict=True)]) for part in parts]
    if groups == 1 and len(outputs[0]) == b:
        return outputs[0]
    if groups == 1:
        outputs = list(outputs[0].chunk(2))
    return combine(outputs[0].float(), outputs[1].float(), scale)


def leaner_steps(plan: MemoryPlan) -> MemoryPlan | None:
    """The next leaner way to run the steps: the same placement with less at once, then the next
    plan below; None where there is none.
    """
    if plan.together is not False or not plan.chunk:
        return plan.but(together=False, chunk=plan.chunk or 4096, batch=1)
    if plan.batch > 1:
        return plan.but(batch=1)
    if plan.unet == "stream" and plan.keep:
        return plan.but(keep=0.0)
    lower = plans.below(plan)
    if lower is None:
        return None
    keep = None if lower.unet != "stream" else 0.0
    gb = min(plan.gb, lower.gb) if plan.gb else 0.0
    return lower.but(together=False, chunk=4096, tile=plan.tile, store=plan.store, keep=keep, gb=gb)


def _said(plan: MemoryPlan) -> str:
    lean = " and one thing at a time" if plan.together is False else ""
    return f"memory={plan.name!r}{lean}"


def sound(latent: Tensor) -> bool:
    """Whether a latent can be a picture: finite, and not one value all over. Waits for it."""
    values = latent.float()
    good = values.isfinite().all() & (values.amax() > values.amin())
    return bool(good.item())
