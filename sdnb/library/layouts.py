"""Where tools keep their files: AUTOMATIC1111 and Forge, ComfyUI, InvokeAI, or any folder.

A *shelf* is a folder from which a tool counts names: a file in `models/Lora/styles/` is called
"styles/pixel" there. What lies on a shelf is told by its tensors, so that no shelf says what a file
is, unless its tensors cannot be read.

Sources: the web UI 1.10 (`modules/paths.py`, `extensions-builtin/Lora`) and its extension
sd-webui-controlnet; Forge (`modules_forge/shared.py`), whose control networks lie in
`models/ControlNet`; SD.Next (`modules/paths.py`), which has embeddings in `models` too; ComfyUI
(`folder_paths.py`, `utils/extra_config.py`); InvokeAI 3 to 6.7 (`models/<base>/<type>/`) and from
6.8 on (`models/<key>/`, its migration 22).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sdnb.headers.picture_embedding import SUFFIXES
from sdnb.library.looking import UNFINISHED
from sdnb.request import documents
from sdnb.request.plain_words import reason

WEIGHTS = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf")
# Folders in the `models` of one of these tools, in lower case.
_SHELVES = {
    "stable-diffusion", "lora", "lycoris", "vae", "vae-approx", "controlnet", "hypernetworks",
    "esrgan", "checkpoints", "loras", "embeddings", "unet", "diffusion_models", "clip",
    "text_encoders", "vae_approx", "style_models", "upscale_models", "diffusers",
}  # fmt: skip
_OF_LORAS = {"lora", "loras", "lycoris"}
_INVOKE = {"sd-1", "sd-2", "sdxl", "sdxl-refiner", "sd-3", "flux", "any", "core"}
_INVOKES_KEY = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # of one model
# Folders beside `models`, of AUTOMATIC1111, and of the extension for control networks, which old
# SD.Next had built in.
_BESIDE = ("embeddings", "extensions/sd-webui-controlnet/models",
           "extensions-builtin/sd-webui-controlnet/models")  # fmt: skip
_COMFYS_YAML = ("extra_model_paths.yaml", "extra_model_paths.yml")
_NO_FOLDERS = {"base_path", "is_default", "custom_nodes", "configs"}  # keys of that file
_SKIPPED = {"venv", "node_modules", "__pycache__", "site-packages"}
_DEPTH = 24  # folders in folders
_MOST_FOLDERS = 20_000  # of a library; a home has more, and a disk


@dataclass(frozen=True)
class Found:
    """A file or folder on a shelf. `why_not` says why it cannot even be looked into."""

    path: Path
    shelf: Path
    why_not: str = ""


def kind_on(shelf: Path) -> str:
    """What a file on a shelf is meant to be, where nothing in it can be read."""
    return "lora" if shelf.name.lower() in _OF_LORAS else "other"


def walk(folder: Path) -> Iterator[Found]:
    """Every file that may hold weights in a tool's folder or any other, each once, and every folder
    that cannot be read.
    """
    seen: set[tuple[int, int]] = set()
    for shelf, depth in _shelves(folder):
        yield from _on_shelf(shelf, shelf, seen, depth)
    for name in _COMFYS_YAML:
        if (folder / name).is_file():
            yield from _from_yaml(folder / name, seen)
    if len(seen) >= _MOST_FOLDERS:
        yield Found(
            folder, folder,
            f"it has more than {_MOST_FOLDERS:,} folders, of which the first were looked at; give "
            "the folder of a tool, or of models",
        )  # fmt: skip


def _shelves(folder: Path) -> Iterator[tuple[Path, int]]:
    """The shelves of a folder, each with how deep the folders in it belong to it."""
    models = next((f for f in (folder / "models", folder) if _is_models(f)), None)
    if models is None:
        yield folder, _DEPTH
        return
    for child in _folders(models):
        for shelf in _folders(child) if child.name in _INVOKE else (child,):
            yield shelf, _DEPTH
    yield models, 0  # InvokeAI and users put single files there
    if models != folder:
        yield from ((folder / name, _DEPTH) for name in _BESIDE if (folder / name).is_dir())


def _is_models(folder: Path) -> bool:
    return any(
        f.name.lower() in _SHELVES or f.name in _INVOKE or _INVOKES_KEY.fullmatch(f.name)
        for f in _folders(folder)
    )


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if child.is_dir())
    except OSError:
        return []


def _from_yaml(path: Path, seen: set[tuple[int, int]]) -> Iterator[Found]:
    """What lies in the folders that ComfyUI's `extra_model_paths.yaml` names."""
    try:
        tools = documents.from_yaml(documents.file_text(path, documents.YAML_LIMIT))
    except (OSError, ValueError) as error:
        yield Found(path, path.parent, f"its folders are not known: {reason(error)}")
        return
    for tool in tools.values() if isinstance(tools, dict) else ():
        for shelf in _named(tool, path.parent) if isinstance(tool, dict) else ():
            yield from _on_shelf(shelf, shelf, seen, _DEPTH)


def _named(tool: dict[str, object], here: Path) -> Iterator[Path]:
    """The folders of one tool: a key holds one a line, relative to `base_path`."""
    base = here / _path(tool.get("base_path", ""))
    for key, value in tool.items():
        for line in str(value).splitlines() if key not in _NO_FOLDERS else ():
            if line.strip():
                yield base / _path(line)


def _path(value: object) -> Path:
    return Path(os.path.expandvars(os.path.expanduser(str(value).strip())))  # noqa: PTH111


def _on_shelf(folder: Path, shelf: Path, seen: set[tuple[int, int]], depth: int) -> Iterator[Found]:
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen or len(seen) >= _MOST_FOLDERS:
            return  # two tools share it, links go in a circle, or it is a whole disk
        if depth:
            seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        is_model = any(e.name == "model_index.json" for e in entries) or _is_pipeline(entries)
    except (OSError, ValueError) as error:
        yield Found(folder, shelf, f"this folder cannot be read: {reason(error)}")
        return
    if is_model:
        yield Found(folder, shelf)
        return
    for entry in entries:
        path = Path(entry.path)
        if _is_folder(entry):
            if depth and not entry.name.startswith(".") and entry.name not in _SKIPPED:
                yield from _on_shelf(path, shelf, seen, depth - 1)
        elif path.suffix.lower() in (*WEIGHTS, *UNFINISHED, *SUFFIXES):
            yield Found(path, shelf)


def _is_pipeline(entries: list[os.DirEntry[str]]) -> bool:
    """Whether these are a diffusers folder's parts, without its index."""
    return {"unet", "vae", "text_encoder"} <= {e.name for e in entries if _is_folder(e)}


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
