"""The LoRAs of a request are found and opened, and laid over the model's weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from sdnb.engine import adapters
from sdnb.engine.adapters import AdapterFile, Overlay
from sdnb.engine.checkpoint import CheckpointError
from sdnb.engine.checkpoint.embeddings import BUNDLE, Embedding, WithBundled, read_bundled
from sdnb.engine.model import Model
from sdnb.headers.errors import MissingCheckpointError
from sdnb.images.used_files import UsedFile
from sdnb.library import hashes, stands_in
from sdnb.library.model_library import without_a_library
from sdnb.request import Request, Resolved, checks, digests, lora
from sdnb.request.lora import Lora

_WORDS = {"lora": "LoRA", "control": "control network"}


@dataclass(frozen=True)
class Chosen:
    """The LoRAs of a request, each with the digest of its file, and what they add together."""

    loras: tuple[Lora, ...]
    opened: tuple[AdapterFile, ...]
    overlay: Overlay
    notes: tuple[str, ...]
    bundled: tuple[Embedding, ...] = ()  # the embeddings that they bring along

    def embeddings(self, model: Model) -> Mapping[str, Embedding]:
        """The embeddings by the names that a prompt may use: the model's, and while a LoRA is in
        use, which is AUTOMATIC1111's rule, those that it brings along under other names.
        """
        return WithBundled(self.bundled, model.embeddings) if self.bundled else model.embeddings

    @property
    def files(self) -> tuple[UsedFile, ...]:
        """Their names and hashes. AUTOMATIC1111's is computed here, which may read a file whole."""
        return tuple(
            UsedFile("lora", each.name, file.sha256, short=hashes.of_lora(file.path))
            for each, file in zip(self.loras, self.opened, strict=True)
        )

    def noted(self, request: Resolved) -> Resolved:
        """The request with the digests of the files that were taken, for its field `loras` and for
        its tags.
        """
        count = len(request.loras)
        tags = {f"lora:{each.name}": each.sha256 for each in self.loras[count:]}
        known = digests.joined(request.digests, tags)
        return replace(request, loras=self.loras[:count], digests=known)


def choose(model: Model, request: Request) -> Chosen:
    """The LoRAs of the request's field and of the tags in its prompt, opened and matched with the
    model; headers are read, and no weights. The model's own lie below them.

    Raises CheckpointError for a file that is missing, damaged, or made for another model,
    ValueError for a tag that cannot be done, and LookupError for a name that the model's library
    has not. A file with another digest than the request's is refused.
    """
    _, _, notes = lora.split_tags(request.prompt)
    known = digests.of(request.digests, "lora")
    asked = [
        each if each.sha256 else replace(each, sha256=known.get(each.name))
        for each in lora.of_request(request.prompt, request.loras)
    ]
    pairs = [(each, _file(model, each)) for each in asked]
    own = [(each, _file(model, each)) for each in model.own_loras]
    overlay = adapters.overlay(model.config, [*own, *pairs])
    found = tuple(replace(each, sha256=file.sha256) for each, file in pairs)
    if request.syntax != "blocks" and any(t in request.negative for t in ("<lora:", "<lyco:")):
        notes.append(
            "A LoRA's tag in the negative prompt names none, and stays there as text: it belongs "
            "into the prompt."
        )
    bundled = tuple(each for _, file in pairs for each in _bundled(file))
    opened = tuple(file for _, file in pairs)
    chosen = Chosen(found, opened, overlay, (*notes, *overlay.notes), bundled)
    here = chosen.embeddings(model)
    _check_embeddings(request, here)
    passed_over = here.passed_over if isinstance(here, WithBundled) else ()
    return replace(chosen, notes=(*chosen.notes, *_passed_over(request, passed_over)))


def _passed_over(request: Request, embeddings: Iterable[Embedding]) -> Iterator[str]:
    """Notes on embeddings in LoRAs whose name in the prompts means another one."""
    for each in embeddings:
        if stands_in(each.name.lower(), f"{request.prompt}\n{request.negative}".lower()):
            yield (
                f"The embedding {checks.shown(each.name)} in {each.inside} is left out: another of "
                "that name, the library's or an earlier LoRA's, counts, as in AUTOMATIC1111."
            )


def _check_embeddings(request: Request, here: Mapping[str, Embedding]) -> None:
    """Refuse another file, or none, for an embedding whose digest the request has, as far as its
    name stands in the prompts.
    """
    text = f"{request.prompt}\n{request.negative}".lower()
    for name, digest in digests.of(request.digests, "embedding").items():
        if not stands_in(name.lower(), text):
            continue
        found = None
        with suppress(LookupError):
            found = here[name]
        if found is None or found.sha256 != digest:
            what = "none is here" if found is None else f"{found.sha256[:12]} is the one here"
            raise CheckpointError(
                f"the embedding {checks.shown(name)} in the prompt was a file whose sha256 begins "
                f"with {digest[:12]}, and {what}. Put that file into the library, or take its "
                "digest off the request: request.but(digests=())."
            )


def put_in_force(model: Model, chosen: Chosen) -> None:
    """Lay the LoRAs over the weights, if others are there. Prompts that the text encoder encoded
    with other weights are forgotten.
    """
    if "text" in model.weights.lay_over(chosen.overlay):
        model.prompts.clear()


@lru_cache(maxsize=64)
def _bundled(file: AdapterFile) -> tuple[Embedding, ...]:
    if not any(key.startswith(BUNDLE) for key in file.tensors):
        return ()
    return read_bundled(file.path)


def _file(model: Model, lora: Lora) -> AdapterFile:
    """The file of a name: a path, or what the model's library has of that name."""
    file = adapters.open_file(path_of(model, "lora", lora.name, lora.sha256))
    if lora.sha256 in (None, file.sha256):
        return file
    raise CheckpointError(
        f"{file.path} is another file than the LoRA {checks.shown(lora.name)} that is wanted: its "
        f"sha256 begins with {file.sha256[:12]}, and {lora.sha256[:12]} is expected. Give that "
        "file, or take the digest off the request (a Lora without sha256, digests=())."
    )


def path_of(model: Model, kind: str, name: str, sha256: str | None) -> Path:
    """The file of a name: a path, or what the model's library has of that name. Its kind is "lora"
    or "control"; with a digest, it is the file of that digest, which may have another name here.
    Raises MissingCheckpointError where there is no such path and no library, and LookupError for a
    name that the library has not.
    """
    path = Path(name).expanduser()
    if path.suffix and path.is_file():
        return path
    if model.library is None:
        raise MissingCheckpointError(
            f"there is no {_WORDS[kind]} {checks.shown(name)}: no file has that path. "
            f"{without_a_library(kind)}."
        )
    same = None if sha256 is None else model.library.by_sha256(sha256)
    return Path((same or model.library.find(kind, name)).path)
