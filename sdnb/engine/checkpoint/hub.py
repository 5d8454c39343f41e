"""Downloads a model or a control network from the Hugging Face hub by its id, through
huggingface_hub's cache.

Only the files that sdnb reads are downloaded: safetensors rather than bin, the ordinary weights
rather than a variant.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdnb.engine.checkpoint.folders import COMPONENTS, TINY_FOLDER
from sdnb.headers.diffusers_folder import choose
from sdnb.headers.errors import CheckpointError, listed
from sdnb.request.plain_words import counted

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")
Needed = Callable[[Sequence[str]], list[str]]


@dataclass(frozen=True)
class Wish:
    """What is looked for in a repository. `needed` chooses the files of a folder by their names,
    and gives none where the names are of another layout; `singles` are the endings of a file that
    may be all there is. `expected` and `way_out` are words for a person.
    """

    needed: Needed
    singles: tuple[str, ...]
    expected: str
    way_out: str


def is_id(text: str) -> bool:
    """Whether `text` can be a hub id: `owner/name`, or `owner/name@revision`."""
    return _ID.fullmatch(text) is not None


def download(name: str, notes: list[str], wish: Wish) -> Path:
    """The folder, or the single file, of a hub id. It is downloaded unless the cache has it. `wish`
    says what is looked for: `MODEL` or `NETWORK`.

    Raises CheckpointError when the hub cannot be reached and the cache has no copy, when the hub
    refuses (unknown id, licence not accepted), and when the repository has no layout known here.
    """
    repo, _, revision = name.partition("@")
    try:
        return _fetch(repo, revision or None, wish)
    except Exception as error:
        reason = _explained(name, error)
        if reason is None:
            raise
        offline = reason == _NO_CONNECTION
        copy = _cached(repo, revision or None, wish) if offline else None
        if copy is None:
            way_out = f" {wish.way_out}" if offline else ""
            raise CheckpointError(f"{name!r}: {reason}{way_out}") from error
        notes.append(f"{name}: the hub could not be reached; the copy in the cache is used")
        return copy


def _fetch(repo: str, revision: str | None, wish: Wish) -> Path:
    import huggingface_hub as hub

    names = hub.HfApi().list_repo_files(repo, revision=revision)
    files = wish.needed(names)
    if not files:
        singles = _singles(names, wish)
        if len(singles) != 1:
            raise CheckpointError(_nothing_known(repo, names, singles, wish))
        return Path(hub.hf_hub_download(repo, singles[0], revision=revision))
    return Path(hub.snapshot_download(repo, revision=revision, allow_patterns=files))


def _singles(names: Sequence[str], wish: Wish) -> list[str]:
    return [name for name in names if name.endswith(wish.singles) and "/" not in name]


def needed_of_network(names: Sequence[str]) -> list[str]:
    """The files of a repository that hold one network, such as a control network; none where there
    are none.
    """
    chosen = choose([name for name in names if "/" not in name])
    return [] if chosen is None else [name for name in names if name in (chosen[0], "config.json")]


def needed_of_model(names: Sequence[str]) -> list[str]:
    """The files of a repository that `read_folder` reads; none unless it is a diffusers folder."""
    files = [
        name
        for name in names
        if name in ("model_index.json", "sdnb.yaml", "scheduler/scheduler_config.json")
        or name.startswith("tokenizer/")
    ]
    for folder in (*COMPONENTS.values(), TINY_FOLDER):
        prefix = f"{folder}/"
        inside = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
        chosen = choose(inside)
        if chosen is None and folder == TINY_FOLDER:
            continue
        if chosen is None:
            return []
        weights, variant = chosen
        stem, suffix = weights.split(".")[:2]
        also = f"({re.escape(variant)})?"
        shard = re.compile(rf"{stem}{also}-\d+-of-\d+{also}.{suffix}")
        files += [
            prefix + name
            for name in inside
            if name in (weights, "config.json")
            or (weights.endswith(".json") and shard.fullmatch(name))  # an index: its shards
        ]
    return files


MODEL = Wish(
    needed_of_model,
    (".safetensors", ".ckpt"),
    "no Stable Diffusion (unet/, vae/ and text_encoder/ with weights), no .ckpt, no .safetensors",
    "Give the path of a checkpoint, or call sdnb.load() without one for the built-in model.",
)
NETWORK = Wish(
    needed_of_network,
    (".safetensors", ".pth", ".ckpt", ".pt"),
    "no network alone (config.json beside diffusion_pytorch_model.safetensors), no .pth and no "
    ".safetensors",
    "Give the path of a network's file, or the name of one in the model's library.",
)


def _nothing_known(repo: str, names: list[str], singles: list[str], wish: Wish) -> str:
    if not singles:  # some keep them in a folder, among them lllyasviel/ControlNet
        singles = [name for name in names if re.fullmatch(r"models/[^/]+", name)]
        singles = [name for name in singles if name.endswith(wish.singles)]
    if singles:
        return (
            f"the hub's {repo} holds {counted(len(singles), 'single file')}: "
            f"{listed(sorted(singles))}. Fetch one with "
            f"huggingface_hub.hf_hub_download({repo!r}, {min(singles)!r}) and give the path that "
            "it gives."
        )
    return (
        f"the hub's {repo} holds nothing that is known here: {wish.expected}; it has "
        f"{listed(sorted(names), 5)}."
    )


def _cached(repo: str, revision: str | None, wish: Wish) -> Path | None:
    """The copy of an earlier download, if it is complete."""
    import huggingface_hub as hub

    try:
        folder = Path(hub.snapshot_download(repo, revision=revision, local_files_only=True))
    except Exception:  # noqa: BLE001  (after any error there is no usable copy)
        return None
    names = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
    if wish.needed(names):
        return folder
    singles = _singles(names, wish)
    return folder / singles[0] if len(singles) == 1 else None


_NO_CONNECTION = (
    "there is no connection to the hub (no network, or HF_HUB_OFFLINE is set), no copy in the "
    "cache, and no file or folder of this name here."
)


def _explained(model: str, error: Exception) -> str | None:
    """An error of huggingface_hub or the network in words for the user; None for any other."""
    from huggingface_hub import errors

    repo = model.partition("@")[0]
    if isinstance(error, errors.GatedRepoError):
        return (
            "the hub asks you to accept this model's licence first: open "
            f"https://huggingface.co/{repo}, accept it, then run `hf auth login` with a token of "
            "your account."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the hub has no revision {model.partition('@')[2]!r} of {repo}."
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            "there is no file or folder of this name here, and no model of this id on the hub (or "
            "it is private: run `hf auth login`). Check the spelling at "
            "https://huggingface.co/models."
        )
    if isinstance(error, errors.HFValidationError):
        return f"this is no hub id ({error}) and no file or folder here."
    if getattr(error, "errno", None) == errno.ENOSPC:
        return "the disk is full. Free some space (`hf cache scan` shows what the cache holds)."
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return f"the hub answered with HTTP status {status} ({error}). Try again later."
    # A failed connection is an OSError, also in requests and in offline mode, or httpx' own.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, OSError) or kinds & {"TransportError", "LocalEntryNotFoundError"}:
        return _NO_CONNECTION
    return None
