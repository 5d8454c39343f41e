"""The texts inside a picture file: text chunks of a PNG, EXIF and comments of other files.

No pixel is decoded, and no frame of an animation is played.
"""

from __future__ import annotations

import html
import zlib
from typing import Any, BinaryIO

from PIL import Image

from sdnb.request import jpeg_header, png_header
from sdnb.request.picture_input import MAX_PIXELS

_MOST_UNPACKED = 16 * 2**20  # bytes of all packed texts of a file together
_MOST_TEXT = 2**27  # bytes of all texts; a recipe is written twice, and a prompt may have 40 MB
_EXIF_FOLDER = 0x8769
_TAGS = {0x010E: "ImageDescription", 0x9286: "UserComment"}  # EXIF tags that may hold infotexts
# ComfyUI writes "prompt:{...}" and "workflow:{...}" into tags of the camera.
_LABELLED = ("prompt:", "workflow:")
_XMP = b"XML:com.adobe.xmp"


def of_png(file: BinaryIO, *, whole: bool = True) -> dict[str, str]:
    """The texts of a PNG by their keys, also those after the pixels, where some tools move them.
    With `whole`, one without texts is read to its end, to see whether it is damaged.

    Raises ValueError for a damaged text, a damaged file without any, packed texts of more than
    16 MB, texts of more than 128 MB, a picture of too many pixels, and as `png_header.chunks`.
    """
    try:
        width, height = png_header.size(file.read(24))
    except ValueError:
        raise ValueError("is damaged or cut short; get the file again") from None
    if width * height > MAX_PIXELS:
        raise ValueError(f"claims {width}x{height} pixels; at most 8192x8192 are read")
    texts: dict[str, str] = {}
    room, left = _MOST_UNPACKED, _MOST_TEXT
    for name, length in png_header.chunks(file):
        if name == b"eXIf":
            texts = {**_of_exif_bytes(file.read(length)), **texts}
        if name not in png_header.TEXT_CHUNKS:
            continue
        left -= length
        if left < 0:
            raise ValueError(f"has texts of more than {_MOST_TEXT // 2**20} MB")
        content, check = file.read(length), file.read(4)
        if len(check) < 4 or zlib.crc32(name + content) != int.from_bytes(check, "big"):
            raise ValueError("is damaged or cut short, in a text; get the file again")
        key, _, rest = content.partition(b"\0")
        try:
            text, unpacked = _text(name, key, rest, room)
        except (ValueError, zlib.error) as error:
            raise ValueError(
                f"has a damaged text {key[:79].decode('latin-1')!r} ({error}); get the file again"
            ) from None
        room -= unpacked
        texts |= _of_xmp(text) if key == _XMP else {key.decode("latin-1"): text}
    if whole and not texts and not png_header.is_whole(file):
        raise ValueError("is damaged or cut short; get the file again")
    return texts


def _text(name: bytes, key: bytes, rest: bytes, room: int) -> tuple[str, int]:
    """The text of a chunk's content after its key, and how many bytes were unpacked."""
    packed = name == b"zTXt"
    if name == b"iTXt":
        packed, rest = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
    elif packed:
        rest = rest[1:]
    if packed:
        unpacker = zlib.decompressobj()
        rest = unpacker.decompress(rest, room)
        if unpacker.unconsumed_tail:
            raise ValueError(f"packed texts of more than {_MOST_UNPACKED // 2**20} MB")
    # The standard has Latin-1, and several tools write UTF-8. Ours were written as the standard has
    # it; of others, bytes that are valid UTF-8 are hardly ever anything else.
    if name == b"iTXt" or key != b"sdnb":
        try:
            return rest.decode("utf-8"), len(rest) * packed
        except UnicodeDecodeError:
            if name == b"iTXt":
                raise
    return rest.decode("latin-1"), len(rest) * packed


def of_other(file: BinaryIO) -> dict[str, str]:
    """The texts of a JPEG, WebP, AVIF or GIF: "parameters" is an infotext of EXIF or a comment.

    Raises ValueError for a picture of too many pixels and as `jpeg_header.check`, and what Pillow
    raises on a damaged file.
    """
    if jpeg_header.begins(file.read(3)):
        file.seek(0)
        jpeg_header.check(file)
    file.seek(0)
    with Image.open(file) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"claims {width}x{height} pixels; at most 8192x8192 are read")
        comment = image.info.get("comment")
        texts = {} if comment is None else _named("comment", _plain(comment))
        xmp = image.info.get("xmp")
        texts |= _of_xmp(xmp.decode("utf-8", "replace")) if isinstance(xmp, bytes) else {}
        return {**texts, **_of_exif(image.getexif())}


def _of_xmp(text: str) -> dict[str, str]:
    """The comment in a packet of XMP, where Draw Things keeps its settings."""
    begin = text.find("<exif:UserComment")
    begin = text.find("<rdf:li", begin) if begin >= 0 else -1
    begin = text.find(">", begin) + 1 if begin >= 0 else 0
    end = text.find("</rdf:li>", begin) if begin else -1
    return _named("UserComment", html.unescape(text[begin:end])) if end >= 0 else {}


def _of_exif_bytes(data: bytes) -> dict[str, str]:
    exif = Image.Exif()
    try:
        exif.load(data)
        return _of_exif(exif)
    except Exception:  # noqa: BLE001 - decoders raise errors of any type; a PNG's texts are beside
        return {}


def _of_exif(exif: Image.Exif) -> dict[str, str]:
    inner = exif.get_ifd(_EXIF_FOLDER)
    texts: dict[str, str] = {}
    for tag, name in _TAGS.items():  # the later counts
        for value in (exif.get(tag), inner.get(tag)):
            texts |= {} if value is None else _named(name, _plain(value))
    for value in exif.values():
        begin = value[:9].lower() if isinstance(value, str) else ""
        label = next((s for s in _LABELLED if begin.startswith(s)), "")
        if label:
            texts[label[:-1]] = str(value)[len(label) :].strip()
    return texts


def _named(name: str, text: str) -> dict[str, str]:
    """The text by the key that it has in a PNG, if it may be settings; cameras write there too."""
    is_settings = "steps" in text.lower()
    return {"parameters" if is_settings else name: text} if text.strip() else {}


def _plain(value: Any) -> str:
    """A comment as text. EXIF names its code in 8 bytes before it (CIPA DC-008, 4.6.6.5.1)."""
    if not isinstance(value, bytes):
        try:  # Pillow takes EXIF's text for Latin-1
            return str(value).encode("latin-1").decode("utf-8").rstrip("\0")
        except ValueError:
            return str(value).rstrip("\0")
    code, rest = value[:8].upper(), value[8:]
    if code == b"UNICODE\0" and b"\0" in rest.rstrip(b"\0"):
        # UTF-16 of either order, of some programs UTF-8; an ASCII character has its zero byte first
        # in big endian.
        big = rest[::2].count(0) >= rest[1::2].count(0)
        return rest.decode("utf-16-be" if big else "utf-16-le", "replace").strip("\0\ufeff")
    if code == b"JIS\0\0\0\0\0":
        return rest.decode("iso2022_jp", "replace").strip("\0")
    text = rest if code in (b"ASCII\0\0\0", b"UNICODE\0", b"\0" * 8) else value
    return text.decode("utf-8", "replace").rstrip("\0")
