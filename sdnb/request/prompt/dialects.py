"""Which syntax a prompt seems to be written in: for an offer to a person, never for a guess."""

from __future__ import annotations

import re

from sdnb.request.prompt import blocks
from sdnb.request.prompt.values import PromptError

_NUMBER = r":\s*[+-]?(?:\d+\.?\d*|\.\d+)\s*"
# What ComfyUI reads as AUTOMATIC1111 does.
_BRACKETS = re.compile(rf"(?<!\\)\([^()]+{_NUMBER}\)|\(\([^()]+\)\)")
_COMFY = re.compile(r"(?:^|[\s(,])embedding:[^\W\d]")


def recognised(text: str, syntax: str) -> str | None:
    """Another syntax in which `text` has marks that `syntax` reads as plain text, or None."""
    if syntax == "blocks":
        if _COMFY.search(text):
            return "comfy"
        return "a1111" if _BRACKETS.search(text) or blocks.A1111.search(text) else None
    if _is_in_blocks(text) and not _BRACKETS.search(text):
        return "blocks"
    if syntax == "comfy":
        return "a1111" if blocks.A1111.search(text) and not _COMFY.search(text) else None
    return "comfy" if _COMFY.search(text) else None


def _is_in_blocks(text: str) -> bool:
    """Whether there are two blocks at the least, the first with a weight."""
    try:
        found = blocks.parse(text)
    except PromptError:
        return False
    return len(found) > 1
