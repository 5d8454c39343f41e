"""Reads every tensor of one file, `.ckpt` or `.safetensors`, by its name in the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from sdnb.headers.errors import CheckpointError, in_words, listed
from sdnb.headers.kinds import other_kind
from sdnb.headers.pickles import Unknown
from sdnb.headers.safefiles import read_safetensors
from sdnb.headers.sniff import container
from sdnb.headers.stored import Stored
from sdnb.headers.torchfiles import read_torch
from sdnb.headers.uncollected import uncollected
from sdnb.request import checks

StoredWeights = dict[str, Stored]
T = TypeVar("T")
_MOST_PARTS = 64  # embeddings in one file

ENDINGS = {"safetensors": {".safetensors"}, "torch": {".ckpt", ".pt", ".pth", ".bin"}}
# Keys under which trainers store the weights.
HOLDERS = ("state_dict", "model_state_dict", "module", "model", "adapter")
# What wrappers of a whole model put before every name: DataParallel, DeepSpeed, torch.compile.
WRAPPERS = ("module.", "_forward_module.", "_orig_mod.")
# Keys beside the weights that only training needs.
TRAINING = {
    "callbacks", "datamodule_hparams_by_name", "epoch", "global_step", "hparams_name",
    "hyper_parameters", "iteration", "loops", "lr_scheduler", "lr_schedulers",
    "native_amp_scaling_state", "optimizer", "optimizer_state_dict", "optimizer_states",
    "pytorch-lightning_version", "scheduler", "step", "steps",
}  # fmt: skip


@uncollected()
def read_stored(path: Path, notes: list[str]) -> tuple[StoredWeights, dict[str, str]]:
    """The tensors of any file by name, and its metadata. Its content decides the format, not its
    ending.

    Raises CheckpointError for a file of no tensors, or one that could be read only by running it.
    """
    with in_words(path):
        kind = container(path)
    if path.suffix.lower() not in ENDINGS[kind]:
        notes.append(f"{path.name} is a {kind} file in spite of its name")
    return (_from_torch(path, notes), {}) if kind == "torch" else read_safetensors(path)


def unwrapped(weights: dict[str, T]) -> dict[str, T]:
    """The weights without what a wrapper put before all of their names; wrappers may be nested."""
    for _ in WRAPPERS:
        for prefix in WRAPPERS:
            if all(name.startswith(prefix) for name in weights):
                weights = {name.removeprefix(prefix): each for name, each in weights.items()}
    return weights


def refuse_other_kinds(path: Path, weights: Mapping[str, Any]) -> None:
    """Raises CheckpointError when the names and shapes are a LoRA's, an SDXL model's ..."""
    kind = other_kind({name: getattr(value, "shape", ()) for name, value in weights.items()})
    if kind is not None:
        raise CheckpointError(f"{path} is {kind.what}. {kind.advice}")


def _from_torch(path: Path, notes: list[str]) -> StoredWeights:
    root = read_torch(path)
    if not isinstance(root, dict):
        name = root.name if isinstance(root, Unknown) else type(root).__name__
        raise CheckpointError(
            f"{path} holds a whole object ({name}), not weights by name. Making it would run code, "
            "which sdnb never does with a checkpoint. Where you trust it, save its weights: "
            "torch.save(model.state_dict(), path)."
        )
    state = held(path, root, notes)
    names = {_name(key): value for key, value in state.items()}
    weights = {name: value for name, value in names.items() if isinstance(value, Stored)}
    others = [name for name in names if name not in weights and name not in TRAINING]
    for name in others:
        if "." in name and isinstance(names[name], Unknown):  # named as weights are
            raise _would_run(path, name, names[name])
    if not weights:  # A1111's embeddings and hypernetworks keep theirs deeper
        refuse_other_kinds(path, names)
    if others:
        notes.append(f"left out, since they are no tensors: {listed(sorted(others))}")
    return weights


def tensors(path: Path, root: Any) -> StoredWeights:
    """The tensors in the value of any torch file by name: of a state dict; of an embedding, whose
    vectors lie in `string_to_param` or are the whole file; of several in a list.

    Raises CheckpointError for an object that only running the file could make.
    """
    if isinstance(root, Stored):
        return {"emb_params": root}
    if isinstance(root, list) and len(root) <= _MOST_PARTS:
        parts = [tensors(path, each) for each in root if isinstance(each, dict)]
        return {f"{n}:{name}": t for n, part in enumerate(parts) for name, t in part.items()}
    if not isinstance(root, dict):
        name = root.name if isinstance(root, Unknown) else type(root).__name__
        raise CheckpointError(f"{path} holds a whole object ({name}), not weights by name")
    state, prefix = held(path, root, []), ""
    if isinstance(state.get("string_to_param"), dict):
        state, prefix = state["string_to_param"], "string_to_param."
        for key, value in state.items():
            if isinstance(value, Unknown):
                raise _would_run(path, prefix + _name(key), value)
    named = {prefix + _name(key): value for key, value in state.items()}
    return unwrapped({name: value for name, value in named.items() if isinstance(value, Stored)})


def _name(key: Any) -> str:
    """A key as the name of a weight, which only a text can be."""
    return key if isinstance(key, str) else checks.shown(key)


def held(path: Path, root: dict[Any, Any], notes: list[str], depth: int = 3) -> dict[Any, Any]:
    """The dictionary with the weights: the root, or what is under a key like `state_dict`, once or
    up to three times: a dictionary may hold itself. Raises CheckpointError where a call would have
    to make it.
    """
    for key in HOLDERS if depth else ():
        if isinstance(root.get(key), Unknown):
            raise _would_run(path, key, root[key])
        if _holds_weights(root.get(key)):
            others = sorted(_name(name) for name in root if name != key and name not in TRAINING)
            if others:
                notes.append(f"left out, beside the weights: {listed(others)}")
            return held(path, dict(root[key]), notes, depth - 1)
    return root


def _holds_weights(value: Any, depth: int = 3) -> bool:
    """Whether weights lie in a dictionary, or in one of its holders; an empty one has none."""
    if not isinstance(value, dict) or not depth:
        return False
    inside = any(isinstance(weight, (Stored, Unknown)) for weight in value.values())
    return inside or any(_holds_weights(value.get(key), depth - 1) for key in HOLDERS)


def _would_run(path: Path, name: str, value: Unknown) -> CheckpointError:
    return CheckpointError(
        f"{path}: {name} would come out of a call to {value.name}. A checkpoint is read and never "
        "run, so this is refused. Where you trust the file, open it with the program that made it "
        "and save plain tensors (torch.save(state_dict, path), or safetensors)."
    )
