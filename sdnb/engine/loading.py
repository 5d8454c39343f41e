"""`load`: a checkpoint becomes a `Model`, its networks on the devices that a memory plan names."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch

from sdnb import assets
from sdnb.engine import checkpoint
from sdnb.engine.checkpoint import Checkpoint
from sdnb.engine.model import Model
from sdnb.engine.networks import fused, text
from sdnb.engine.networks.config import ModelConfig
from sdnb.engine.networks.tokenizer import Tokenizer
from sdnb.engine.networks.unet import UNet
from sdnb.engine.networks.vae import VAE
from sdnb.engine.planning import machine as limits
from sdnb.engine.planning import planner
from sdnb.engine.run_lock import Turns
from sdnb.request import checks
from sdnb.request import memory_plan as plans
from sdnb.request.memory_plan import Forecast, MemoryPlan
from sdnb.request.request import Request

if TYPE_CHECKING:
    from PIL import Image
    from typing_extensions import Self

    from sdnb.engine.checkpoint import Checkpoint
    from sdnb.request.request import Settings

#: What of a plan a recorded step holds: with another value it is recorded again.
IN_A_GRAPH = ("speed", "together", "chunk", "attention")


class Model:
    """A text encoder, a UNet and a VAE, with the plan by which they use memory. Made by `load`."""

    def __init__(
        self,
        found: Checkpoint,
        plan: MemoryPlan | None,
        device: torch.device,
        dtype: torch.dtype,
        budget: float = 0.0,
        *,
        progress: Callable[[float], object] | None = None,
    ) -> None:
        self.name = found.name
        self.fingerprint = found.fingerprint
        self.config: ModelConfig = found.config
        self.device, self.dtype = device, dtype
        self.wanted = plan  # None: chosen for each request, within `budget` GB (0: what is free)
        self.budget = budget
        self.notes: tuple[str, ...] = tuple(found.notes)
        self.origin: dict[str, Any] = {}  # the arguments of `load` that make it again, elsewhere
        self.prompts: dict[str, tuple[Tensor, list[str]]] = {}  # encoded lately: see the pipeline
        noise = self.config.noise
        self.schedule = NoiseSchedule(noise.steps, noise.beta_start, noise.beta_end)
        self.tokenizer = tokenizer_of(found)
        with torch.device("meta"):
            self.unet, self.vae = UNet(self.config.unet).eval(), VAE(self.config.vae).eval()
        for module in (self.unet, self.vae):
            module.to(memory_format=torch.channels_last)  # filled in the layout they compute in
        self.text = text.build(self.config.text)
        told = None if progress is None else _share(found, progress)
        for name in ("text", "unet", "vae"):
            module: nn.Module = getattr(self, name)
            weights = getattr(found, name)
            checkpoint.assign_weights(
                module, weights, dtype=dtype, device="cpu", what=name, on_weight=told
            )
            module.requires_grad_(False)
        vae = self.vae
        self._parts: dict[str, nn.Module] = {  # what is placed, each on its own
            "text": self.text,
            "unet": self.unet,
            "encoder": nn.ModuleList([vae.encoder, vae.quant_conv]),
            "decoder": nn.ModuleList([vae.decoder, vae.post_quant_conv]),
        }
        self._sizes = {name: _size(part) for name, part in self._parts.items()}
        self._places: dict[str, tuple[tuple[object, ...], Placed]] = {}
        self._graph: tuple[object, Graphed] | None = None
        self.turns = Turns()
        self.memory = plan or plans.read("cpu")
        self.adopt(self.first_plan())

    # -- memory --------------------------------------------------------------------------------
    def first_plan(self) -> MemoryPlan:
        """The plan to begin with: for a picture of the size that suits the model."""
        if self.device.type == "cpu":
            return (self.wanted or plans.read("cpu")).simplest
        if self.device.type != "cuda":
            return (self.wanted or plans.read("max").but(speed="eager")).simplest
        return self.plan(Request(seed=0)).plan

    def plan(self, request: Request) -> Forecast:
        """What `request` would take, before anything runs: the plan that would be used, its
        predicted peak in GB and its price in speed; a refusal in words where nothing fits.

        Raises ValueError for a model that was unloaded, and as `Request.resolved`.
        """
        checks.loaded(self)
        return planner.forecast(self, request.resolved(self.settings))

    def adopt(self, plan: MemoryPlan) -> None:
        """Use memory by `plan` from now on: brings the weights to where it wants them."""
        if self.device.type == "cuda":
            memory.lean_allocator()
        if any(getattr(plan, name) != getattr(self.memory, name) for name in IN_A_GRAPH):
            self.forget_graph()
        for part in self._parts:
            self._put(part, plan)
        kernel = limits.kernel(plan, self.device)
        attention.use(self.unet, kernel)
        wide = kernel in ("xformers", "flash", "cudnn")  # a head of 512 is too wide for those
        attention.use(self.vae, "auto" if wide else kernel)
        self.unet.in_parts(int(plan.chunk or 0))
        self.memory = plan

    def _put(self, part: str, plan: MemoryPlan) -> None:
        """Place one part, if it is not where the plan wants it."""
        module, placement = self._parts[part], planner.placement(plan, part)
        key = (placement, plan.weights if placement == "stream" else "")
        if self._places.get(part, (None,))[0] != key:
            if part in self._places:
                if part == "unet":
                    self.forget_graph()
                self._places.pop(part)[1].release()
            module.to(torch.float32 if placement == "cpu" else self.dtype)
            self._places[part] = key, self._place(part, plan)
        placed = self._places[part][1]
        if isinstance(placed, Streamed):
            placed.keep = int((plan.keep or 0.0) * 2**30)

    def _place(self, part: str, plan: MemoryPlan) -> Placed:
        module, placement = self._parts[part], planner.placement(plan, part)
        if placement == "stream":
            stages, once = self.unet.stages(), self.unet.once()
            return Streamed(module, self.device, stages, once, weights=plan.weights)
        return memory.place(module, placement, self.device)

    def weights(self, part: str) -> int:
        """Bytes of a part's weights, in the numbers that the model computes in."""
        return self._sizes[part]

    def on_device(self, part: str) -> bool:
        """Whether a part's weights are on the device between stages."""
        placed = self._places.get(part)  # one look: another thread may be in the middle of a run
        return placed is not None and placed[0][0] == "resident"

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of what is placed."""
        return tuple(self._parts)

    def ring(self, weights: str, keep: float) -> int:
        """Bytes that streaming the UNet takes on the device, `keep` GB of it staying there."""
        stages, once = self.unet.stages(), self.unet.once()
        return memory.footprint(stages, once, int(keep * 2**30), weights)

    def graph(self, key: object, function: Callable[[], Callable[..., Tensor]]) -> Graphed:
        """A step of the UNet as a CUDA graph, kept from run to run while the weights stay."""
        if self._graph is None or self._graph[0] != key:
            self.forget_graph()
            self._graph = key, Graphed(function())
        return self._graph[1]

    def forget_graph(self) -> None:
        """Give the memory of a recorded step back."""
        if self._graph is not None:
            self._graph[1].forget()
            self._graph = None

    @property
    def settings(self) -> Settings:
        """The size, steps, cfg and sampler that suit this model: what a request takes where it says
        nothing.
        """
        return self.config.settings

    @property
    def examples(self) -> tuple[str, ...]:
        """Prompts to start with, the best first; empty where the model brings none."""
        return self.config.examples.prompts

    def use(
        self, part: str, dtype: torch.dtype | None = None
    ) -> AbstractContextManager[torch.device]:
        """Bracket work with "text", "unet", "encoder" or "decoder" (the VAE's), in other numbers
        with `dtype`; gives the device to work on. Raises ValueError after `unload`.
        """
        checks.loaded(self)
        return self._places[part][1].use(dtype)

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """Channels, height and width of the latent of a picture: `[4, h/8, w/8]`."""
        factor = 2 ** (len(self.config.vae.channels) - 1)
        return self.config.vae.latent_channels, height // factor, width // factor

    def encode(self, picture: Tensor, device: torch.device) -> Tensor:
        """Pixels `[1, 3, h, w]` in -1..1 to latents `[1, 4, h/8, w/8]`, float32 on the model's
        device.
        """
        weights = self.vae.quant_conv.weight
        picture = picture.to(device, weights.dtype, memory_format=torch.channels_last)
        return self.vae.encode(picture).to(self.device, torch.float32)

    def decode(self, latent: Tensor, device: torch.device) -> Tensor:
        """Latents `[1, 4, h/8, w/8]` to pixels `[1, 3, h, w]`, about -1..1."""
        weights = self.vae.quant_conv.weight
        return self.vae.decode(latent.to(device, weights.dtype, memory_format=torch.channels_last))

    def preview(self, latent: Tensor) -> Image.Image:
        """A rough look at the first of latents `[b, 4, h/8, w/8]`, of an eighth of the picture's
        size, without the decoder: what a preview of a run shows.
        """
        return pixels.preview(latent, self.config.vae.preview)

    def unload(self) -> None:
        """Give the memory back; the model cannot be used afterwards. Waits for the end of a run in
        another thread; one that is half-way in this thread ends in an error at its next step.
        """
        with self.turns.ask(within=True) as turn:
            turn.wait()
            self.prompts.clear()
            self.forget_graph()
            self._places.clear()
            self._parts.clear()
            for part in ("text", "unet", "vae"):
                if hasattr(self, part):
                    delattr(self, part)
            memory.empty(self.device)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.unload()

    def __repr__(self) -> str:
        s = self.settings
        words = (
            f"Model({self.name}, {s.width}x{s.height}, {str(self.dtype).removeprefix('torch.')} on "
            f"{self.device}, memory {self.memory.name!r})"
        )
        return "\n".join([words, *(f"  note: {note}" for note in self.notes)])


def tokenizer_of(found: Checkpoint) -> Tokenizer:
    """The tokenizer of a checkpoint. Raises `ValueError` where it has more tokens than the text
    encoder.
    """
    tokenizer, known = (
        Tokenizer(found.tokenizer, found.config.text.positions),
        found.config.text.vocab,
    )
    if tokenizer.size > known:
        raise ValueError(
            f"{found.name}: its text encoder knows {known} tokens, but the tokenizer has "
            f"{tokenizer.size}. Load the model as a folder that holds its own tokenizer/."
        )
    return tokenizer


def _size(module: nn.Module) -> int:
    return sum(p.nbytes for p in module.parameters())


def _share(found: Checkpoint, progress: Callable[[float], object]) -> Callable[[int], None]:
    """A counter of weights that tells their share, a hundred times in all."""
    parts = (found.text, found.unet, found.vae)
    total = sum(math.prod(tensor.shape) for part in parts for tensor in part.values())
    done = said = 0

    def told(count: int) -> None:
        nonlocal done, said
        done += count
        if done - said >= total / 100 or done >= total:
            said = done
            progress(done / total)

    return told


def found(
    path: str | Path | None,
    vae: str | Path | None = None,
    config: str | Path | ModelConfig | None = None,
) -> Checkpoint:
    """The checkpoint that `load` would load, recognised and checked; its weights are on disk."""
    return checkpoint.read(
        assets.embedded_model() if path is None else path, vae=vae, config=config
    )


def load(
    path: str | Path | None = None,
    memory: str | float | MemoryPlan = "auto",
    precision: str = "auto",
    vae: str | Path | None = None,
    config: str | Path | ModelConfig | None = None,
    *,
    progress: Callable[[float], object] | None = None,
) -> Model:
    """The model in `path`: a `.ckpt`, a `.safetensors`, a diffusers folder or a hub id; none: the
    embedded one.

    `memory` is a plan, the name of one ("auto", "cpu", "max", "8gb", "6gb", "4gb", "2gb", "1gb") or
    a number of GB, `precision` full, half, bf16 or auto, `vae` another autoencoder's file or
    folder, `config` a YAML that overrides what the weights' shapes say. `progress` is called now
    and then with the share of the weights that is there, 0 to 1.

    Raises `FileNotFoundError`, `ValueError` and `TypeError`, which say what the file is and what to
    do.
    """
    plan = memory_plan.plan(memory)
    device, dtype, notes = machine.usable(plan, precision)  # before anything is read
    source = recognise(path, vae, config)
    tokenizer = tokenizer_of(source)
    model = Model(
        source,
        _read_weights(source, device, dtype, progress),
        tokenizer,
        asked_plan=plan,
        budget=float(memory) if isinstance(memory, (int, float)) else 0.0,
        load_arguments={
            "path": path, "memory": memory, "precision": precision, "vae": vae, "config": config,
        },
    )  # fmt: skip
    if device.type == "cuda" and fused.why_not():
        notes.append(fused.why_not())
    model.notes += (*notes, *machine.not_held(model.facts()))
    return model


def recognise(
    path: str | Path | None,
    vae: str | Path | None = None,
    config: str | Path | ModelConfig | None = None,
) -> Checkpoint:
    """The checkpoint that `load` would load, recognised and checked; its weights are on disk."""
    return checkpoint.read(
        assets.embedded_model() if path is None else path, vae=vae, config=config
    )


def tokenizer_of(source: Checkpoint) -> Tokenizer:
    """The tokenizer of a checkpoint. Raises `ValueError` where it has more tokens than the text
    encoder.
    """
    tokenizer = Tokenizer(source.tokenizer, source.config.text.positions)
    if tokenizer.size > source.config.text.vocab:
        raise ValueError(
            f"{source.name}: its text encoder knows {source.config.text.vocab} tokens, but the "
            f"tokenizer has {tokenizer.size}. Load the model as a folder that holds its own "
            "tokenizer/."
        )
    return tokenizer


def _read_weights(
    source: Checkpoint,
    device: torch.device,
    dtype: torch.dtype,
    progress: Callable[[float], object] | None,
) -> Weights:
    """The networks of a checkpoint with its weights, on the CPU."""
    with torch.device("meta"):
        unet, vae = UNet(source.config.unet).eval(), VAE(source.config.vae).eval()
    for network in (unet, vae):
        network.to(memory_format=torch.channels_last)  # filled in the layout they compute in
    networks = {"text": text.build(source.config.text), "unet": unet, "vae": vae}
    weights = Weights(networks, device, dtype)
    told = None if progress is None else _share(source, progress)
    for name, network in networks.items():
        weights.write(name, getattr(source, name), told)
        network.requires_grad_(False)
    return weights


def _share(source: Checkpoint, progress: Callable[[float], object]) -> Callable[[int], None]:
    """A counter of weights that tells their share, a hundred times in all."""
    networks = (source.text, source.unet, source.vae)
    total = sum(math.prod(tensor.shape) for tensors in networks for tensor in tensors.values())
    done = told = 0

    def count(more: int) -> None:
        nonlocal done, told
        done += more
        if done - told >= total / 100 or done >= total:
            told = done
            progress(done / total)

    return count
