"""How a model uses memory, as data: a `MemoryPlan`, the named plans, and a planner's `Forecast`."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sdnb import assets
from sdnb.request import checks, documents
from sdnb.request.plain_words import plain

PLACEMENTS = ("resident", "offload", "cpu", "file")
UNET_PLACEMENTS = (*PLACEMENTS, "stream")
CONTROL_PLACEMENTS = ("same", *UNET_PLACEMENTS)
KERNELS = ("auto", "sdpa", "flash", "efficient", "cudnn", "sliced", "xformers")
SPEEDS = ("eager", "graph", "compile")
STORAGE = ("same", "int8")
COMPUTE = ("auto", "full", "half", "bf16")
STORES = ("device", "host")
DEVICES = ("auto", "cpu", "cuda", "mps")
GB = 2**30  # bytes: every figure in GB here is in multiples of this
_DEVICE = re.compile(r"auto|(cpu|cuda|mps)(:[0-9]{1,3})?")
_MOST_GB = 1_000_000
_MOST_IN_A_PASS = 1024  # pictures in a pass: beyond what any card holds
#: From the fastest to the leanest: what "auto", a number of GB and a shortage of memory go through.
LADDER = ("max", "8gb", "6gb", "4gb", "2gb", "1gb")


@dataclass(frozen=True)
class MemoryPlan:
    """How a model uses memory. A placement is "resident" (weights stay on the device), "offload"
    (they come to the device for their stage), "stream" (the weights of the UNet or of a ControlNet
    cross the bus once a step, block by block, ahead of the computation), "cpu" (the part computes
    on the CPU, in full precision) or, with device="cpu", "file" (the weights stay in their file and
    are read block by block, ahead of the computation).

    None means: decided for each request, the fastest that fits into `gb`; a `DecidedPlan` has none.
    Raises ValueError or TypeError that names the field.
    """

    name: str = "custom"
    device: str = "auto"  # "cpu", "cuda", "cuda:1", "mps"; auto: the best there is
    gb: float = 0.0  # the most the device's allocator may hold; 0: what is free
    # -- where the parts are
    text: str = "resident"
    unet: str = "resident"
    vae: str = "resident"
    control: str = "same"  # ControlNets; same: as the UNet
    # -- how they compute
    compute: str = "auto"  # full, half, bf16; the `precision` of load() goes before it
    weights: str = "same"  # how a streamed UNet's weights are stored: same, int8 (half the size)
    attention: str = "auto"  # auto: measured on first use; see `KERNELS`
    speed: str = "eager"  # how a step runs on a card: eager, graph (one CUDA graph), compile
    # Pictures in one pass of the UNet; 1 makes each, bit for bit, what it is alone.
    batch: int = 1
    # -- how much they have in work at once
    together: bool | None = None  # both halves of guidance in one pass
    tile: int | None = None  # the VAE works on this many squared pixels at once; 0: on all
    store: str | None = None  # where a tiled VAE keeps its maps: device, host
    chunk: int | None = None  # pixels of the latent in work in a layer of the UNet; 0: all
    # GB of a streamed UNet that stay on the device, or in memory of one that is read from its file
    keep: float | None = None
    # Pictures pass through the tiny VAE, where the model has one beside its own; None: where the
    # full one does not fit, and the tiny one was given to `load`.
    tiny_vae: bool | None = None

    def __post_init__(self) -> None:
        for name, accepted in (
            ("text", PLACEMENTS),
            ("unet", UNET_PLACEMENTS),
            ("vae", PLACEMENTS),
            ("control", CONTROL_PLACEMENTS),
            ("compute", COMPUTE),
            ("weights", STORAGE),
            ("attention", KERNELS),
            ("speed", SPEEDS),
        ):
            checks.choice(name, getattr(self, name), accepted)
        if self.store is not None:
            checks.choice("store", self.store, STORES)
        checks.text("name", self.name)
        for name in ("together", "tiny_vae"):
            if getattr(self, name) is not None:
                checks.flag(name, getattr(self, name))
        for name in ("gb", "tile", "chunk", "keep"):
            if getattr(self, name) is not None or name == "gb":
                checks.number(name, getattr(self, name), 0)
        checks.whole("batch", self.batch, 1, _MOST_IN_A_PASS)
        checks.text("device", self.device)
        if not _DEVICE.fullmatch(self.device):
            raise ValueError(
                f"device={self.device!r} is unknown; {checks.known(self.device, DEVICES)}; one of "
                "several cards is 'cuda:1'"
            )
        self._check_together()

    def _check_together(self) -> None:
        """Raise ValueError for fields that have no meaning together."""
        if self.reads_files and self.device != "cpu":
            raise ValueError(
                f"weights that stay in their file ('file') are for a CPU, and device="
                f"{self.device!r}: write device='cpu', or 'offload' in place of 'file'"
            )
        if self.weights != "same" and self.unet != "stream":
            raise ValueError(
                f"weights={self.weights!r} is for a streamed UNet, and unet={self.unet!r}: write "
                "unet='stream', or weights='same'"
            )
        if self.speed == "compile" and self.unet != "resident":
            raise ValueError(
                f"speed='compile' needs the UNet to stay on the device, and unet={self.unet!r}: "
                "write speed='graph', or unet='resident'"
            )

    def but(self, **changes: Any) -> MemoryPlan:
        """The same plan with some fields changed."""
        return MemoryPlan(**{**vars(self), **changes})

    def placement(self, role: str) -> str:
        """Where a part of that role ("text", "unet", "control", "vae") is. A "tiny_vae" is always
        on the device.
        """
        control = self.unet if self.control == "same" else self.control
        roles = {"unet": self.unet, "control": control, "tiny_vae": "resident"}
        return {"text": self.text, "vae": self.vae, **roles}[role]

    @property
    def reads_files(self) -> bool:
        """Whether weights of some part stay in their file."""
        return "file" in (self.text, self.unet, self.vae, self.control)

    def with_tiny_vae(self) -> MemoryPlan:
        """The same plan, by which the tiny VAE encodes and decodes; so the full one is not on the
        device.
        """
        vae = "offload" if self.vae == "resident" else self.vae
        return self.but(tiny_vae=True, vae=vae)

    def decided(self, **changes: Any) -> DecidedPlan:
        """The plan with these fields set. What is open by then gets `DecidedPlan`'s defaults."""
        values = {**vars(self), **changes}
        return DecidedPlan(**{name: value for name, value in values.items() if value is not None})


@dataclass(frozen=True)
class DecidedPlan(MemoryPlan):
    """A `MemoryPlan` that leaves nothing open: what a run is made by. The defaults are what a run
    does where memory is no matter.
    """

    together: bool = True
    tile: int = 0
    store: str = "device"
    chunk: int = 0
    keep: float = 0.0
    tiny_vae: bool = False


@dataclass(frozen=True)
class Forecast:
    """What a planner says of a request before anything runs. `gb` and `Result.peak` count alike."""

    plan: DecidedPlan
    gb: float  # the predicted peak
    stage: str  # where the peak is: text, unet or vae
    room: float  # GB that there are for it; inf where nothing limits it
    slowdown: float  # the time of a step, in multiples of a resident model's
    host: float = 0.0  # GB of the computer's memory that weights and maps take
    refusal: str = ""  # words, when the request does not fit: which size would, and which plan

    @property
    def name(self) -> str:
        """The name of the plan."""
        return self.plan.name

    @property
    def fits(self) -> bool:
        """Whether the predicted peak fits into the room."""
        return self.gb <= self.room

    def __str__(self) -> str:
        if self.refusal:
            return self.refusal
        slower = f", a step {self.slowdown:.1f} times as long" if self.slowdown > 1.05 else ""
        tiny = ", by the tiny VAE" if self.plan.tiny_vae else ""
        where = f"{_STAGES[self.stage]}{slower}{tiny}{self._from_file}"
        return f"memory plan {self.name}: up to {self.gb:.2f} GB, {where}"

    @property
    def _from_file(self) -> str:
        """Words on weights that stay in their file."""
        if self.plan.unet != "file":
            return ""
        most = f"all but {self.plan.keep:.2f} GB" if self.plan.keep else "all"
        return f"; the weights stay in their file, and {most} of the UNet's are read in every step"


_STAGES = {"text": "for the words", "unet": "in its steps", "vae": "for the finished picture"}


def names() -> list[str]:
    """The names that `memory=` takes."""
    return ["auto", *sorted(p.stem for p in (assets.configs() / "memory").glob("*.yaml"))]


def plan(memory: str | float | MemoryPlan) -> MemoryPlan | None:
    """The plan of that name, or the plan itself; None for "auto" and for a number of GB, which a
    planner decides for each request. Raises TypeError or ValueError that list the known names.
    """
    if isinstance(memory, MemoryPlan):
        return memory
    if isinstance(memory, (int, float)) and not isinstance(memory, bool):
        if not 0 < memory < _MOST_GB:
            raise ValueError(
                f"memory={checks.shown(memory)}: a number of GB is above 0, and below {_MOST_GB:,}"
            )
        return None
    if not isinstance(memory, str):
        raise TypeError(
            f"memory={checks.shown(memory)}: expected a MemoryPlan, a number of GB, or one of the "
            f"names {', '.join(names())}"
        )
    checks.choice("memory", memory, tuple(names()))
    return None if memory == "auto" else read(memory)


def ladder(gb: float = 0.0) -> list[MemoryPlan]:
    """The named plans from the fastest to the leanest, each allowed `gb`; 0: what is free."""
    return [read(name).but(gb=gb) for name in LADDER]


def below(plan: MemoryPlan) -> MemoryPlan | None:
    """The next leaner plan; None below the last. A plan by hand counts as the named one like it."""
    like = plan.name if plan.name in LADDER else "2gb" if plan.unet == "stream" else "6gb"
    rest = LADDER[LADDER.index(like) + 1 :]
    if plan.device == "cpu" or not rest:
        return None
    kept = {"device": plan.device, "gb": plan.gb, "batch": 1, "attention": plan.attention}
    return read(rest[0]).but(**kept)


def leaner(plan: DecidedPlan) -> DecidedPlan | None:
    """The next leaner way to run the steps: less at once, then the next plan below; or None."""
    if plan.together or not plan.chunk:
        return plan.decided(together=False, chunk=plan.chunk or 4096, batch=1)
    if plan.batch > 1:
        return plan.decided(batch=1)
    if plan.unet == "stream" and plan.keep:
        return plan.decided(keep=0.0)
    lower = below(plan)
    if lower is None:
        return None
    if plan.tiny_vae:
        lower = lower.with_tiny_vae()
    gb = min(plan.gb, lower.gb) if plan.gb else 0.0
    return lower.decided(
        together=False, chunk=4096, tile=plan.tile, store=plan.store, keep=0.0, gb=gb
    )


def read(name: str) -> MemoryPlan:
    """The plan in `configs/memory/NAME.yaml`; raises ValueError that names a damaged file."""
    path = assets.configs() / "memory" / f"{name}.yaml"
    try:
        return _of_yaml(documents.file_text(path, documents.YAML_LIMIT))
    except (OmegaConfBaseException, OSError, TypeError, ValueError) as error:
        reason = plain(str(error).partition("\n")[0])
        raise ValueError(f"{path} is not a memory plan: {reason}") from error


@functools.lru_cache(maxsize=64)  # it takes 8 ms, and a forecast asks for up to six
def _of_yaml(text: str) -> MemoryPlan:
    values = documents.from_yaml(text)
    if not isinstance(values, dict):
        raise TypeError(f"it is {checks.shown(values)}; fields of a MemoryPlan are expected")
    merged = OmegaConf.merge(OmegaConf.structured(MemoryPlan), values)
    fields: Any = OmegaConf.to_container(merged, resolve=False)
    return MemoryPlan(**fields)
