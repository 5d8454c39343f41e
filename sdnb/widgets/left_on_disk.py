"""What controls were set to, on the disk, for the next kernel: words and numbers, no pictures.

One JSON file for each widget of a cell, beside what the widgets remember.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sdnb.images import files
from sdnb.request import Request, documents
from sdnb.widgets import remembered

_MOST = 1 << 20  # bytes of a file
_NEWEST = 64  # files that are kept: cells come and go
_PICTURE = {"image": None, "mask": None, "width": None, "height": None}  # a size is a picture's


@dataclass(frozen=True)
class OnDisk:
    """The state that the code had set, as `plain` has it; what it was left as; whether pictures
    were there, which are not in it; and whether a run was cut when the kernel ended.
    """

    given: dict[str, Any]
    left: dict[str, Any]
    pictures: bool
    cut: bool


def plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """A widget's state as JSON has it, without pictures, and without the switch, which is
    remembered for all.
    """
    words = {name: _plain(value) for name, value in state.items() if name != "autosave"}
    return dict(json.loads(json.dumps(words)))


def file_of(name: str) -> Path:
    """The file of a name; the same cell of a copied notebook has another one."""
    digits = hashlib.sha256(f"{Path.cwd()}\n{name}".encode()).hexdigest()[:16]
    return remembered.path().parent / "left" / f"{digits}.json"


def write(path: Path, given: Mapping[str, Any], left: Mapping[str, Any], *, cut: bool) -> None:
    """Write down a state, given and left, and whether a run was cut. Raises OSError."""
    pictures = any(isinstance(value, Request) and value.pictures for value in left.values())
    content = {"given": plain(given), "left": plain(left), "pictures": pictures, "cut": cut}
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, json.dumps(content, indent=2).encode())
    by_age = sorted(path.parent.glob("*.json"), key=lambda each: each.stat().st_mtime_ns)
    for old in by_age[:-_NEWEST]:
        old.unlink(missing_ok=True)


def read(path: Path) -> OnDisk | None:
    """What was written there; None for nothing. Raises OSError, and ValueError or TypeError for
    what is damaged.
    """
    try:
        content = documents.from_json(documents.file_text(path, _MOST))
    except FileNotFoundError:
        return None
    try:
        flags = bool(content["pictures"]), bool(content.get("cut"))
        found = OnDisk(dict(content["given"]), content["left"], *flags)
        left = {name: _value(value) for name, value in found.left.items()}
    except (KeyError, AttributeError) as error:
        raise ValueError(f"{path} does not hold what was left: {error}") from None
    return replace(found, left=left)


def _plain(value: Any) -> Any:
    if not isinstance(value, Request):
        return value
    words = value.but(controls=())
    return json.loads((words.but(**_PICTURE) if words.image else words).to_json())


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_value, value))
    return Request.from_json(json.dumps(value)) if isinstance(value, dict) else value
