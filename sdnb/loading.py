"""A checkpoint becomes a `Model`: its three networks on the devices that a memory plan names."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sdnb import assets, checkpoint, pixels
from sdnb import memory as plans  # `load` has a parameter of the module's name
from sdnb.diffusion.schedule import NoiseSchedule
from sdnb.memory import MemoryPlan
from sdnb.model import attention, text
from sdnb.model.config import ModelConfig
from sdnb.model.tokenizer import Tokenizer
from sdnb.model.unet import UNet
from sdnb.model.vae import VAE

if TYPE_CHECKING:
    from PIL import Image
    from typing_extensions import Self

    from sdnb.checkpoint import Checkpoint
    from sdnb.request import Settings


class Model:
    """A text encoder, a UNet and a VAE, with the plan by which they use memory. Made by `load`."""

    def __init__(
        self, found: Checkpoint, plan: MemoryPlan, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.name = found.name
        self.fingerprint = found.fingerprint
        self.config: ModelConfig = found.config
        self.plan, self.device, self.dtype = plan, device, dtype
        self.notes: tuple[str, ...] = tuple(found.notes)
        self.origin: dict[str, Any] = {}  # the arguments of `load` that make it again, elsewhere
        self.prompts: dict[str, tuple[Tensor, list[str]]] = {}  # encoded lately: see the pipeline
        noise = self.config.noise
        self.schedule = NoiseSchedule(noise.steps, noise.beta_start, noise.beta_end)
        self.tokenizer = _tokenizer(found)
        with torch.device("meta"):
            self.unet, self.vae = UNet(self.config.unet).eval(), VAE(self.config.vae).eval()
        for module in (self.unet, self.vae):
            module.to(memory_format=torch.channels_last)  # filled in the layout they compute in
        self.text = text.build(self.config.text)
        for part in ("text", "unet", "vae"):
            module: nn.Module = getattr(self, part)
            placement = getattr(plan, part)
            home = device if placement == "resident" else torch.device("cpu")
            numbers = torch.float32 if placement == "cpu" else dtype
            checkpoint.fill(module, getattr(found, part), dtype=numbers, device=home, what=part)
            module.to(home).requires_grad_(False)  # also what is no weight, such as position ids
        kernel = plans.attention(plan, device)
        attention.use(self.unet, kernel)
        attention.use(
            self.vae, "sdpa" if kernel == "xformers" else kernel
        )  # a head of 512: too wide

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

    def use(self, part: str) -> AbstractContextManager[torch.device]:
        """Bracket work with "text", "unet" or "vae"; gives the device to work on."""
        return plans.use(getattr(self, part), getattr(self.plan, part), self.device)

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
        """Give the memory back; the model cannot be used afterwards."""
        self.prompts.clear()
        for part in ("text", "unet", "vae"):
            if hasattr(self, part):
                delattr(self, part)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

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
            f"{self.device}, memory {self.plan.name!r})"
        )
        return "\n".join([words, *(f"  note: {note}" for note in self.notes)])


def _tokenizer(found: Checkpoint) -> Tokenizer:
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


def load(
    path: str | Path | None = None,
    memory: str | MemoryPlan = "auto",
    precision: str = "auto",
    vae: str | Path | None = None,
    config: str | Path | ModelConfig | None = None,
) -> Model:
    """The model in `path`: a `.ckpt`, a `.safetensors`, a diffusers folder or a hub id; none: the
    embedded one.

    `memory` is a plan or the name of one ("auto", "cpu", "max", "8gb", "4gb"), `precision` full,
    half, bf16 or auto, `vae` another autoencoder's file or folder, `config` a YAML that overrides
    what the weights' shapes say.

    Raises `FileNotFoundError`, `ValueError` and `TypeError`, which say what the file is and what to
    do.
    """
    plan = plans.plan(memory)
    device = plans.device_of(plan)
    dtype, notes = plans.dtype(precision, device)
    found = checkpoint.read(
        assets.embedded_model() if path is None else path, vae=vae, config=config
    )
    if plan is None:
        parts = (found.text, found.unet, found.vae)
        numbers = sum(math.prod(t.shape) for part in parts for t in part.values())
        plan = plans.choose(numbers * dtype.itemsize, device)
    model = Model(found, plan, device, dtype)
    model.notes += tuple(notes)
    model.origin = {
        "path": path, "memory": memory, "precision": precision, "vae": vae, "config": config,
    }  # fmt: skip
    return model
