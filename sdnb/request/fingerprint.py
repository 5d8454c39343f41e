"""Digests: of bytes, and a model's fingerprint, which tells its weights and how they are used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping


def sha256(data: bytes) -> str:
    """The sha256 of the bytes, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def identity(weights: str, unusual: Mapping[str, object]) -> str:
    """`weights`, a digest of a model's tensors, a hyphen, and 8 digits for how they are used.

    The same weights give other pictures with other heads, betas, kind of prediction or scale.
    `unusual` is what differs from SD 1.x's values (`ModelConfig.unusual`).
    """
    return f"{weights}-{sha256(json.dumps(unusual, sort_keys=True).encode())[:8]}"


def difference(there: str, here: str) -> tuple[str, str, str] | None:
    """What `there` is instead of `here`, its digits, and those expected; None for one model.

    One without a hyphen, of an earlier version, says nothing of how the weights were used.
    """
    (weights, _, used), (own, _, wanted) = there.partition("-"), here.partition("-")
    if weights != own:
        return "another model", f"fingerprint {weights[:16]}", own[:16]
    if used and wanted and used != wanted:
        return "the same weights in another configuration", f"digest {used}", wanted
    return None
