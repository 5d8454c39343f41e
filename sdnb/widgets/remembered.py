"""What the widgets remember from one session to the next: a JSON file in the user's settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import platformdirs

from sdnb.images import files
from sdnb.request import documents

_MOST = 1 << 16  # bytes


def path() -> Path:
    """The file, such as ~/.config/sdnb/settings.json."""
    return platformdirs.user_config_path("sdnb", appauthor=False) / "settings.json"


def recall(name: str, default: bool) -> tuple[bool, str]:
    """What was remembered, and "", or why it could not be read. Without a file it is the default,
    and so it is if that file says nothing of it.
    """
    try:
        value = _all().get(name, default)
    except (OSError, ValueError) as error:
        return default, f"The settings in {path()} could not be read: {_reason(error)}."
    if not isinstance(value, bool):
        return default, f"{name} is {value!r:.40} in {path()}; true or false is expected."
    return value, ""


def remember(name: str, value: bool) -> str:
    """Write it down. Return "", or why that was not possible."""
    try:
        kept = _all()
    except (OSError, ValueError):  # `recall` has told
        kept = {}
    try:
        path().parent.mkdir(parents=True, exist_ok=True)
        files.replace(path(), json.dumps(kept | {name: value}, indent=2).encode())
    except OSError as error:
        return f"This could not be remembered in {path()}: {_reason(error)}."
    return ""


def _all() -> dict[str, Any]:
    try:
        values = documents.from_json(documents.file_text(path(), _MOST))
    except FileNotFoundError:
        return {}
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - of a file, not of an argument
    return values


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
