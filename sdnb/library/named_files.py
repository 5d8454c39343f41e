"""The LoRAs, embeddings and control networks that a request names, with the digests of the files
that are here.

By these a store and a worker notice another file of the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from sdnb.assets import user_path
from sdnb.images.used_files import LONGEST_NAME, UsedFile
from sdnb.library import hashes
from sdnb.library.library import Library
from sdnb.request import Request, checks, lora
from sdnb.request.plain_words import plain


def named(request: Request, library: Library | None) -> tuple[UsedFile, ...]:
    """The LoRAs of a request and of its tags, the embeddings whose names stand in its prompts, and
    its control networks, each with the sha256 of the file that this library, or the path, has for
    it. One that is not here is left out.
    """
    with suppress(ValueError):  # a tag that cannot be done, which a run says
        given = [
            *(("lora", e.name, e.sha256) for e in lora.of_request(request.prompt, request.loras)),
            *(("control", each.net, each.sha256) for each in request.controls),
        ]
        found = [UsedFile(k, name, _digest(k, name, own, library)) for k, name, own in given]
        text = f"{request.prompt}\n{request.negative}".lower()
        return (*(file for file in found if file.hash), *_embeddings(text, library))
    return ()


def others(
    there: Sequence[UsedFile], request: Request, library: Library | None, *, missing: bool = False
) -> list[str]:
    """In words, the LoRAs, embeddings and control networks of `there` that are other files here, as
    far as `request` names them; with `missing`, also those that are not here.
    """
    digests = {_key(file): file.hash for file in named(request, library)}
    words = []
    for file in there:
        if file.kind not in ("lora", "embedding", "control") or not file.hash:
            continue
        digest = digests.get(_key(file), "")
        if digest == file.hash or not (digest or missing):
            continue
        found = f"{digest[:12] or 'none'} found"
        name = f"the {file.kind} {checks.shown(file.name)}"
        words.append(f"{name} (sha256 {file.hash[:12]} expected, {found})")
    return words


def lacking(there: Sequence[UsedFile], request: Request, library: Library | None) -> list[str]:
    """`others` with those that are not here, after a second look: they may have come lately."""
    words = others(there, request, library, missing=True)
    if words and library is not None:
        library.refresh()
        return others(there, request, library, missing=True)
    return words


def _key(file: UsedFile) -> tuple[str, str]:
    """Kind and name, which is shortened where it was written down."""
    return file.kind, plain(file.name.strip(), LONGEST_NAME)


def _digest(kind: str, name: str, own: str | None, library: Library | None) -> str:
    if own is not None:
        return own
    with suppress(OSError, LookupError, ValueError):
        path = user_path(name)
        if path.suffix and path.is_file():
            return hashes.sha256(path)
        return "" if library is None else library.find(kind, name).sha256
    return ""


def _embeddings(text: str, library: Library | None) -> Iterator[UsedFile]:
    """Those whose name is a word, or several, of the text, which has small letters."""
    for file in library.files("embedding") if library else ():
        if any(stands_in(name.lower(), text) for name in file.words_for_it):
            with suppress(OSError):
                yield UsedFile("embedding", file.name, file.sha256)


def stands_in(name: str, text: str) -> bool:
    """Whether a name stands in a text as a word, or as several; both have small letters."""
    return name in text and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None
