"""The digests of files that the words of a prompt name: tags of LoRAs, and embeddings.

What stands in `Request.loras` has its own; a tag and a word have no room for one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sdnb.request import checks

KINDS = ("lora", "embedding")
Digests = tuple[tuple[str, str], ...]

_HEX = re.compile(r"[0-9a-f]{64}")


def digests(value: Any) -> Digests:
    """The field of a request as it holds it, sorted, from a mapping or pairs of "lora:pixelart" and
    a sha256. Raises TypeError or ValueError for anything else.
    """
    try:
        pairs = dict(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"digests={checks.shown(value)} is no mapping of names to digests, as in "
            'digests={"lora:pixelart": "<64 hexadecimal digits>"}'
        ) from None
    for key, digest in pairs.items():
        kind, colon, name = checks.text("digests", key).partition(":")
        if kind not in KINDS or not colon or not name:
            raise ValueError(
                f"digests has {checks.shown(key)}, which is no name of a file: write "
                '"lora:NAME" or "embedding:NAME"'
            )
        if not _HEX.fullmatch(checks.text("digests", digest)):
            raise ValueError(
                f"digests has {checks.shown(digest)} for {checks.shown(key)}, which is no sha256: "
                "64 small hexadecimal digits"
            )
    return tuple(sorted(pairs.items()))


def of(given: Digests, kind: str) -> Mapping[str, str]:
    """The digests of one kind, by name."""
    pairs = ((*key.split(":", 1), digest) for key, digest in given)
    return {name: digest for its, name, digest in pairs if its == kind}


def joined(given: Digests, more: Mapping[str, str | None]) -> Digests:
    """The digests with those of `more` that are known."""
    return tuple(sorted({**dict(given), **{key: d for key, d in more.items() if d}}.items()))
