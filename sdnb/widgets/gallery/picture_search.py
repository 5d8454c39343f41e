"""Which of a gallery's pictures one looks for: by words, by model and by day."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from sdnb.request import checks
from sdnb.widgets.gallery.gallery_picture import GalleryPicture

_WORD = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')
Day = date | str | None


@dataclass(frozen=True)
class PictureSearch:
    """What is looked for; all of it must hold. `words` are in the prompt, the negative prompt, the
    names of model, sampler, LoRAs and control networks, the seed, the size as 512x512, or the
    file's name, in any order and case; "several words" in quotes stand together, and -word must
    not be there. `model` is a whole name, "" where none is told. Days are those of the computer's
    clock.
    """

    words: str = ""
    model: str | None = None
    since: date | None = None
    until: date | None = None

    @classmethod
    def asked(cls, words: str, model: str | None, since: Day, until: Day) -> PictureSearch:
        """Days may be ISO's words, "2026-11-28". Raises TypeError and ValueError."""
        checks.text("words", words)
        if model is not None:
            checks.text("model", model)
        return cls(words, model, _day("since", since), _day("until", until))

    def __bool__(self) -> bool:
        return bool(_terms(self.words)) or (self.model, self.since, self.until) != (None,) * 3

    def wants(self, picture: GalleryPicture) -> bool:
        """Whether it holds for this picture; words and models only of one that was read."""
        if self.since is not None or self.until is not None:
            day = day_of(picture)
            if (self.since and day < self.since) or (self.until and day > self.until):
                return False
        terms = _terms(self.words)
        if not terms and self.model is None:
            return True
        seen = picture.glance
        if seen is None or (self.model is not None and seen.model != self.model):
            return False
        text = f"{seen.text}\n{picture.name.casefold()}"
        return all((term in text) is there for term, there in terms)


def day_of(picture: GalleryPicture) -> date:
    """The day on which it was made, as far as its file tells."""
    return date.fromtimestamp(picture.when)  # noqa: DTZ012 - a person's day


@lru_cache(maxsize=8)
def _terms(words: str) -> tuple[tuple[str, bool], ...]:
    """Each term, casefolded, and whether it must be there."""
    found = ((quoted or bare, not minus) for minus, quoted, bare in _WORD.findall(words.casefold()))
    return tuple((term, there) for term, there in found if term)


def _day(name: str, value: Any) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    if value is None or isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name}={checks.shown(value)} is no day; a date, or words such as '2026-11-28', are"
        ) from None
