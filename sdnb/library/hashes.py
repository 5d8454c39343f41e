"""The hashes by which pictures name the files that made them, each computed once and kept.

AUTOMATIC1111 writes the first 10 letters of a checkpoint's sha256, the first 12 of an embedding's,
and for a LoRA the first 12 of the sha256 of the bytes behind its header. A control network has the
first 8 of the sha256 of 64 KB in it, and so had a checkpoint before 2023.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from sdnb.headers.safefiles import read_safetensors
from sdnb.library import known, metadata

_SAFE = (".safetensors", ".sft")
_PIECE = 1 << 20  # bytes read at once
_here: dict[tuple[Path, known.Stamp, str], str] = {}  # computed or recalled by this process
_OLD_PLACE, _OLD_LENGTH = 0x100000, 0x10000


def sha256(path: Path) -> str:
    """The sha256 of a whole file, in hex. Raises OSError for one that cannot be read."""
    return _kept(path, "sha256", 0)


def known_sha256(path: Path) -> str:
    """The sha256 of a whole file where it was computed before, else ""."""
    try:
        now = known.stamp(path)
        kept = known.current(known.recall(), path, now).get("sha256", "")
    except OSError:
        return ""
    return kept if isinstance(kept, str) and len(kept) == 64 else ""


def weights_sha256(path: Path) -> str:
    """The sha256 of the bytes behind a safetensors header, which stays when its metadata are
    edited; of any other file the sha256 of all. Raises OSError for one that cannot be read.
    """
    if path.suffix.lower() not in _SAFE:
        return sha256(path)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    return _kept(path, "weights_sha256", 8 + length)


def of_lora(path: Path) -> str:
    """The 12 letters that AUTOMATIC1111 writes for a LoRA: of the hash in its metadata, else of
    `weights_sha256`. Raises OSError, and CheckpointError for a damaged file.
    """
    return _of_lora(path, known.stamp(path))


@lru_cache(maxsize=256)
def _of_lora(path: Path, _now: known.Stamp) -> str:
    texts = read_safetensors(path)[1] if path.suffix.lower() in _SAFE else {}
    return (metadata.hash_of_weights(texts) or weights_sha256(path))[:12]


def old_hash(path: Path) -> str:
    """The 8 letters that AUTOMATIC1111 writes for a control network, and wrote for a checkpoint
    before 2023.
    """
    with path.open("rb") as file:
        file.seek(_OLD_PLACE)
        return hashlib.sha256(file.read(_OLD_LENGTH)).hexdigest()[:8]


def _kept(path: Path, name: str, start: int) -> str:
    now = known.stamp(path)
    if (path, now, name) not in _here:
        kept = known.current(known.recall(), path, now).get(name)
        if not (isinstance(kept, str) and len(kept) == 64):
            kept = _computed(path, now, name, start)
        _here[path, now, name] = kept
    return _here[path, now, name]


def _computed(path: Path, now: known.Stamp, name: str, start: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(start)
        for piece in iter(lambda: file.read(_PIECE), b""):
            digest.update(piece)
    known.remember({str(path): {"stamp": now, name: digest.hexdigest()}})
    return digest.hexdigest()
