"""`Saved`: what a saved picture tells, and a Request of what is told, as far as it is accepted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sdnb.images.used_files import UsedFile
from sdnb.request import Request, lora, record
from sdnb.request.choices import ETA_SAMPLERS
from sdnb.request.plain_words import plain
from sdnb.request.settings import RANGES

NO_PICTURE = "The picture that this one was made from is not stored in it: give it as image=."

_EMPHASIS = re.compile(r"[(\[{]|:[-+.0-9]+\s")


@dataclass(frozen=True)
class Saved:
    """The facts that a saved picture carries; those of other programs lack the seconds."""

    request: Request
    model: str  # the model's name
    fingerprint: str
    version: str  # of the program that saved the picture
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    #: The LoRAs, embeddings, checkpoint and VAE that it was made with, as far as they are told.
    files: tuple[UsedFile, ...] = ()
    #: Whether another program's text tells a strength; of a picture that is not in the file.
    strength_told: bool = False
    #: Which picture of how many of its run, such as (3, 8); None where it was alone or untold.
    place: tuple[int, int] | None = None


def place_of(told: Any) -> tuple[int, int] | None:
    """The place in a run that a text tells as `[3, 8]`; None for what is none."""
    if not isinstance(told, list) or [type(number) for number in told] != [int, int]:
        return None
    number, count = told
    return (number, count) if 1 <= number <= count <= RANGES["count"][1] else None


def accepted(fields: dict[str, Any]) -> tuple[Request, list[str]]:
    """A Request of the fields of another program, and notes on values that it cannot have.

    A bad value costs its own field, never the others. Prompts ran as they stand: marks of
    alternatives in them are text. Width and height are rounded down to
    multiples of 8, as other programs do, or left out together.
    """
    request, notes = Request(), _without_idle_eta(fields)
    fields |= record.as_they_stand(fields)
    size: dict[str, Any] = {
        side: fields.pop(side) for side in ("width", "height") if side in fields
    }
    rounded = {side: value // 8 * 8 for side, value in size.items() if isinstance(value, int)}
    low, high = RANGES["width"]
    if rounded and all(low <= value <= high for value in rounded.values()):
        fields |= rounded
        if rounded != size:
            notes.append(f"Sides are multiples of 8 here: {_sides(size)} became {_sides(rounded)}.")
    elif size:
        notes.append(f"Left out: the size {_sides(size)}; sides of {low} to {high} are accepted.")
    for name, value in fields.items():
        if value is None:
            continue
        if isinstance(value, str):  # JSON may hold half of a surrogate pair
            value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        try:
            request = request.but(**{name: value})
        except (TypeError, ValueError) as error:
            notes.append(f"Left out: {error}.")
    return request, notes


def emphasis_notes(syntax: str, *prompts: str) -> list[str]:
    """Notes where one of the prompts weighs words in a way that its syntax does not know."""
    note = (
        "The prompt is kept as it was written: (text:1.2), [text] and {text} weigh words in "
        "its program and are plain text here, where text:1.2 before a space is a weight."
    )
    weighs = any(_EMPHASIS.search(lora.words(text) + " ") for text in prompts)
    return [note] if syntax == "blocks" and weighs else []


def _sides(size: dict[str, Any]) -> str:
    return plain("x".join(str(value) for value in size.values()), 40)


def _without_idle_eta(fields: dict[str, Any]) -> list[str]:
    """Remove an eta that its sampler does not use, and return a note on it. The web UI writes its
    "Eta DDIM" also for UniPC and PLMS.
    """
    sampler, eta = fields.get("sampler"), fields.get("eta")
    if not eta or sampler is None or sampler in ETA_SAMPLERS:
        return []
    del fields["eta"]
    return [f"Left out: an eta of {eta:g}, because {sampler} draws no noise."]
