"""The prompts that ran, newest first: one small JSON file beside the user's settings.

A person can switch it off, which is remembered, and delete the file. Several kernels may write it:
each reads it again before, and replaces it as a whole.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sdnb.images import files
from sdnb.request import Request, documents
from sdnb.request.plain_words import reason
from sdnb.widgets import remembered

MOST = 200  # prompts that are kept
_LONGEST = 20_000  # letters of one that is kept
_MOST_BYTES = 1 << 22  # of the file that is read; the longest prompts take as many
_SWITCH = "remember_prompts"
_lock = threading.Lock()


@dataclass(frozen=True)
class EarlierWords:
    """The prompts of a run, as they were typed: with what the seed was left to choose."""

    prompt: str
    negative: str = ""

    @classmethod
    def of(cls, request: Request) -> EarlierWords:
        """The words of a request, with the templates that they came from."""
        prompt = request.template or request.prompt
        return cls(prompt, request.negative_template or request.negative)


def path() -> Path:
    """The file, such as ~/.config/sdnb/prompts.json."""
    return remembered.path().parent / "prompts.json"


def is_on() -> bool:
    """Whether prompts are remembered, which they are until a person switches it off."""
    return remembered.recall(_SWITCH, default=True)[0]


def switch(*, on: bool) -> str:
    """Remember prompts from now on, or no more. Return "", or why that could not be noted."""
    return remembered.remember(_SWITCH, on)


def recall() -> tuple[list[EarlierWords], str]:
    """The prompts that are remembered, newest first; and "", or why they could not be read."""
    try:
        return _all(), ""
    except (OSError, ValueError) as error:
        return [], f"The prompts in {path()} could not be read: {reason(error)}."


def remember(request: Request) -> str:
    """Put the words of a request before the others, where it is switched on. Return "", or why that
    was not possible.
    """
    words = EarlierWords.of(request)
    too_long = len(words.prompt) + len(words.negative) > _LONGEST
    if not words.prompt.strip() or too_long or not is_on():
        return ""
    with _lock:
        try:
            kept = _all()
        except (OSError, ValueError):  # a damaged file is replaced
            kept = []
        if kept[:1] == [words]:
            return ""
        newest = [words, *(each for each in kept if each != words)][:MOST]
        text = json.dumps({"prompts": [asdict(each) for each in newest]}, ensure_ascii=False)
        try:
            path().parent.mkdir(parents=True, exist_ok=True)
            files.replace(path(), text.encode())
        except OSError as error:
            return f"The prompt could not be remembered in {path()}: {reason(error)}."
    return ""


def delete() -> str:
    """Delete the file. Return "", or why that was not possible."""
    with _lock:
        try:
            path().unlink(missing_ok=True)
        except OSError as error:
            return f"{path()} could not be deleted: {reason(error)}."
    return ""


def _all() -> list[EarlierWords]:
    try:
        values = documents.from_json(documents.file_text(path(), _MOST_BYTES))
    except FileNotFoundError:
        return []
    rows = values.get("prompts") if isinstance(values, dict) else None
    if not isinstance(rows, list):
        raise ValueError("it has no list of prompts")  # noqa: TRY004 - of a file, not an argument
    words = (_words(row) for row in rows[:MOST])
    return [each for each in words if each is not None]


def _words(row: Any) -> EarlierWords | None:
    """The words of a row; None for what is none."""
    if not isinstance(row, dict):
        return None
    try:  # as a request would have them: no half of a surrogate pair is among them
        return EarlierWords.of(Request(row.get("prompt", 0), negative=row.get("negative", "")))
    except (TypeError, ValueError):
        return None
