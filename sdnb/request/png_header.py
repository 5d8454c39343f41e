"""The size of a PNG and whether its pixels are plain, read from chunk headers without a decoder."""

from __future__ import annotations

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Chunks that make pixels transparent or rotate them (by EXIF, also inside a text chunk).
_LOOK_CHUNKS = (b"tRNS", b"eXIf")
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_TURNING_TEXTS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")


def size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels, from the IHDR chunk. Raises ValueError if this is no PNG."""
    head = data[:24]
    width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if head[:8] != _SIGNATURE or head[12:16] != b"IHDR" or not width or not height:
        raise ValueError(f"{len(data)} bytes beginning with {head[:8]!r} are not a PNG picture")
    return width, height


def is_plain(data: bytes, colours: tuple[int, ...]) -> bool:
    """Whether the PNG has 8 bits per channel, one of these colour types (PNG specification,
    11.2.1), and no chunk that makes pixels transparent or rotates them.

    Only chunk headers are read: a damaged PNG may pass.
    """
    if len(data) > 25 and (data[24] != 8 or data[25] not in colours):
        return False
    offset = len(_SIGNATURE)
    while offset + 8 <= len(data):
        length = int.from_bytes(data[offset : offset + 4], "big")
        name = data[offset + 4 : offset + 8]
        if name in _LOOK_CHUNKS or (
            name in _TEXT_CHUNKS and data[offset + 8 : offset + 40].startswith(_TURNING_TEXTS)
        ):
            return False
        offset += 12 + length  # length, name, data, checksum
    return True
