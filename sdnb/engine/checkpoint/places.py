"""Finds a model by its path or hub id, and the YAML beside it."""

from __future__ import annotations

from pathlib import Path

from sdnb.engine.checkpoint import hub
from sdnb.engine.checkpoint.configs import Overrides, read_config
from sdnb.headers.errors import CheckpointError, MissingCheckpointError, in_words
from sdnb.request import checks
from sdnb.request.plain_words import plain

FILES = (".ckpt", ".safetensors", ".pt", ".pth", ".bin")


def locate(source: str | Path, notes: list[str]) -> tuple[Path, str]:
    """The file or folder of `source`, and the model's name. A hub id is downloaded.

    Raises MissingCheckpointError, with similar names, when there is none of this name.
    """
    if not isinstance(source, (str, Path)) or not str(source).strip():
        raise CheckpointError(
            f"a model is given as a path or a hub id, not as {checks.shown(source)}"
        )
    with in_words(f"the path {plain(str(source), 200)}"):  # it may hold a zero, or 5,000 letters
        path = Path(source).expanduser()
        if path.exists():
            named = path if path.name.strip(".") else path.resolve()  # "." has the folder's name
            return path, named.stem if path.is_file() else named.name
    if isinstance(source, str) and hub.is_id(source) and path.suffix.lower() not in FILES:
        return hub.download(source, notes, hub.MODEL), source
    raise MissingCheckpointError(
        f"there is no file or folder {str(source)!r}{_near(path)} Expected a .ckpt or "
        ".safetensors file, a diffusers folder, or a hub id such as 'owner/name'."
    )


def beside(path: Path, notes: list[str]) -> Overrides:
    """The overrides in the YAML of the same stem, or in a folder's `sdnb.yaml`."""
    if path.is_dir():
        inside = path / "sdnb.yaml"
        return read_config(inside) if inside.is_file() else {}
    for candidate in (path.with_suffix(".yaml"), path.with_suffix(".yml")):
        if candidate.is_file():
            notes.append(f"configuration from {candidate.name}")
            return read_config(candidate)
    return {}


def _near(path: Path) -> str:
    try:
        names = [child.name for child in path.parent.iterdir()]
    except OSError:
        return f", and no folder {str(path.parent)!r} either."
    return f" in {path.parent.resolve()}{checks.nearest(path.name, names) or '.'}"
