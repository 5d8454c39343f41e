"""The files that a picture of AUTOMATIC1111 names: checkpoint, VAE, LoRAs, embeddings; by hash.

Model hash: 6ce0161689, Model: v1-5, Lora hashes: "pixelart: 0123456789ab, fog: ba9876543210",
TI hashes: "easynegative: c74b4e810b03", Hashes: {"lora:pixelart": "0123456789"}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sdnb.request import documents
from sdnb.request.plain_words import plain

_MOST = 200  # files of one picture
_LONGEST = 200  # letters of a name
_LISTS = {"Lora hashes": "lora", "TI hashes": "embedding"}
# What stands before the names in "Hashes", which Civitai reads.
_CIVITAI = {"lora": "lora", "lyco": "lora", "embed": "embedding", "model": "checkpoint",
            "vae": "vae"}  # fmt: skip


@dataclass(frozen=True)
class UsedFile:
    """A file that a picture was made with. `Library.recover(kind, name, hash)` looks for it."""

    kind: str  # "checkpoint", "vae", "lora", "embedding"
    name: str
    hash: str = ""  # the beginning of a sha256, in small letters; "" where it is not told


def of_infotext(values: Mapping[str, str]) -> tuple[UsedFile, ...]:
    """The files in the values of an infotext, each once."""
    found: dict[tuple[str, str], UsedFile] = {}
    for file in (*_named(values), *_listed(values), *_civitais(values)):
        if file.name and len(found) < _MOST:
            found.setdefault((file.kind, file.name), file)
    return tuple(found.values())


def _named(values: Mapping[str, str]) -> Iterator[UsedFile]:
    for key, kind in (("Model", "checkpoint"), ("VAE", "vae")):
        if key in values:
            yield _file(kind, values[key], values.get(f"{key} hash", ""))


def _listed(values: Mapping[str, str]) -> Iterator[UsedFile]:
    for key, kind in _LISTS.items():
        for item in values.get(key, "").split(","):
            name, _, digest = item.rpartition(":")
            yield _file(kind, name or digest, digest if name else "")


def _civitais(values: Mapping[str, str]) -> Iterator[UsedFile]:
    try:
        hashes = documents.from_json(values.get("Hashes", "{}"))
    except ValueError:
        return
    for key, digest in hashes.items() if isinstance(hashes, dict) else ():
        kind, _, name = key.partition(":")
        if kind.lower() in _CIVITAI and isinstance(digest, str):
            yield _file(_CIVITAI[kind.lower()], name, digest)


def _file(kind: str, name: str, digest: str) -> UsedFile:
    digest = digest.strip().lower()
    is_hash = 6 <= len(digest) <= 64 and not set(digest) - set("0123456789abcdef")
    return UsedFile(kind, plain(name.strip(), _LONGEST), digest if is_hash else "")
