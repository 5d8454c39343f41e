"""Atomic writes of files, and file names that are valid on every system."""

from __future__ import annotations

import os
import re
import secrets
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sdnb.request import checks
from sdnb.request.fingerprint import sha256
from sdnb.request.picture_file import SUFFIXES

_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE
)
_FORBIDDEN = re.compile(r"[<>:\"/\\|?*\x00-\x1f\x7f]")
_NUMBERED = re.compile(r"([0-9]{5,12})-.*\.png", re.IGNORECASE)

_TEMPORARY = ".sdnb-{}.tmp"
_STALE_SECONDS = 600  # an older temporary file is left over from a killed process
_SLUG_LENGTH = 48  # characters: a name with number and seed stays below 255 bytes


def write_new(folder: Path, names: Iterable[str], data: bytes) -> Path:
    """Write a new file under the first free name, even if others write there; return its path."""
    with _temporary(folder, data) as temporary:
        return next(folder / name for name in names if _placed(temporary, folder / name))


def replace(path: Path, data: bytes) -> None:
    """Write or replace a file. A reader sees the old file or the new one, never a part."""
    with _temporary(path.parent, data) as temporary:
        temporary.replace(path)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of killed processes: old ones that no living writer holds.

    Their age is by the clock that stamps the files, which may be another machine's than ours.
    """
    if not next(folder.glob(_TEMPORARY.format("*")), None):
        return
    with suppress(OSError), _temporary(folder, b"") as new:
        now = new.stat().st_mtime
        for path in folder.glob(_TEMPORARY.format("*")):
            with suppress(OSError):
                status = path.lstat()
                old = stat.S_ISREG(status.st_mode) and now - status.st_mtime > _STALE_SECONDS
                if old and not _held(path):
                    path.unlink()


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


@contextmanager
def _temporary(folder: Path, data: bytes) -> Iterator[Path]:
    """The bytes in a new file of the folder, flushed to the disk. It is gone after the block."""
    path = folder / _TEMPORARY.format(secrets.token_hex(8))
    with ExitStack() as stack:
        stack.callback(_unlink, path)
        with path.open("xb") as file:
            _hold(file)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if os.name != "nt":  # Windows renames no open file, and removes none
                yield path
                return
        yield path


def _unlink(path: Path) -> None:
    with suppress(OSError):  # the first error is the one to raise
        path.unlink(missing_ok=True)


def _hold(file: BinaryIO) -> None:
    """Lock the file until it is closed, where the system and the file system can."""
    with suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _held(path: Path) -> bool:
    """Whether a living process holds the file."""
    try:
        import fcntl

        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, OSError):  # no locks here
        return False
    return False


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
        return _claimed_and_renamed(temporary, path)  # a file system without links, such as FAT
    return True


def _claimed_and_renamed(temporary: Path, path: Path) -> bool:
    """The same by a rename, which would replace: who has made the claim's file may do it."""
    claim = path.parent / _TEMPORARY.format(sha256(path.name.encode())[:16])
    try:
        claim.open("xb").close()
    except FileExistsError:  # another writer's; a killed one's is removed as a leftover
        return False
    try:
        if os.path.lexists(path):
            return False
        temporary.replace(path)
    finally:
        _unlink(claim)
    return True
