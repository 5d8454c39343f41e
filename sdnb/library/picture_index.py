"""What the pictures of a folder tell, so that one of thousands is found: each header is read once.

A small JSON file for each folder, in the user's cache. An entry holds as long as a picture's size
and time of change do; those of pictures that are gone go with the next writing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from sdnb.images import files, glance
from sdnb.images.glance import Glance
from sdnb.images.saved import place_of
from sdnb.library import known
from sdnb.library.known import Stamp
from sdnb.request import documents
from sdnb.request.plain_words import reason

VERSION = 2  # of what a glance tells
_MOST = 256 << 20  # bytes that are read; a picture takes 0.5 to 2 KB
_FOLDERS = 64  # whose files are kept; the oldest go
_Entry = tuple[Stamp, Glance]


class PictureIndex:
    """The glances at the pictures in a folder and below it, by their paths."""

    def __init__(self, folder: Path) -> None:
        self._inside = os.path.join(folder, "")  # noqa: PTH118 - as paths in it begin
        self._folder = Path(os.path.abspath(folder))  # noqa: PTH100 - a link stays one
        self._entries: dict[str, _Entry] | None = None

    @property
    def path(self) -> Path:
        """The file, such as ~/.cache/sdnb/pictures/0123456789abcdef.json."""
        digits = hashlib.sha256(os.fsencode(self._folder)).hexdigest()[:16]
        return known.path().parent / "pictures" / f"{digits}.json"

    def recall(self, file: Path, stamp: Stamp) -> Glance | None:
        """What is known of a picture; None where it is new or has changed."""
        if self._entries is None:
            self._entries = _read(self.path)
        entry = self._entries.get(self._name(file))
        return entry[1] if entry is not None and entry[0] == stamp else None

    def read(self, file: Path, stamp: Stamp) -> Glance:
        """Read a picture's header, where it is new or has changed. Raises nothing."""
        seen = self.recall(file, stamp)
        if seen is None:
            seen = glance.of_file(file)
            if self._entries is not None:
                self._entries[self._name(file)] = stamp, seen
        return seen

    def remember(self, there: Sequence[Path]) -> str:
        """Write down what is known of these pictures, and of no others. Returns "", or why that was
        not possible.
        """
        entries, path = self._entries or {}, self.path
        names = [name for name in map(self._name, there) if name in entries]
        written = {name: [*entries[name][0], *astuple(entries[name][1])] for name in names}
        text = json.dumps({"version": VERSION, "pictures": written}, separators=(",", ":"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.replace(path, text.encode("utf-8", "replace"))
            by_age = sorted(path.parent.glob("*.json"), key=lambda each: each.stat().st_mtime_ns)
            for old in by_age[:-_FOLDERS]:
                old.unlink(missing_ok=True)
        except OSError as error:
            return f"what was read could not be kept in {path}: {reason(error)}"
        return ""

    def _name(self, file: Path) -> str:
        path = os.fspath(file)
        if path.startswith(self._inside):
            return path[len(self._inside) :]
        return os.path.relpath(path, self._folder)


def _read(path: Path) -> dict[str, _Entry]:
    """The entries in a file; none where it is not there, damaged or of another version."""
    try:
        kept = documents.from_json(documents.file_text(path, _MOST))
        if kept["version"] != VERSION:
            return {}
        return dict(_entries(kept["pictures"]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def _entries(kept: Mapping[str, Any]) -> list[tuple[str, _Entry]]:
    found = []
    for name, (size, changed, prompt, model, seed, text, place, problem) in kept.items():
        texts = str(text), place_of(place), str(problem)
        seen = Glance(str(prompt), str(model), seed if type(seed) is int else None, *texts)
        found.append((name, ((int(size), int(changed)), seen)))
    return found
