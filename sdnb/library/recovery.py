"""The files that a saved picture names, in a library: its request with their names there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

from sdnb.assets import user_path
from sdnb.images.used_files import UsedFile, tag_name
from sdnb.library.library import Library
from sdnb.library.library_file import LibraryFile
from sdnb.library.named_files import named
from sdnb.request import Request, checks, lora
from sdnb.request.control import Control
from sdnb.request.lora import Lora
from sdnb.request.plain_words import plain

_WORDS = {"lora": "LoRA", "embedding": "embedding", "control": "net"}


class Recoverable(Protocol):
    """What a picture tells: a `Saved`, or a `Result`."""

    @property
    def request(self) -> Request: ...
    @property
    def files(self) -> Sequence[UsedFile]: ...


def with_files(
    saved: Recoverable,
    library: Library | None,
    *,
    hash_missing: bool = False,
) -> tuple[Request, list[str]]:
    """The request of a picture with the names that its LoRAs, embeddings and control networks have
    in `library`, and notes.

    Each file is found by its hash, then by its name. The fields `loras` and `controls` get its name
    there and its sha256. A tag stays a tag, and an embedding a word of the prompt; where the file
    has another name there, that name is written into the prompt. The notes say which have another
    name, which are another file of the same name, and which are missing: those stay in the request
    as they were, so that a run refuses the LoRAs and controls. Where no user gave a library, one
    note names all that are missing. `hash_missing` is that of `Library.by_sha256`.
    """
    request = saved.request
    tags = _tags(request.prompt)
    if library is None:
        return request, _nowhere(_named(saved, tags))
    search = _Search(library, saved.files, hash_missing)
    loras = tuple(search.lora(each) for each in request.loras)
    controls = tuple(search.control(each) for each in request.controls)
    names = {tag.name: search.name(tag) for tag in tags}
    prompt = lora.renamed(request.prompt, lambda name: names.get(name, name))
    negative = request.negative
    for file in saved.files:
        if file.kind == "embedding":
            found = search.found("embedding", file.name, file.hash)
            if found is not None and not found.called(file.name):
                here = library.name_of(found)
                prompt, negative = (_reworded(t, file.name, here) for t in (prompt, negative))
    left_out = _without_strength(saved.files, (*request.loras, *tags))
    notes = [*search.notes, *_nowhere(search.nowhere), *left_out]
    request = request.but(
        prompt=prompt, negative=negative, loras=loras, controls=controls, digests=()
    )
    if saved.request.digests:  # those of the files here: which are other ones is said
        request = request.but(digests=_digests_here(request, library))
    return request, list(dict.fromkeys(notes))


def _digests_here(request: Request, library: Library) -> dict[str, str]:
    tags = {tag.name for tag in _tags(request.prompt)}
    return {
        f"{file.kind}:{file.name}": file.hash
        for file in named(request, library)
        if file.kind == "embedding" or file.name in tags
    }


@dataclass
class _Search:
    """Looks for files in a library, and notes what is not as it was."""

    library: Library
    files: Sequence[UsedFile]
    hash_missing: bool
    notes: list[str] = field(default_factory=list)
    nowhere: list[str] = field(default_factory=list)  # missing where a user's library may have them

    def lora(self, given: Lora) -> Lora:
        """The LoRA by its name and digest here; as it was where it is missing, or a path."""
        file = self._file(given)
        if file is None:
            return given
        return replace(given, name=self._name(given, file), sha256=_sha256(file))

    def control(self, given: Control) -> Control:
        """The control with its net's name and digest here; as it was where that is missing, or a
        path.
        """
        file = None
        if not _is_path(given.net):
            file = self.found("control", given.net, given.sha256 or "")
        if file is None:
            return given
        net = given.net if file.called(given.net) else self.library.name_of(file)
        return replace(given, net=net, sha256=_sha256(file))

    def name(self, tag: Lora) -> str:
        """The name for a tag."""
        file = self._file(tag)
        return tag.name if file is None else self._name(tag, file)

    def _file(self, given: Lora) -> LibraryFile | None:
        if _is_path(given.name):
            return None
        return self.found("lora", given.name, given.sha256 or _digest(self.files, given))

    def _name(self, given: Lora, file: LibraryFile) -> str:
        """Its name as it was, where that means this file, else the one that it has here."""
        with suppress(LookupError):
            if self.library.find("lora", given.name) == file:
                return given.name
        return self.library.name_of(file)

    def found(self, kind: str, name: str, digest: str) -> LibraryFile | None:
        """The file, with a note where it is another, has another name, or is missing."""
        recover = self.library.recover
        file, said = recover(kind, name, digest, hash_missing=self.hash_missing)
        if file is None and lora.stem(name) not in ("", name):  # other folders than here
            file, again = recover(kind, lora.stem(name), digest)
            said = said if file is None else again
        if file is None and self.library.given is None:
            self.nowhere.append(_thing(kind, name))
        elif said:
            self.notes.append(f"{said[0].upper()}{said[1:]}")
        elif file is not None and not file.called(name) and not file.called(lora.stem(name)):
            self.notes.append(
                f"The {kind} {checks.shown(name)} is {checks.shown(file.full_name)} in this "
                "library: its hash says so."
            )
        return file


def _sha256(file: LibraryFile) -> str | None:
    with suppress(OSError):
        return file.sha256 or None
    return None


def _tags(prompt: str) -> list[Lora]:
    """The LoRAs of a prompt's tags; none where one of them is an error, which a run says."""
    with suppress(ValueError):
        return lora.split_tags(prompt)[1]
    return []


def _is_path(name: str) -> bool:
    with suppress(OSError, ValueError):
        path = user_path(name)
        return bool(path.suffix) and path.is_file()
    return False


def _digest(files: Sequence[UsedFile], given: Lora) -> str:
    return next(
        (f.hash for f in files if f.kind == "lora" and tag_name(f.name) == tag_name(given.name)), ""
    )


def _reworded(prompt: str, word: str, new: str) -> str:
    return re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", lambda _: new, prompt, flags=re.IGNORECASE)


def _without_strength(files: Sequence[UsedFile], named: Sequence[Lora]) -> Iterator[str]:
    known = {tag_name(each.name) for each in named}
    for file in files:
        if file.kind == "lora" and tag_name(file.name) not in known:
            yield (
                f"It was made with the LoRA {checks.shown(file.name)}, too, which is left out: "
                "neither its settings nor its prompt say how strongly it worked."
            )


def _named(saved: Recoverable, tags: Sequence[Lora]) -> list[str]:
    """The files that a library would be asked for."""
    loras = (each.name for each in (*saved.request.loras, *tags))
    embeddings = (file.name for file in saved.files if file.kind == "embedding")
    nets = (each.net for each in saved.request.controls)
    return [
        *(_thing("lora", name) for name in loras if not _is_path(name)),
        *(_thing("embedding", name) for name in embeddings),
        *(_thing("control", name) for name in nets if not _is_path(name)),
    ]


def _thing(kind: str, name: str) -> str:
    return f"the {_WORDS[kind]} {name}"


def _nowhere(named: Sequence[str]) -> list[str]:
    """A note on files that are not here, where no user gave a library that may have them."""
    if not named:
        return []
    words = (
        f"It was made with {plain(', '.join(dict.fromkeys(named)), 300)}. A library of files is "
        "where they are found: give its folder as sdnb.load(..., library=) or in SDNB_LIBRARY."
    )
    return [words]
