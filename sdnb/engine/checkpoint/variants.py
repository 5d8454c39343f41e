"""Reads a variant: a folder that says of which model it is, and which LoRAs always lie over it.

    # variant.yaml
    of: ../tiny
    loras: [tiny-fast.safetensors]

Paths count from the folder. Its `sdnb.yaml`, if it has one, holds the settings that suit it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdnb.headers.errors import CheckpointError, MissingCheckpointError
from sdnb.request import checks, documents

FILE = "variant.yaml"
_KEYS = ("of", "loras", "vae")
_MOST = 8  # LoRAs


@dataclass(frozen=True)
class Variant:
    """Another model with LoRAs over it."""

    of: Path
    loras: tuple[Path, ...]
    vae: Path | None = None  # in place of the other model's own


def read_variant(folder: Path) -> Variant | None:
    """What a folder says; None for one that is no variant.

    Raises CheckpointError for a file that says something else, and MissingCheckpointError for one
    that names what is not there.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        said = documents.from_yaml(documents.file_text(path, documents.YAML_LIMIT))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    if not isinstance(said, dict) or not {"of", "loras"} <= said.keys():
        raise CheckpointError(
            f"{path} names no model and LoRAs: expected `of: ...` and `loras: [...]`"
        )
    for key in said:
        if key not in _KEYS:
            raise CheckpointError(
                f"{path}: unknown key {checks.shown(key)}; {checks.known(str(key), _KEYS)}"
            )
    files = _texts(said, "loras", path)
    of = _there(folder, said["of"], path, "the model that it is of")
    if (of / FILE).is_file():
        raise CheckpointError(
            f"{path} is of {of}, a variant too: name the model that that one is of"
        )
    vae = None if said.get("vae") is None else _there(folder, said["vae"], path, "its VAE")
    return Variant(of, tuple(_there(folder, each, path, "its LoRA") for each in files), vae)


def _texts(said: Mapping[str, Any], key: str, path: Path) -> list[Any]:
    value = said[key]
    if not isinstance(value, list) or not 1 <= len(value) <= _MOST:
        raise CheckpointError(
            f"{path}: {key} is {checks.shown(value)}; expected a list of 1 to {_MOST} files"
        )
    return value


def _there(folder: Path, name: object, path: Path, what: str) -> Path:
    if not isinstance(name, str) or not name.strip():
        raise CheckpointError(f"{path}: {what} is {checks.shown(name)}; expected a path")
    found = folder / checks.text(what, name)
    if not found.exists():
        raise MissingCheckpointError(
            f"{folder.name} needs {found.resolve()}, {what}, and there is no such file. Put it "
            f"there, write into {path} where it is, or load the model that this is a variant of."
        )
    return found.resolve()
