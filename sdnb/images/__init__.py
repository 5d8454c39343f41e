"""Pictures in and out: anything becomes PNG bytes, a result becomes files, a file its request."""

from sdnb.images.png import (
    MAX_PIXELS,
    Saved,
    Source,
    encoded,
    inspect,
    keep_inputs,
    mask,
    open,  # noqa: A004
    picture,
    read,
    save,
    sha256,
    sheet,
)

__all__ = [
    "MAX_PIXELS",
    "Saved",
    "Source",
    "encoded",
    "inspect",
    "keep_inputs",
    "mask",
    "open",
    "picture",
    "read",
    "save",
    "sha256",
    "sheet",
]
