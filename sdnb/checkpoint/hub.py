"""Hub ids."""

from __future__ import annotations

import re
from pathlib import Path


def is_id(text: str) -> bool:
    return re.fullmatch(r"[\w.-]+/[\w.-]+", text) is not None


def download(repo: str) -> Path:
    raise NotImplementedError
