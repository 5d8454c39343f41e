"""`Model`, what `load` gives: the facts of a checkpoint, its weights, the plan it is to keep."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sdnb.engine import memory, pixels
from sdnb.engine.checkpoint import Checkpoint, Tensors
from sdnb.engine.checkpoint.embeddings import Embedding, LibraryEmbeddings
from sdnb.engine.diffusion.schedule import NoiseSchedule
from sdnb.engine.full_precision import current
from sdnb.engine.networks import row_bands
from sdnb.engine.networks.config import ModelConfig
from sdnb.engine.networks.tokenizer import Tokenizer
from sdnb.engine.planning import planner
from sdnb.engine.planning.facts import Facts
from sdnb.engine.planning.measured import PREVIEW_TILE
from sdnb.engine.prompt_cache import PromptCache
from sdnb.engine.run_lock import RunLock
from sdnb.engine.weights import Weights
from sdnb.images.used_files import UsedFile
from sdnb.library import Library, LibraryFile, few_steps, hashes, model_library
from sdnb.request import Request, Settings, checks, words
from sdnb.request.lora import Lora
from sdnb.request.memory_plan import DecidedPlan, Forecast, MemoryPlan, read
from sdnb.request.pace import Pace
from sdnb.request.prompt.wildcards import Wildcards

if TYPE_CHECKING:
    from PIL import Image
    from typing_extensions import Self


class Model:
    """A text encoder, a UNet and a VAE, with the plan by which they use memory. Made by `load`.

    `asked_plan` is the plan that every request gets where it fits; None: one is chosen for each
    request, within `budget` GB (0: within what is free). `load_arguments` are the arguments of
    `load` that make the same model elsewhere. `library` is where LoRAs, embeddings and control
    networks are found by name: what the model's folder brings along in `lora`, `embeddings` and
    `control`, then the library that a user gave; None: nowhere. `own_loras` lie over its weights in
    every run, below those of the request. `vae` is another VAE's file. `embeddings` are those by
    their names, each read when it is asked for.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        weights: Weights,
        tokenizer: Tokenizer,
        *,
        asked_plan: MemoryPlan | None = None,
        budget: float = 0.0,
        load_arguments: dict[str, Any] | None = None,
        library: Library | None = None,
        vae: str | Path | None = None,
    ) -> None:
        self.name = checkpoint.name
        self.fingerprint = checkpoint.fingerprint
        self.config: ModelConfig = checkpoint.config
        self.notes: tuple[str, ...] = tuple(checkpoint.notes)
        self.load_arguments = load_arguments or {}
        self._brought = model_library.brought_by(checkpoint.folders)
        self._find_in(library)
        self.own_loras = tuple(Lora(str(path)) for path in checkpoint.loras)
        self._sources = {"checkpoint": (self.name, checkpoint.path)}
        if vae is not None:
            self._sources["vae"] = _named_vae(Path(vae), checkpoint.vae)
        noise = self.config.noise
        self.schedule = NoiseSchedule(
            noise.steps, noise.beta_start, noise.beta_end, ztsnr=noise.ztsnr
        )
        self.tokenizer = tokenizer
        self.weights = weights
        self.device, self.dtype = weights.device, weights.dtype
        self.text, self.unet, self.vae = (weights.networks[n] for n in ("text", "unet", "vae"))
        self.tiny_vae = weights.networks.get("tiny_vae")
        self._tiny_config = checkpoint.tiny_config
        self._tiny_stands_in = checkpoint.tiny_given
        if checkpoint.tiny_vae is not None and checkpoint.tiny_source is not None:
            self._sources["tiny_vae"] = _named_vae(checkpoint.tiny_source, checkpoint.tiny_vae)
        self.prompts = PromptCache()
        self.run_lock = RunLock()
        self.pace = Pace()
        self.budget = budget
        self.ask(asked_plan)

    def use_library(self, library: Library | None) -> None:
        """Find LoRAs, embeddings and control networks in this library from the next run on, beside
        those that the model brings along; None: in these alone. `load_arguments` name it.
        """
        library = library and library.given  # another model's may have what that one brings
        self._find_in(library)
        folders = library and [str(folder.resolve()) for folder in library.folders]
        self.load_arguments = {**self.load_arguments, "library": folders}

    def _find_in(self, library: Library | None) -> None:
        self.library = found = model_library.joined(self._brought, library)
        self.embeddings: Mapping[str, Embedding] = LibraryEmbeddings(found) if found else {}

    # -- the memory plan -----------------------------------------------------------------------
    def ask(self, plan: MemoryPlan | None) -> None:
        """Use this plan from the next run on, wherever it fits; None: the planner chooses. Raises
        ValueError for one that needs a tiny VAE where the model has none.
        """
        check_vae_of(plan, self.tiny_vae is not None)
        self.asked_plan = plan
        self.weights.apply(self.first_plan())

    @property
    def memory(self) -> DecidedPlan:
        """The plan in force: of the last run, or of the next one of a usual size."""
        assert self.weights.plan is not None
        return self.weights.plan

    def first_plan(self) -> DecidedPlan:
        """The plan to begin with: for a picture of the size that suits the model."""
        if self.device.type == "cpu" and not self.facts().limit:
            return (self.asked_plan or read("cpu")).decided()
        if self.device.type not in ("cuda", "cpu"):
            return (self.asked_plan or read("max").but(speed="eager")).decided()
        return self.plan(Request(seed=0)).plan

    def plan(self, request: Request) -> Forecast:
        """What `request` would take, before anything runs: the plan that would be used, its
        predicted peak in GB and its price in speed; a refusal in words where nothing fits.

        Raises ValueError for a model that was unloaded, and as `Request.resolved`.
        """
        checks.loaded(self)
        first = words.settled(request, self)
        first = first if first is request else first.but(count=request.count)
        return planner.forecast(self.facts(), first.resolved(self.suited(first)[0]))

    def facts(self) -> Facts:
        """What a planner needs to know of this model."""
        return Facts(
            self.config, self.device, self.dtype, self.asked_plan, self.budget,
            self.weights.facts(), self.weights.ring_bytes, self.pace.learnt,
            memory.has_second_stream(), self._tiny_config, self._tiny_stands_in,
        )  # fmt: skip

    # -- what it is ----------------------------------------------------------------------------
    @property
    def settings(self) -> Settings:
        """The size, steps, cfg and sampler that suit this model: what a request takes where it says
        nothing.
        """
        return self.config.settings

    def suited(self, request: Request) -> tuple[Settings, str]:
        """The settings for what a request leaves open: the model's own, or those that a LoRA for
        few steps brings; and a sentence on what it brought, "" for nothing.
        """
        return few_steps.suited(request, self.settings, few_steps.finder(self.library))

    @property
    def files(self) -> tuple[UsedFile, ...]:
        """The files of the checkpoint and of another VAE, where their hashes are known: none is
        computed for it, which takes seconds, but a tiny VAE's. By the plan in force one of two VAEs
        is used.
        """
        used = dict(self._sources)
        tiny = used.pop("tiny_vae", None)
        if tiny is not None and self.memory.tiny_vae:
            used["vae"] = tiny
        known = [(k, n, self._digest(k, path)) for k, (n, path) in used.items()]
        return tuple(UsedFile(*each) for each in known if each[-1])

    def _digest(self, kind: str, path: Path) -> str:
        with suppress(OSError):
            tiny = kind == "vae" and (self.config.vae.tiny or self.memory.tiny_vae)
            return (hashes.sha256 if tiny else hashes.known_sha256)(path)
        return ""

    @property
    def control_nets(self) -> list[LibraryFile]:
        """The control networks that a `Control` can name: the model's own, then the library's. A
        name that both have means the model's own.
        """
        return self.library.files("control") if self.library else []

    @property
    def wildcards(self) -> Wildcards:
        """The lists of words of the model's library, which prompts name as `__animals__`."""
        return self.library.wildcards if self.library else Wildcards()

    @property
    def examples(self) -> tuple[str, ...]:
        """Prompts to start with, the best first; empty where the model brings none."""
        return self.config.examples.prompts

    @property
    def is_inpainting(self) -> bool:
        """Whether it was made for inpainting: its UNet also sees the mask and the masked picture,
        so a request needs a picture.
        """
        return self.config.unet.in_channels == 9

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """Channels, height and width of the latent of a picture: `[4, h/8, w/8]`."""
        factor = 2 ** (len(self.config.vae.channels) - 1)
        return self.config.vae.latent_channels, height // factor, width // factor

    def preview(self, latent: Tensor) -> Image.Image:
        """A rough look at the first of latents `[b, 4, h/8, w/8]`, of an eighth of the picture's
        size, without the decoder: what a preview of a run shows.
        """
        return pixels.preview(latent, self.config.vae.preview)

    @torch.inference_mode()
    def full_preview(self, latent: Tensor) -> Image.Image | None:
        """The first of latents `[b, 4, h/8, w/8]` as a picture of full size, by the tiny VAE; None
        for a model without one, and where the device has no memory for it. It takes 70 GMAC for
        512x512, about a tenth of a step.
        """
        network, part = (
            (self.vae, "decoder") if self.config.vae.tiny else (self.tiny_vae, "tiny_decoder")
        )
        if network is None:
            return None
        try:
            with self.weights.use(part) as device, current(device):
                x = latent[:1].to(device, network.decoder[1].weight.dtype)
                x = x.contiguous(memory_format=torch.channels_last)
                bands = row_bands.Bands(PREVIEW_TILE)
                return pixels.joined(network.decode_tiled(x, bands, row_bands.on_device(device)))
        except torch.OutOfMemoryError:
            return None

    # -- its end -------------------------------------------------------------------------------
    def unload(self) -> None:
        """Give the memory back; the model cannot be used afterwards. Waits for the end of a run in
        another thread; one that is half-way in this thread ends in an error at its next step.
        """
        with self.run_lock.ask(within=True) as turn:
            turn.wait()
            self.prompts.clear()
            self.weights.clear()
            for network in ("text", "unet", "vae", "tiny_vae"):
                if hasattr(self, network):
                    delattr(self, network)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.unload()

    def __repr__(self) -> str:
        s = self.settings
        words = (
            f"Model({self.name}, {s.width}x{s.height}, {str(self.dtype).removeprefix('torch.')} on "
            f"{self.device}, memory {self.memory.name!r})"
        )
        return "\n".join([words, *(f"  note: {note}" for note in self.notes)])


def check_vae_of(plan: MemoryPlan | None, has_tiny: bool) -> None:
    """Raise ValueError for a plan that needs a tiny VAE beside a model's own, which it has not."""
    if plan is not None and plan.tiny_vae and not has_tiny:
        raise ValueError(
            f"the memory plan {plan.name!r} has tiny_vae=True, and the model has no tiny VAE "
            "beside its own: give its file as load(..., tiny_vae='taesd.safetensors')"
        )


def _named_vae(source: Path, weights: Tensors) -> tuple[str, Path]:
    """What a VAE is called, and the file of its decoder: a tiny one may have a file for each half,
    and any may be in a folder.
    """
    file = next(tensor.file for name, tensor in weights.items() if name.startswith("decoder."))
    return (source if source.is_dir() else file).name, file
