"""Links that download files: a page does not see the kernel's folders, so the bytes are in it."""

from __future__ import annotations

import html
import io
import mimetypes
import zipfile
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path

from sdnb.widgets.gallery.gallery_picture import GalleryPicture

_MOST = 64 << 20  # bytes that one link may send to the page
_ICON = '<i class="fa fa-download" aria-hidden="true"></i>'


def file_link(name: str, data: bytes, words: str = "Download") -> str:
    """HTML of a link that downloads these bytes under this name."""
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return (
        f'<a class="sdnb-link" download="{html.escape(name, quote=True)}" '
        f'href="data:{kind};base64,{b64encode(data).decode()}">{_ICON}{words}</a>'
    )


def picture_link(picture: GalleryPicture) -> str:
    """HTML of a link to a picture's file, under its name: its settings are inside; "" where it is
    too large for a page. Raises OSError for a file that cannot be read.
    """
    name, data = picture.packed()
    return file_link(name, data) if len(data) <= _MOST else ""


def files_link(paths: Iterable[Path]) -> str:
    """HTML of a link that downloads these files, several as a ZIP; "" where they are too large
    for a page, or none. Raises OSError for a file that cannot be read.
    """
    paths = list(paths)
    if not paths or sum(path.stat().st_size for path in paths) > _MOST:
        return ""
    if len(paths) == 1:
        return file_link(paths[0].name, paths[0].read_bytes())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:  # stored: pictures are compressed already
        for path in paths:
            archive.write(path, path.name)
    return file_link("sdnb-pictures.zip", packed.getvalue(), "Download all")
