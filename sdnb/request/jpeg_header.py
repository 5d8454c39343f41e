"""What a JPEG makes a decoder do, read from its markers (ITU T.81, B.1) before one is asked."""

from __future__ import annotations

import re
from typing import BinaryIO

# Pillow reads what lies before the pixels marker by marker, and joins its parts again and again.
_MOST_HEADER = 2**24  # bytes; 255 parts of a colour profile have as many
_MOST_MARKERS = 10_000
_MOST_SCANS = 32  # each may touch all pixels; encoders write about ten
_LARGEST = 300_000_000  # bytes of a file: the largest picture has fewer at the best quality
_BARE = {0x00, 0x01, *range(0xD0, 0xDA)}  # markers without a length
_START_OF_SCAN, _END = 0xDA, 0xD9
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # the first after the packed pixels


def begins(head: bytes) -> bool:
    """Whether these first bytes are a JPEG's."""
    return head.startswith(b"\xff\xd8\xff")


def check(file: BinaryIO) -> None:
    """Raises ValueError for a JPEG of more markers, scans or bytes before its pixels than cameras
    and programs write. The file stands at its beginning again.
    """
    data = file.read(_LARGEST + 1)
    file.seek(0)
    if len(data) > _LARGEST:
        raise ValueError(f"has more than {_LARGEST:,} bytes; save it again in a picture editor")
    at = scans = 0
    for _ in range(_MOST_MARKERS):
        code, at = _next(data, at)
        if code is None or (code == _END and scans):
            return
        if code == _START_OF_SCAN:
            scans += 1
            following = _MARKER.search(data, at)
            at = following.start() if following else len(data)
        if scans > _MOST_SCANS:
            raise ValueError(
                f"has more than {_MOST_SCANS} scans; save it again in a picture editor"
            )
        if not scans and at > _MOST_HEADER:
            raise ValueError(
                f"has more than {_MOST_HEADER:,} bytes before its pixels; save it again"
            )
    raise ValueError(f"has more than {_MOST_MARKERS:,} markers; save it again in a picture editor")


def _next(data: bytes, at: int) -> tuple[int | None, int]:
    """The code of the marker at a place (0: there is none; None: the file ends), and the place
    behind it.
    """
    if at + 1 >= len(data):
        return None, at
    code = data[at + 1]
    if data[at] != 0xFF or code == 0xFF:  # Pillow reads such bytes one by one
        return 0, at + 1
    if code in _BARE:
        return code, at + 2
    return code, at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
