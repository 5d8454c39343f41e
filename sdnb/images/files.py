"""Atomic writes of files, and file names that are valid on every system."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from sdnb.request import checks
from sdnb.request.picture_file import SUFFIXES

_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE
)
_FORBIDDEN = re.compile(r"[<>:\"/\\|?*\x00-\x1f\x7f]")
_NUMBERED = re.compile(r"([0-9]{5,12})-.*\.png", re.IGNORECASE)

_SLUG_LENGTH = 48  # characters: a name with number and seed stays below 255 bytes


def write_new(folder: Path, names: Iterable[str], data: bytes) -> Path:
    """Write a new file under the first free name, even if others write there; return its path."""
    temporary = _temporary(folder, data)
    try:
        return next(folder / name for name in names if _placed(temporary, folder / name))
    finally:
        temporary.unlink(missing_ok=True)


def replace(path: Path, data: bytes) -> None:
    """Write or replace a file. A reader sees the old file or the new one, never a part."""
    temporary = _temporary(path.parent, data)
    try:
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def next_number(folder: Path) -> int:
    """One more than the largest number in names of PNGs like 00007-words.png."""
    with os.scandir(folder) as entries:
        numbered = [match for entry in entries if (match := _NUMBERED.fullmatch(entry.name))]
    return 1 + max((int(match[1]) for match in numbered), default=0)


def slug(text: str) -> str:
    """The words of a text, joined by hyphens to a file name of at most 48 characters."""
    text = unicodedata.normalize("NFC", text[: 4 * _SLUG_LENGTH]).lower()
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return "-".join("".join(kept).split())[:_SLUG_LENGTH].strip("-")


def checked_stem(name: str) -> str:
    """The name without .png. Raises ValueError if it is no file name on some system."""
    plain = checks.text("name", name)
    stem = plain[:-4] if plain.lower().endswith(".png") else plain
    forbidden = _FORBIDDEN.search(stem)
    if forbidden:
        reason = f"it holds {forbidden[0]!r} (a folder is a parameter of its own)"
    elif not stem or stem.strip(" .") != stem:
        reason = "it is empty, or has a space or a point at an end"
    elif _RESERVED.fullmatch(stem):
        reason = "Windows reserves it"
    elif len(stem.encode("utf-8")) > 200:
        reason = "it is longer than 200 bytes"
    elif stem.lower().endswith(SUFFIXES[1:]):
        reason = "only a PNG carries the request (leave the suffix out)"
        stem = stem.rpartition(".")[0]
    else:
        return stem
    better = slug(stem)
    if not better or _RESERVED.fullmatch(better):
        better = "picture"
    raise ValueError(
        f"name={checks.shown(name)} is not a file name everywhere: {reason}; {better!r} is one"
    )


def _temporary(folder: Path, data: bytes) -> Path:
    """Write the bytes to a new file of the folder and flush them to the disk."""
    path = folder / f".sdnb-{secrets.token_hex(8)}.tmp"
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to raise
            path.unlink(missing_ok=True)
        raise
    return path


def _placed(temporary: Path, path: Path) -> bool:
    """Give the file its name, unless that is taken. The step is atomic: one writer wins."""
    try:
        if os.name == "nt":
            temporary.rename(path)  # refuses an existing name there
        else:
            os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:
        return _reserved_and_filled(temporary, path)  # a file system without links, such as FAT
    return True


def _reserved_and_filled(temporary: Path, path: Path) -> bool:
    try:
        path.open("xb").close()
    except FileExistsError:
        return False
    try:
        temporary.replace(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return True
