"""Lists of words in the folders of other tools: `animals.txt` is what `__animals__` means.

A text file has a line each; empty ones and those that begin with "#" are left out. A YAML or JSON
file has lists in mappings, and their keys are the names: those of its file do not count.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from sdnb.library import known
from sdnb.request import documents
from sdnb.request.plain_words import reason
from sdnb.request.prompt.wildcards import Wildcards

# In the folder of a tool: AUTOMATIC1111's extensions (sd-dynamic-prompts, its own for wildcards)
# and its old script; ComfyUI's nodes (Impact Pack, comfyui-dynamicprompts); or beside its models.
_PLACES = (
    "wildcards", "scripts/wildcards", "models/wildcards", "extensions/*/wildcards",
    "custom_nodes/*/wildcards", "custom_nodes/*/custom_wildcards",
)  # fmt: skip
_OWN_NAMES = ("wildcards", "custom_wildcards")
_TREES = (".yaml", ".yml", ".json")
_MOST_BYTES = 16 << 20  # of a text file; a list of ten thousand lines has 0.2 MB
_MOST_FILES = 20_000
_DEPTH = 24  # folders in folders


def found_in(folders: Sequence[Path]) -> Wildcards:
    """The lists of all folders; those of one name together. The folders are looked at when a list
    is asked for, and no text file is read before.
    """
    return Wildcards(_Lists(folders))


class _List:
    """One list: a text file, or a part of a YAML or JSON file; or why that cannot be read."""

    def __init__(self, path: Path, lines: tuple[str, ...] | None = None, why: str = "") -> None:
        self.path, self._lines, self._why = path, lines, why

    def lines(self) -> tuple[str, ...]:
        """Raises ValueError for a file that cannot be read."""
        if self._why:
            raise ValueError(f"the lists in {self.path} cannot be read: {self._why}")
        if self._lines is not None:
            return self._lines
        try:
            return _of_text(self.path, known.stamp(self.path))
        except (OSError, ValueError) as error:
            raise ValueError(f"the list {self.path} cannot be read: {reason(error)}") from None


class _Lists(Mapping[str, tuple[str, ...]]):
    """Lists by their names, read when they are asked for."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    @cached_property
    def _files(self) -> dict[str, list[_List]]:
        files: dict[str, list[_List]] = {}
        for folder in self._folders:
            for place in _places(folder):
                for name, source in _lists(place):
                    files.setdefault(name, []).append(source)
        return files

    def __getitem__(self, name: str) -> tuple[str, ...]:
        return tuple(line for each in self._files[name] for line in each.lines())

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _places(folder: Path) -> list[Path]:
    own = [folder] if folder.name.lower() in _OWN_NAMES else []
    there = (path for place in _PLACES for path in sorted(folder.glob(place)) if path.is_dir())
    return list(dict.fromkeys([*own, *there]))


def _lists(place: Path) -> Iterator[tuple[str, _List]]:
    seen: set[tuple[int, int]] = set()
    for path in _walked(place, seen, _DEPTH):
        name = path.relative_to(place).with_suffix("").as_posix()
        if path.suffix.lower() == ".txt":
            yield name, _List(path)
        else:
            folder = name.rpartition("/")[0]
            yield from _of_tree(path, f"{folder}/" if folder else "", name)


def _walked(folder: Path, seen: set[tuple[int, int]], depth: int) -> Iterator[Path]:
    """The files of lists in a folder and those in it; links to folders are followed, once each."""
    try:
        status = folder.stat()
        if not depth or (status.st_dev, status.st_ino) in seen or len(seen) > _MOST_FILES:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir():
                yield from _walked(path, seen, depth - 1)
            elif path.suffix.lower() in (".txt", *_TREES):
                yield path
    except OSError:  # a folder that cannot be read has no lists
        return


def _of_tree(path: Path, before: str, name: str) -> Iterator[tuple[str, _List]]:
    try:
        lists = _tree(path, known.stamp(path))
    except (OSError, ValueError) as error:
        yield name, _List(path, why=reason(error))
        return
    for own, lines in lists.items():
        yield before + own, _List(path, lines)


@lru_cache(maxsize=1024)
def _of_text(path: Path, _stamp: known.Stamp) -> tuple[str, ...]:
    text = documents.any_text(path, _MOST_BYTES)
    lines = (line.strip() for line in text.replace("\r", "\n").split("\n"))
    return tuple(line for line in lines if line and not line.startswith("#"))


@lru_cache(maxsize=256)
def _tree(path: Path, _stamp: known.Stamp) -> dict[str, tuple[str, ...]]:
    """The lists of a YAML or JSON file by their keys, with slashes between."""
    json = path.suffix.lower() == ".json"
    text = documents.file_text(path, _MOST_BYTES if json else documents.YAML_LIMIT)
    values = documents.from_json(text) if json else documents.from_yaml(text)
    found: dict[str, tuple[str, ...]] = {}
    left: list[tuple[str, Any]] = [("", values)]
    while left:
        name, value = left.pop()
        if isinstance(value, dict):
            left += [(f"{name}/{key}" if name else str(key), each) for key, each in value.items()]
        elif isinstance(value, list) and name:
            texts = (str(v).strip() for v in value if isinstance(v, (str, int, float)))
            found[name] = tuple(filter(None, texts))
    return found
