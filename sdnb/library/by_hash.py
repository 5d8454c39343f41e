"""Finds a file by its hash, or by how that begins: by hashes that are known, or computed now."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tqdm.auto import tqdm

from sdnb.library import hashes, known
from sdnb.library.library_file import LibraryFile

WHOLE = 64  # letters of a whole sha256
_PATIENCE = 1.0  # seconds until a bar of progress is shown


def found(
    files: Sequence[LibraryFile], start: str, names: Sequence[str], *, compute: bool
) -> LibraryFile | None:
    """The file one of whose hashes of these `names` begins with `start`, or None. Only hashes that
    were computed before are compared, also where the file had another name then; `compute` computes
    those of all other files, which reads them whole.
    """
    entries = known.recall()
    for file in files:
        kept = _kept(entries, file, names)
        if any(digest.startswith(start) for digest in kept):
            return file
    for file in _of_stamps(files, known.stamps(entries, start, names)):  # renamed since
        if any(computed(file, name).startswith(start) for name in names):
            return file
    if compute:
        bar = tqdm(files, unit="file", desc="hashes", delay=_PATIENCE, leave=False)
        matching = (f for f in bar if any(computed(f, n).startswith(start) for n in names))
        return next(matching, None)
    return None


def found_by_old(files: Sequence[LibraryFile], old: str) -> LibraryFile | None:
    """The file whose old hash, of eight letters, this is; a small part of each file is read."""
    return next((file for file in files if _old_hash(file.path) == old), None)


def has(file: LibraryFile, start: str) -> bool:
    """Whether a hash of this file begins so; it is computed where it is not known."""
    start = start.lower().removeprefix("0x")
    names = ["sha256", "weights_sha256"]
    if file.kind == "lora" and len(start) < WHOLE:  # AUTOMATIC1111's, which metadata may have
        names.reverse()
    return any(computed(file, name).startswith(start) for name in names)


def computed(file: LibraryFile, name: str) -> str:
    """The hash of this name; "" of a file that cannot be read."""
    try:
        return str(getattr(file, name))
    except OSError:  # it went, or cannot be read: then it is not the one
        return ""


def _of_stamps(
    files: Sequence[LibraryFile], stamps: Collection[known.Stamp]
) -> Iterator[LibraryFile]:
    """The files of these sizes and times: a file that is moved keeps both."""
    for file in files if stamps else ():
        with suppress(OSError):
            if known.stamp(file.path) in stamps:
                yield file


def _kept(entries: known.Entries, file: LibraryFile, names: Sequence[str]) -> list[str]:
    try:
        kept = known.current(entries, file.path, known.stamp(file.path))
    except OSError:
        return []
    own = [file.hash_in_metadata] if "weights_sha256" in names else []
    return [*own, *(str(kept[name]) for name in names if name in kept)]


def _old_hash(path: Path) -> str:
    try:
        return hashes.old_hash(path)
    except OSError:
        return ""
