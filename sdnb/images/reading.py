"""Reading the request and other facts from a picture that sdnb or another program saved."""

from __future__ import annotations

import json
import re
import warnings
from contextlib import contextmanager, suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from PIL import UnidentifiedImageError

from sdnb.assets import __version__
from sdnb.images import embedded_texts, foreign_texts, infotext, used_files
from sdnb.images.saved import NO_PICTURE, Saved, place_of
from sdnb.images.saving import INPUTS
from sdnb.request import Request, checks, documents, png_header, record
from sdnb.request.picture_file import existing, opened, sniffed
from sdnb.request.plain_words import counted, plain, reason

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

# What is said where pictures are missing that another one was made from.
_LOST = {
    "image": NO_PICTURE,
    "mask": "Its mask is not stored in it: give it as mask=.",
    "controls": "A picture of its control is not stored in it: that control is left out.",
}


def read(source: str | os.PathLike[str] | bytes) -> Request:
    """The request in a saved picture; of other programs' texts, the settings that sdnb has.

    Raises FileNotFoundError if the file or one of its input pictures is missing, and ValueError if
    the picture carries no request. A field that sdnb cannot take is left open, with a warning;
    `inspect` has all notes.
    """
    saved = inspect(source)
    lost = [note for note in saved.notes if note.startswith("Left out: ")]
    if lost and saved.seconds is None:  # of another program
        warnings.warn(" ".join(lost), stacklevel=2)
    return saved.request


def inspect(source: str | os.PathLike[str] | bytes, *, partly: bool = False) -> Saved:
    """The request, model, version, seconds and notes in a saved picture; raises as `read`. With
    `partly`, input pictures that are missing are left out of the request, and the notes say so.
    """
    if isinstance(source, bytes):
        folder, name = None, f"picture ({counted(len(source), 'byte')})"
        texts = _texts(BytesIO(source), name)
    else:
        path = existing(source, "picture")
        folder, name = path.parent, f"picture {str(path)!r}"
        with opened(path, "picture") as file:
            texts = _texts(file, name)
    if "sdnb" in texts:
        return _from_sdnb(texts["sdnb"], folder, name, partly=partly)
    try:
        saved = of_texts(texts)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if saved is None:
        raise ValueError(f"{name} carries no request: {_hint(texts)}")
    return saved


def of_texts(texts: Mapping[str, str]) -> Saved | None:
    """What another program's texts tell; None for nothing. Raises ValueError for an infotext that
    is none, where no other text tells anything.
    """
    problem = None
    if "parameters" in texts and not texts["parameters"].lstrip().startswith("{"):
        try:
            return infotext.read(texts["parameters"])
        except ValueError as error:
            problem = error
    saved = foreign_texts.read(texts) or _infotext_elsewhere(texts)
    if saved is None and problem is not None:
        raise problem
    return saved


def _infotext_elsewhere(texts: Mapping[str, str]) -> Saved | None:
    """The settings of an infotext that a picture editor or a library of pictures moved."""
    for text in texts.values():
        if "Steps:" in text and "Sampler:" in text:
            with suppress(ValueError):
                return infotext.read(text)
    return None


def _hint(texts: Mapping[str, str]) -> str:
    """What a picture without a request has instead, and the way out."""
    if "workflow" in texts and "prompt" not in texts:
        return (
            "ComfyUI saved it with the layout of its editor alone, without the graph that ran; "
            "copy the settings into a new Request"
        )
    if texts.get("prompt", "").startswith("{"):
        return (
            "ComfyUI saved it, and its graph has no sampler node with its own steps and sampler "
            "name; copy the settings into a new Request"
        )
    listed = ", ".join(checks.shown(key[:24]) for key in list(texts)[:4])
    others = f", and of others ({listed}) none that is known" if texts else ""
    return (
        f"it has neither of the texts 'sdnb' and 'parameters'{others}. Messengers and picture "
        "editors remove them; find the file as it was saved, or make a new Request"
    )


@contextmanager
def _errors_of(name: str) -> Iterator[None]:
    """Put the name of the file in front of an error's message."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None


def _texts(file: BinaryIO, name: str) -> dict[str, str]:
    """The texts inside a picture file, by their keys."""
    head = file.read(16)
    file.seek(0)
    try:
        png = png_header.begins(head)
        return embedded_texts.of_png(file) if png else embedded_texts.of_other(file)
    except UnidentifiedImageError:
        raise ValueError(f"{name} {sniffed(head)}") from None
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
    except Exception as error:  # decoders raise errors of any type on damaged files
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"{name} is damaged or cut short ({error}); get the file again") from error


def _from_sdnb(text: str, folder: Path | None, name: str, *, partly: bool) -> Saved:
    try:
        about = documents.from_json(text)
        model, notes, request = about["model"], about["notes"], about["request"]
        saved = Saved(
            Request(),
            str(model["name"]),
            str(model["fingerprint"]),
            str(about["version"]),
            float(about["seconds"]),
            tuple(map(str, notes)),
            used_files.of_json(about.get("files"), about.get("loras")),
            place=place_of(about.get("place")),
        )
        digests = record.digests(request)
    except Exception as error:  # noqa: BLE001 - its values may be of any kind
        raise ValueError(
            f"{name} has a damaged text 'sdnb' ({plain(reason(error), 300)}); find the file as it "
            "was saved, or make a new Request"
        ) from None
    read_input = _kept_input_or_none if partly else _kept_input
    inputs = {digest: read_input(digest, folder, name) for digest in digests}
    pictures = {digest: data for digest, data in inputs.items() if data is not None}
    request, lost = record.with_pictures(request, pictures)
    notes = tuple(_LOST[what] for what in lost)
    with _errors_of(f"{name}, saved by sdnb {saved.version} (this is {__version__})"):
        return replace(
            saved, request=Request.from_json(json.dumps(request), pictures),
            notes=(*saved.notes, *notes), strength_told="image" in lost,
        )  # fmt: skip


class MissingInputError(FileNotFoundError, ValueError):
    """A picture that another one was made from is not where it was saved, or nobody knows where
    that is.
    """


def _kept_input_or_none(digest: Any, folder: Path | None, name: str) -> bytes | None:
    try:
        return _kept_input(digest, folder, name)
    except MissingInputError:
        return None


def _kept_input(digest: Any, folder: Path | None, name: str) -> bytes:
    if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError(f"{name} has a damaged text 'sdnb': {checks.shown(digest)} is no sha256")
    where = f"{INPUTS}/{digest}.png"
    if folder is None:
        raise MissingInputError(
            f"{name} was made from another picture, {where} beside its file: read it by its path"
        )
    path = folder / INPUTS / f"{digest}.png"
    if not path.is_file():
        raise MissingInputError(
            f"{name} was made from another picture, which is missing: {str(path)!r}. Copy {where} "
            "from the folder where it was saved"
        )
    with opened(path, "picture") as file:
        return file.read()
