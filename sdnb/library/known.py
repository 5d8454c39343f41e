"""What was seen of files before: one small JSON file in the user's cache.

An entry holds as long as a file's size and time of change do. The file is replaced as a whole, so
that several processes do it no harm: what one writes and another overwrites is only read again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs

from sdnb.images import files
from sdnb.library import recognition
from sdnb.request import documents
from sdnb.request.plain_words import reason

_MOST = 64 << 20  # bytes that are read; a file of weights takes 0.5 KB
_ENTRIES = 50_000  # kept; the oldest go
_lock = threading.Lock()

Stamp = tuple[int, int]  # size in bytes, time of change in nanoseconds
Entries = Mapping[str, dict[str, Any]]  # a path -> {"stamp", "seen", "sha256", "weights_sha256"}
_last: tuple[object, Entries] = (None, {})  # the file as it was read last, and what was in it


def path() -> Path:
    """The file, such as ~/.cache/sdnb/library.json."""
    return platformdirs.user_cache_path("sdnb", appauthor=False) / "library.json"


def stamp(file: Path) -> Stamp:
    """By what a change of a file is noticed. Raises OSError where it is not there."""
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def recall() -> Entries:
    """Every entry; none where the file is not there, damaged or of another version. It is read when
    it has changed: every picture asks for it, and of thousands of files it has megabytes.
    """
    global _last  # noqa: PLW0603 - two threads at once read it twice, which does no harm
    try:
        status = path().stat()
        version = path(), status.st_ino, status.st_size, status.st_mtime_ns
        last = _last
        if last[0] != version:
            last = version, _entries(documents.from_json(documents.file_text(path(), _MOST)))
            _last = last
        return last[1]
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _entries(kept: dict[str, Any]) -> Entries:
    if kept["version"] != recognition.VERSION or not isinstance(kept["files"], dict):
        return {}
    return {k: v for k, v in kept["files"].items() if isinstance(v, dict)}


def current(entries: Entries, file: Path, now: Stamp) -> dict[str, Any]:
    """A file's entry, empty where there is none or the file has changed since."""
    entry = entries.get(str(file), {})
    return entry if entry.get("stamp") == list(now) else {}


def stamps(entries: Entries, start: str, names: Sequence[str]) -> set[Stamp]:
    """The stamps of all entries with a hash, of one of the names, that begins so."""
    found = [
        entry.get("stamp")
        for entry in entries.values()
        if any(str(entry.get(name, "")).startswith(start) for name in names)
    ]
    with suppress(TypeError, ValueError):  # of a damaged cache
        return {(int(size), int(changed)) for size, changed in found}  # type: ignore[misc]
    return set()


def remember(news: Mapping[str, Mapping[str, Any]]) -> str:
    """Add to the entries. Returns "", or why that was not possible."""
    if not news:
        return ""
    with _lock:
        kept = dict(recall())
        for name, entry in news.items():
            old = kept.pop(name, {})  # so that it stands at the end
            same = old.get("stamp") == list(entry["stamp"])
            kept[name] = {**(old if same else {}), **entry}
        last = dict(list(kept.items())[-_ENTRIES:])
        text = json.dumps({"version": recognition.VERSION, "files": last}, separators=(",", ":"))
        try:
            path().parent.mkdir(parents=True, exist_ok=True)
            files.replace(path(), text.encode())
        except OSError as error:
            return f"what was read could not be kept in {path()}: {reason(error)}"
    return ""
