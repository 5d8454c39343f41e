"""What a picture file tells in its header: enough to find it among thousands.

No pixel is decoded, and no file but the picture's own is opened. `inspect` reads all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, BinaryIO

from sdnb.images import embedded_texts, reading
from sdnb.images.saved import Saved, place_of
from sdnb.request import Request, documents, png_header
from sdnb.request.picture_file import opened
from sdnb.request.plain_words import plain, reason

_MOST_LETTERS = 20_000  # of a picture, that are looked through
_SHOWN = 160  # letters of a prompt in a line
_TEXTS = (
    "prompt", "negative", "sampler", "schedule", "seed",  # a template has what it is not, too
)  # fmt: skip


@dataclass(frozen=True)
class Glance:
    """The prompt in a line, the model, the seed and the place in its run, as far as they are told;
    all words by which it is found, casefolded; and why the file is no whole picture, if it is none.
    """

    prompt: str = ""
    model: str = ""
    seed: int | None = None
    text: str = ""
    place: tuple[int, int] | None = None
    problem: str = ""


def of_file(path: Path) -> Glance:
    """The glance at a file; one that is damaged, or is gone, has its problem and raises nothing."""
    try:
        with opened(path, "picture") as file:
            return _of_open(file)
    except Exception as error:  # noqa: BLE001 - decoders raise errors of any type on damaged files
        return Glance(problem=plain(why(error), 200))


def of_request(request: Request, model: str, tool: str = "") -> Glance:
    """The glance at what a request makes."""
    values = {item.name: getattr(request, item.name) for item in fields(Request)}
    for name in ("loras", "controls"):
        values[name] = [each.plain() for each in values[name]]
    return _of_values(values, model, tool)


def _of_open(file: BinaryIO) -> Glance:
    is_png = png_header.begins(file.read(16))
    file.seek(0)
    texts = embedded_texts.of_png(file, whole=False) if is_png else embedded_texts.of_other(file)
    problem = "it is cut short" if is_png and not png_header.has_end(file) else ""
    return replace(_of_texts(texts), problem=problem)


def _of_texts(texts: Mapping[str, str]) -> Glance:
    """A damaged text is none."""
    if "sdnb" in texts:
        with suppress(ValueError, TypeError, LookupError, AttributeError):
            about = documents.from_json(texts["sdnb"])
            tool = f"sdnb {about['version']}"
            place = place_of(about.get("place"))
            return _of_values(about["request"], str(about["model"]["name"]), tool, place)
    saved: Saved | None = None
    with suppress(ValueError, TypeError, LookupError):
        saved = reading.of_texts(texts)
    return Glance() if saved is None else of_request(saved.request, saved.model, saved.version)


def _of_values(
    values: Mapping[str, Any], model: str, tool: str, place: tuple[int, int] | None = None
) -> Glance:
    """Of the fields of a request, or of its JSON."""
    words = [_word(values.get(name)) for name in _TEXTS]
    words += [_word(each.get("name")) for each in values.get("loras") or ()]
    words += [_word(each.get("net")) for each in values.get("controls") or ()]
    size = values.get("width"), values.get("height")
    words += [model, tool, "{}x{}".format(*size) if all(size) else ""]
    text = "\n".join(filter(None, words)).casefold()[:_MOST_LETTERS]
    seed = values.get("seed")
    prompt = plain(_word(values.get("prompt")), _SHOWN)
    return Glance(prompt, plain(model, _SHOWN), seed if type(seed) is int else None, text, place)


def _word(value: Any) -> str:
    return "" if value is None else str(value)


def why(error: Exception) -> str:
    """Why a file is no whole picture, as a sentence of which "it" is the file."""
    if isinstance(error, FileNotFoundError):
        return "it is gone"
    if isinstance(error, SyntaxError) or (isinstance(error, OSError) and not error.strerror):
        return "it is damaged or cut short; get the file again"  # Pillow's many words for it
    words = reason(error)
    verb = words.startswith(("is ", "has ", "claims "))  # as `embedded_texts` says it
    return f"it {words}" if verb else words
