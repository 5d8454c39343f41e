"""Pictures in and out, without torch: read any picture, save a Result, read the request back."""

from sdnb.images.contact_sheet import sheet
from sdnb.images.followed import hints
from sdnb.images.reading import inspect, read
from sdnb.images.saved import Saved
from sdnb.images.saving import encoded, keep_inputs, save
from sdnb.request.fingerprint import sha256
from sdnb.request.picture_input import (
    MAX_PIXELS,
    Source,
    mask,
    mask_and_note,
    open,  # noqa: A004
    picture,
    pixels,
)

__all__ = [
    "MAX_PIXELS",
    "Saved",
    "Source",
    "encoded",
    "hints",
    "inspect",
    "keep_inputs",
    "mask",
    "mask_and_note",
    "open",
    "picture",
    "pixels",
    "read",
    "save",
    "sha256",
    "sheet",
]
