"""Looks into one file, reading its header and no weights. Nothing here raises."""

from __future__ import annotations

import stat
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sdnb.headers import diffusers_folder, statedict
from sdnb.headers.errors import CheckpointError, in_words
from sdnb.headers.kinds import Shapes
from sdnb.headers.picture_embedding import SUFFIXES, read_picture
from sdnb.headers.safefiles import read_shapes
from sdnb.headers.sniff import container
from sdnb.headers.torchfiles import read_torch
from sdnb.library import metadata
from sdnb.library.recognition import UNREAD, Told, told
from sdnb.request.plain_words import plain

UNFINISHED = (".part", ".crdownload", ".incomplete", ".download", ".aria2")
_HYPERNETWORK = (320, 640, 768, 1024, 1280)  # its keys: widths of layers
_END = 1 << 17  # bytes; most headers are shorter
# Headers are taken apart one after the other: it is Python's own work, which threads do not share,
# and one of 16 MB, which a few letters may ask for, takes hundreds of MB then.
_turn = threading.Lock()
_LONGEST_NAME = 120
_SHOWN = 400  # letters of a reason


@dataclass(frozen=True)
class Look:
    """What was seen in a file; the same as long as its size and time are."""

    told: Told
    alias: str = ""
    words: tuple[str, ...] = ()
    hash_of_weights: str = ""  # as its metadata say
    title: str = ""  # what its author calls it

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Look:
        """Raises TypeError or KeyError for anything but what `as_json` gave."""
        return cls(**{**value, "told": Told(**value["told"]), "words": tuple(value["words"])})


def look(path: Path) -> Look | None:
    """What a file or a diffusers folder is; None for a picture that holds no embedding."""
    _warm(path)
    try:
        with _turn, in_words(path):
            if path.is_dir():
                return _folder(path)
            if path.suffix.lower() in SUFFIXES:
                return _picture(path)
            return _file(path)
    except CheckpointError as error:
        return Look(Told(family=UNREAD, why_not=_reason(path, error)))


def _warm(path: Path) -> None:
    """Wait for the disk, in many threads at once: then the file's ends are in memory."""
    with suppress(OSError):
        if stat.S_ISREG(path.stat().st_mode):
            with path.open("rb") as file:
                file.read(_END)
                file.seek(max(0, path.stat().st_size - _END))  # where a zip has its list
                file.read(_END)


def _file(path: Path) -> Look:
    if path.is_symlink() and not path.exists():
        raise CheckpointError(f"it is a link to {path.readlink()}, which is not there")
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
        raise CheckpointError("it is not an ordinary file")
    if path.suffix.lower() in UNFINISHED:
        raise CheckpointError("it is a download that did not finish: start it again")
    if container(path) == "torch":
        root = read_torch(path)
        seen = Look(_training(root) or told(_shapes(path, root), {}))
        alias = _inner(root) if seen.told.kind == "embedding" else _pair(path, seen.told)
        return replace(seen, alias=alias)
    shapes, texts = read_shapes(path)
    seen = Look(
        told(statedict.unwrapped(shapes), texts),
        metadata.alias(texts),
        metadata.words(texts),
        metadata.hash_of_weights(texts),
        metadata.title(texts),
    )
    return replace(seen, alias=seen.alias or _pair(path, seen.told))


def _pair(path: Path, told: Told) -> str:
    """What ComfyUI calls the two files of a tiny autoencoder: "taesd" for `taesd_decoder.pth` and
    the encoder beside it; "" for any other file.
    """
    name = path.stem.removesuffix("_decoder")
    return name if told.family == "tiny decoder" and name != path.stem else ""


def _inner(root: Any) -> str:
    """What an embedding is called in its file: AUTOMATIC1111's name of it, or diffusers' token."""
    if not isinstance(root, dict):
        return ""
    name = root.get("name") or next(iter(root), "")
    known = isinstance(name, str) and name not in ("string_to_param", "string_to_token")
    return plain(name, _LONGEST_NAME) if known else ""


def _training(root: Any) -> Told | None:
    """What a trainer keeps to go on: the state of its optimiser, without a model."""
    if isinstance(root, dict) and {"state", "param_groups"} <= root.keys():
        return Told(why_not="it is the state of a training (its optimiser's), not weights")
    return None


def _shapes(path: Path, root: Any) -> Shapes:
    """The shapes in a pickle's value, by name; where it has no tensors, its keys: those of a
    hypernetwork tell what it is.
    """
    found = statedict.tensors(path, root)
    if found or not isinstance(root, dict):
        return {name: stored.shape for name, stored in found.items()}
    return {str(name): () for name in root if isinstance(name, str) or name in _HYPERNETWORK}


def _picture(path: Path) -> Look | None:
    if path.stem.lower().endswith(".preview"):  # of the file beside it, for AUTOMATIC1111 too
        return None
    # Pixels are decoded where embeddings are kept: elsewhere there are pictures by the thousand.
    found = read_picture(path, pixels=path.parent.name.lower() in ("embeddings", "embedding"))
    if found is None:
        return None
    shapes = {
        f"string_to_param.{name}": (len(rows), len(rows[0])) for name, rows in found.vectors.items()
    }
    return Look(told(shapes, {}), plain(found.name, _LONGEST_NAME))


def _folder(path: Path) -> Look:
    """A diffusers folder, by its denoiser."""
    why_not = ""
    try:
        diffusers_folder.check(path)
    except CheckpointError as error:
        why_not = _reason(path, error)
    unet = path / "unet"
    shapes: dict[str, tuple[int, ...]] = {}
    for file in diffusers_folder.weight_files(unet, []) if unet.is_dir() else ():
        shapes |= _any_shapes(file)
    seen = told({f"unet.{name}": shape for name, shape in shapes.items()}, {})
    if seen.kind != "checkpoint":
        seen = Told("checkpoint", why_not="it has no denoiser (unet) that sdnb knows")
    return Look(replace(seen, family="folder", why_not=why_not or seen.why_not))


def _any_shapes(path: Path) -> Mapping[str, tuple[int, ...]]:
    if container(path) == "torch":
        return _shapes(path, read_torch(path))
    return read_shapes(path)[0]


def _reason(path: Path, error: CheckpointError) -> str:
    """An error's words without the path before them, which stands beside them."""
    words = str(error)
    if words.startswith(f"{path} "):
        words = f"it {words[len(str(path)) + 1 :]}"
    return plain(words.removeprefix(f"{path}: "), _SHOWN)
