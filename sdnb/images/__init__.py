"""Pictures in and out: anything becomes PNG bytes, a result becomes files, a file its request."""

from sdnb.images.contact_sheet import sheet
from sdnb.images.reading import Saved, inspect, read
from sdnb.images.saving import encoded, keep_inputs, save
from sdnb.request.picture_input import (
    MAX_PIXELS,
    Source,
    mask,
    open,  # noqa: A004
    picture,
    sha256,
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
