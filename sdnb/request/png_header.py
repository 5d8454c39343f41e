"""What a PNG says of itself, read from its chunks without a decoder: size, pixels, texts."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

from sdnb.request.plain_words import counted

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Chunks that make pixels transparent, rotate them (by EXIF, also inside a text chunk), or give
# their colours another meaning.
_LOOK_CHUNKS = (b"tRNS", b"eXIf", b"iCCP")
TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_TURNING_TEXTS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
_END = b"\0\0\0\0IEND\xaeB\x60\x82"
_MOST_CHUNKS = 100_000  # the largest pictures have some ten thousand
LONGEST_CHUNK = 2**26  # bytes of one that is read as a whole; those of pixels are not
_PIECE = 2**20  # bytes that are read at once of the others
_MUCH_TEXT = 2**20  # bytes: a decoder may refuse a picture for its texts beyond this
# Samples a pixel of each colour type, and (first column, first row, step right, step down) of each
# pass of an interlaced picture (PNG specification, 11.2.1 and 8.2).
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
    (0, 1, 1, 2),
)  # fmt: skip


def begins(head: bytes) -> bool:
    """Whether these first bytes are a PNG's."""
    return head.startswith(_SIGNATURE)


def size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels, from the IHDR chunk. Raises ValueError if this is no PNG."""
    head = data[:24]
    width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if head[:8] != _SIGNATURE or head[12:16] != b"IHDR" or not width or not height:
        raise ValueError(
            f"{counted(len(data), 'byte')} beginning with {head[:8]!r}: not a PNG picture"
        )
    return width, height


def is_plain(data: bytes, colours: tuple[int, ...]) -> bool:
    """Whether the PNG has 8 bits per channel, one of these colour types (PNG specification,
    11.2.1), one header, and no chunk that makes pixels transparent, rotates them, or has a colour
    profile.

    Only chunk headers are read: a damaged PNG may pass.
    """
    if len(data) > 25 and (data[24] != 8 or data[25] not in colours):
        return False
    offset = len(_SIGNATURE)
    while offset + 8 <= len(data):
        length = int.from_bytes(data[offset : offset + 4], "big")
        name = data[offset + 4 : offset + 8]
        if name in _LOOK_CHUNKS or (name == b"IHDR" and offset > len(_SIGNATURE)):
            return False
        if name in TEXT_CHUNKS and data[offset + 8 : offset + 40].startswith(_TURNING_TEXTS):
            return False
        offset += 12 + length  # length, name, data, checksum
    return True


def chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The name and the length in bytes of each chunk, to the end of the picture or of the file. At
    each the file stands at the chunk's content. Raises ValueError for a second header, which a
    decoder may take for the size, for more than 100,000 chunks, and for more than 64 MB in one.
    """
    start = len(_SIGNATURE)
    for number in range(_MOST_CHUNKS):
        file.seek(start)
        head = file.read(8)
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if len(head) < 8:
            return
        if name == b"IHDR" and number:
            raise ValueError("has two headers (IHDR), which tell of two sizes; get the file again")
        if length > LONGEST_CHUNK and name != b"IDAT":
            raise ValueError(f"has a chunk of {length:,} bytes; {LONGEST_CHUNK:,} are read")
        yield name, length
        if name == b"IEND":
            return
        start += 12 + length
    raise ValueError(f"has more than {_MOST_CHUNKS} chunks; save it again in a picture editor")


def is_whole(file: BinaryIO) -> bool:
    """Whether the chunks go on to the picture's end, and each has its checksum."""
    name = b""
    for name, length in chunks(file):
        checksum = zlib.crc32(name)
        for piece in _pieces(file, length):
            checksum = zlib.crc32(piece, checksum)
        check = file.read(4)
        if len(check) < 4 or checksum != int.from_bytes(check, "big"):
            return False
    return name == b"IEND"


def has_end(file: BinaryIO) -> bool:
    """Whether the chunks go on to the picture's end. Content is not read. Raises as `chunks`."""
    file.seek(-len(_END), 2)
    if file.read(len(_END)) == _END:
        return True
    return any(name == b"IEND" for name, _ in chunks(file))


def _pieces(file: BinaryIO, length: int) -> Iterator[bytes]:
    """The next bytes of the file, a MB at a time: a chunk may claim 4 GB."""
    while length > 0 and (piece := file.read(min(length, _PIECE))):
        length -= len(piece)
        yield piece


def without_much_text(file: BinaryIO) -> BinaryIO:
    """The file from its beginning. If its texts have more than a MB, it is a copy in memory without
    them. Raises as `chunks`.
    """
    texts = [length for name, length in chunks(file) if name in TEXT_CHUNKS]
    file.seek(0)
    if sum(texts) <= _MUCH_TEXT:
        return file
    copy = BytesIO()
    copy.write(file.read(len(_SIGNATURE)))
    for name, length in chunks(file):
        if name not in TEXT_CHUNKS:
            copy.write(length.to_bytes(4, "big") + name + file.read(length + 4))
    copy.seek(0)
    return copy


def has_all_pixels(file: BinaryIO) -> bool:
    """Whether the unpacked pixels have the length that the header asks for; some decoders leave the
    missing ones black.
    """
    file.seek(len(_SIGNATURE) + 8)
    head = file.read(13)
    missing, unpacker = _pixel_bytes(head), zlib.decompressobj()
    try:
        for name, length in chunks(file):
            for packed in _pieces(file, length if name == b"IDAT" else 0):
                while packed and missing > 0 and not unpacker.eof:
                    missing -= len(unpacker.decompress(packed, 2**20))
                    packed = unpacker.unconsumed_tail
                if missing <= 0 or unpacker.eof:
                    return missing <= 0
        return missing <= 0 or missing <= len(unpacker.flush())  # it would unpack all the rest
    except zlib.error:  # a wrong checksum behind the pixels
        return True


def _pixel_bytes(head: bytes) -> int:
    """The length of all rows, each with its filter's byte before it, from the content of IHDR."""
    width, height = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")
    bits = head[8] * _SAMPLES.get(head[9], 0)
    passes = _ADAM7 if head[12] else ((0, 0, 1, 1),)
    total = 0
    for left, top, right, down in passes:
        columns, rows = -(-(width - left) // right), -(-(height - top) // down)
        total += max(0, rows) * (1 + -(-columns * bits // 8)) if columns > 0 else 0
    return total
