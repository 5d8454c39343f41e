"""Finding and opening a picture file, and explaining why a file cannot be used as a picture."""

from __future__ import annotations

import os
import re
from io import BufferedReader, BytesIO
from pathlib import Path

from sdnb.request import checks

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
_KINDS = "PNG, JPEG, WebP, GIF, BMP, TIFF and AVIF are read"
_LARGEST = 600_000_000  # bytes: 8192x8192 pixels of 16 bits, in four channels
_SIGNATURES = (  # kind, position in the file, bytes
    ("PNG", 0, b"\x89PNG"), ("JPEG", 0, b"\xff\xd8\xff"), ("WebP", 8, b"WEBP"), ("GIF", 0, b"GIF8"),
    ("BMP", 0, b"BM"), ("TIFF", 0, b"II*\0"), ("TIFF", 0, b"MM\0*"), ("AVIF", 4, b"ftypavif"),
)  # fmt: skip
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # a single letter is a Windows drive


def existing(source: str | os.PathLike[str], thing: str) -> Path:
    """The path of an existing file. Raises FileNotFoundError, PermissionError or ValueError."""
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(f"{thing}={checks.shown(source)} is none; the path of a file is expected")
    text = os.fsdecode(source)
    name = f"{thing} {checks.shown(text)}"
    if not text:
        raise ValueError(f"{name} is empty; the path of a file is expected")
    if _ADDRESS.match(text):
        raise ValueError(f"{name} is an address; download the picture and give its path")
    try:
        path = Path(text).expanduser()
        if path.is_file():
            return path
        inside = sorted(p.name for p in path.iterdir()) if path.is_dir() else None
    except PermissionError:
        raise PermissionError(f"{name} may not be read by this user") from None
    except (OSError, ValueError, RuntimeError) as error:  # too long, NUL, no home
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{name} is not a path that can be used ({reason})") from None
    if inside is not None:
        names = [child for child in inside if child.lower().endswith(SUFFIXES)]
        way_out = f"name one of the files in it, such as {names[0]!r}" if names else "name a file"
        raise ValueError(f"{name} is a folder; {way_out}")
    if path.exists():
        raise ValueError(f"{name} is not an ordinary file; {_KINDS}")
    raise FileNotFoundError(
        f"{name} does not exist (looked in {path.absolute().parent}){_way_out(path)}"
    )


def opened(path: Path, thing: str) -> BufferedReader:
    """The file, opened for reading. Raises PermissionError, and ValueError for more bytes than the
    largest picture has.
    """
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise ValueError(
                f"{thing} {str(path)!r} has {size:,} bytes; at most {_LARGEST:,} are read"
            )
        if not size:  # a file of the kernel says so, too, and may wait for ever
            return BufferedReader(BytesIO())
        return path.open("rb")
    except PermissionError:
        raise PermissionError(f"{thing} {str(path)!r} may not be read by this user") from None


def sniffed(head: bytes) -> str:
    """The error text for a file that no decoder reads, judged by its first bytes."""
    for kind, position, signature in _SIGNATURES:
        if head[position : position + len(signature)] == signature:
            return f"begins as a {kind} does, but it is damaged or cut short; get the file again"
    if not head:
        content = "it is empty"
    elif head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc"):
        content = "it is a HEIC photograph; export it as JPEG"
    elif head.lstrip()[:4].lower() in (b"<svg", b"<?xm", b"<htm", b"<!do"):
        content = "it is text (SVG or HTML); export it as PNG"
    elif head[:4] == b"%PDF":
        content = "it is a PDF; export the page as PNG"
    else:
        start = head[:8].decode("ascii", "replace")
        shown = (
            checks.shown(start) if start.isprintable() and start.isascii() else head[:8].hex(" ")
        )
        content = f"it begins with {shown}, as no picture does; {_KINDS}"
    return f"is not a picture that can be read: {content}"


def _way_out(path: Path) -> str:
    try:
        names = [child.name for child in path.absolute().parent.iterdir()]
    except OSError:
        return ", and neither does that folder; give the whole path"
    return checks.nearest(path.name, names) or "; give the whole path"
