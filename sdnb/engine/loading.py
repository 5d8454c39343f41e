"""`load`: a checkpoint becomes a `Model`, its networks on the devices that a memory plan names."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch

from sdnb import assets
from sdnb import library as library_of
from sdnb.engine import checkpoint, openmp, run_lock
from sdnb.engine.checkpoint import Checkpoint
from sdnb.engine.model import Model, check_vae_of
from sdnb.engine.networks import fused, text
from sdnb.engine.networks.config import ModelConfig
from sdnb.engine.networks.tiny_vae import TinyVAE
from sdnb.engine.networks.tokenizer import Tokenizer
from sdnb.engine.networks.unet import UNet
from sdnb.engine.networks.vae import VAE
from sdnb.engine.planning import machine
from sdnb.engine.stages import adapt
from sdnb.engine.weights import Weights
from sdnb.headers.errors import MissingCheckpointError
from sdnb.request import Request, memory_plan
from sdnb.request.memory_plan import MemoryPlan


@openmp.borrowed()
def load(
    path: str | Path | None = None,
    memory: str | float | MemoryPlan = "auto",
    precision: str = "auto",
    vae: str | Path | None = None,
    config: str | Path | ModelConfig | None = None,
    *,
    tiny_vae: str | Path | Literal[False] | None = None,
    prediction: str | None = None,
    library: library_of.Source = None,
    progress: Callable[[float], object] | None = None,
) -> Model:
    """The model in `path`: a `.ckpt`, a `.safetensors`, a diffusers folder, a hub id or the name of
    a built-in one, such as "tiny"; none: that one.

    `memory` is a plan, the name of one ("auto", "cpu", "file", "max", "8gb", "6gb", "4gb", "2gb",
    "1gb") or a number of GB: on a CPU of all that Python takes, within which weights stay in their
    file as far as they do not fit, which "file" has all of them do. `precision` is full, half, bf16
    or auto, `vae` another autoencoder's file or folder, `config` a YAML that overrides what the
    weights' shapes say. `tiny_vae` is a tiny autoencoder (TAESD) beside the VAE: previews of a run
    show what it decodes. One that is given also makes the picture where memory cannot hold the full
    one's work, and a note says so; as `vae` it makes all pictures. None takes what a model's folder
    brings in its `tiny_vae/`, as the built-in one's does: for previews, and for pictures where a
    plan says `tiny_vae=True`. False takes none. `prediction` is what the model predicts where its
    files do not say it or are wrong: "eps", "v", or "v_ztsnr" for v on a noise schedule with zero
    terminal SNR. `library` is a Library, a folder or several, in which LoRAs and embeddings are
    found by name, and `path` and both VAEs too; None: those of the environment's SDNB_LIBRARY. What
    the model's folder has in `lora`, `embeddings` and `control` is found first. `progress` is
    called now and then with the share of the weights that is there, 0 to 1.

    Raises `FileNotFoundError`, `ValueError` and `TypeError`, which say what the file is and what to
    do (a ValueError too for a name of two files in the library), and `RuntimeError` in a process
    that was forked from one with a model.
    """
    run_lock.refuse_forks()
    plan = memory_plan.plan(memory)
    device, dtype, notes = machine.usable(plan, precision)  # before anything is read
    files = library_of.opened(library)
    budget = float(memory) if isinstance(memory, (int, float)) else 0.0
    source = recognise(path, vae, config, prediction, tiny_vae=tiny_vae, library=files)
    check_vae_of(plan, source.tiny_vae is not None)  # before weights are read
    tokenizer = tokenizer_of(source)
    model = Model(
        source,
        read_weights(source, device, dtype, progress, lazily=_may_stay(plan, budget, device)),
        tokenizer,
        asked_plan=plan,
        budget=budget,
        load_arguments={
            "path": path, "memory": memory, "precision": precision, "vae": vae, "config": config,
            "tiny_vae": tiny_vae, "prediction": prediction,
            # A worker's environment names its own.
            "library": library and files and [str(folder.resolve()) for folder in files.folders],
        },
        library=files,
        vae=files.path("vae", vae) if files and vae is not None else vae,
    )  # fmt: skip
    if model.own_loras:
        adapt.put_in_force(model, adapt.choose(model, Request("")))
    if device.type == "cuda" and fused.why_not():
        notes.append(fused.why_not())
    model.notes += (*notes, *machine.not_held(model.facts()))
    if progress is not None and model.weights.lazily:  # only now it is known what was to be read
        progress(1.0)
    return model


def _may_stay(plan: MemoryPlan | None, budget: float, device: torch.device) -> bool:
    """Whether weights may stay in their files: a plan says so, or there is a limit to keep."""
    if device.type != "cpu":
        return False
    return budget > 0 or (plan is not None and plan.reads_files)


def recognise(
    path: str | Path | None,
    vae: str | Path | None = None,
    config: str | Path | ModelConfig | None = None,
    prediction: str | None = None,
    *,
    tiny_vae: str | Path | Literal[False] | None = None,
    library: library_of.Source = None,
) -> Checkpoint:
    """The checkpoint that `load` would load, recognised and checked; its weights are on disk."""
    files = library_of.opened(library)
    if files is not None:
        path = None if path is None else files.path("checkpoint", path)
        vae = None if vae is None else files.path("vae", vae)
        tiny_vae = files.path("vae", tiny_vae) if tiny_vae else tiny_vae
    try:
        return checkpoint.read(
            _built_in(path),
            vae=vae,
            tiny_vae=tiny_vae,
            config=config,
            prediction=prediction,
        )
    except MissingCheckpointError as error:
        known = f"{_in_library(files, path, vae, tiny_vae)}{_names_built_in(path)}"
        raise MissingCheckpointError(f"{error}{known}") from None


def _built_in(path: str | Path | None) -> str | Path:
    """The folder of a built-in model that is asked for by its name, or by none; else the path. What
    lies at a path of that name comes first.
    """
    if path is None:
        return assets.embedded_model()
    known = isinstance(path, str) and path in assets.built_in()
    return assets.built_in()[str(path)] if known and not Path(path).exists() else path


def _names_built_in(path: str | Path | None) -> str:
    """The names of the built-in models, behind an error about a path that looks like a name."""
    is_name = isinstance(path, str) and not Path(path).suffix and len(Path(path).parts) == 1
    if not is_name or path in assets.built_in():
        return ""
    whole = [name for name, at in assets.built_in().items() if any(at.rglob("*.safetensors"))]
    return f" Built in: {', '.join(whole)}."


def _in_library(
    files: library_of.Library | None, path: str | Path | None, *vaes: str | Path | bool | None
) -> str:
    """What a library says of the names that it has not, behind an error about them."""
    given = [("checkpoint", path), *(("vae", vae) for vae in vaes)] if files else []
    names = [(k, s) for k, s in given if isinstance(s, str) and not assets.user_path(s).exists()]
    said = [files.unknown(*each) for each in names if files]
    return "".join(f" In the library {each}{'' if each.endswith('?') else '.'}" for each in said)


def tokenizer_of(source: Checkpoint) -> Tokenizer:
    """The tokenizer of a checkpoint. Raises `ValueError` where it has more tokens than the text
    encoder.
    """
    encoder = source.config.text
    tokenizer = Tokenizer(source.tokenizer, encoder.positions, encoder.padding)
    if tokenizer.size > encoder.vocab:
        raise ValueError(
            f"{source.name}: its text encoder knows {encoder.vocab} tokens, but the "
            f"tokenizer has {tokenizer.size}. Load the model as a folder that holds its own "
            "tokenizer/."
        )
    return tokenizer


def read_weights(
    source: Checkpoint,
    device: torch.device,
    dtype: torch.dtype,
    progress: Callable[[float], object] | None = None,
    *,
    lazily: bool = False,
) -> Weights:
    """The networks of a checkpoint with its weights, on the CPU; `lazily` they stay on disk until
    a plan wants them in memory.
    """
    with torch.device("meta"):
        unet = UNet(source.config.unet).eval()
        vae = (TinyVAE if source.config.vae.tiny else VAE)(source.config.vae).eval()
    for network in (unet, vae):
        network.to(memory_format=torch.channels_last)  # filled in the layout they compute in
    networks = {"text": text.build(source.config.text), "unet": unet, "vae": vae}
    if source.tiny_vae is not None:
        with torch.device("meta"):
            tiny = TinyVAE(source.tiny_config).eval()
        networks["tiny_vae"] = tiny.to(memory_format=torch.channels_last)
    weights = Weights(networks, device, dtype, lazily=lazily)
    told = None if progress is None else _share(source, progress)
    for name, network in networks.items():
        weights.write(name, getattr(source, name), told)
        network.requires_grad_(False)
    return weights


def _share(source: Checkpoint, progress: Callable[[float], object]) -> Callable[[int], None]:
    """A counter of weights that tells their share, a hundred times in all."""
    networks = (source.text, source.unet, source.vae, source.tiny_vae or {})
    total = sum(math.prod(tensor.shape) for tensors in networks for tensor in tensors.values())
    done = told = 0

    def count(more: int) -> None:
        nonlocal done, told
        done += more
        if done - told >= total / 100 or done >= total:
            told = done
            progress(done / total)

    return count
