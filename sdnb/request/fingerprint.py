"""The fingerprint of a model: which weights it has, and how they are used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping


def identity(weights: str, unusual: Mapping[str, object]) -> str:
    """`weights`, a digest of a model's tensors, and after a hyphen one of how they are used, 8
    hexadecimal digits.

    The same weights give other pictures with other heads, betas, kind of prediction or scale.
    `unusual` is what differs from SD 1.x's values (`ModelConfig.unusual`).
    """
    text = json.dumps(unusual, sort_keys=True)
    return f"{weights}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def difference(there: str, here: str) -> tuple[str, str, str] | None:
    """How two fingerprints differ: what `there` is, its digits, and those that were expected; None
    where they are of one model.

    One without a hyphen, of an earlier version, says nothing of how the weights were used.
    """
    (weights, _, used), (own, _, wanted) = there.partition("-"), here.partition("-")
    if weights != own:
        return "another model", f"fingerprint {weights[:16]}", own[:16]
    if used and wanted and used != wanted:
        return "the same weights in another configuration", f"digest {used}", wanted
    return None
