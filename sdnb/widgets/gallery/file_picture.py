"""A picture of a gallery that is in a file, which is read when it is looked at."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from sdnb.images import MAX_PIXELS
from sdnb.images.glance import Glance, why
from sdnb.images.saved import place_of
from sdnb.library.known import Stamp
from sdnb.library.picture_index import PictureIndex
from sdnb.request import documents
from sdnb.request.picture_file import existing, opened
from sdnb.request.plain_words import plain
from sdnb.widgets.gallery.gallery_picture import GalleryPicture, from_path
from sdnb.widgets.jpegs import data_uri

if TYPE_CHECKING:
    from sdnb.images.result import Result

_AT_ONCE = 4  # files whose pixels stay in memory
_NO_THUMB = "data:image/gif;base64,R0lGODlhAQABAAAAACw="  # of a file that is no picture


class FilePicture(GalleryPicture):
    """A picture in a file. `stamp` is its size and time of change, when the folder was listed."""

    def __init__(self, path: Path, stamp: Stamp = (0, 0)) -> None:
        self.index, self.kept, self.file, self.thumb = 0, False, None, ""
        self.of, self.told = 0, None  # until the file is read
        self.saved = self._path = path
        self.stamp, self.when = stamp, stamp[1] / 1e9
        self._glance: Glance | None = None
        self._damage = ""

    result = property(lambda self: self._seen().result)
    known = property(lambda self: self._seen().known)
    strength_told = property(lambda self: self._seen().strength_told)

    @property
    def held(self) -> Result | None:
        return None

    @property
    def words(self) -> str:
        return self._path.name

    @property
    def path(self) -> Path:
        return self._path

    @property
    def glance(self) -> Glance | None:
        return self._glance

    @property
    def tip(self) -> str:
        if self.problem:
            return f"{self._path.name}: {self.problem}"
        seen = self._glance
        if seen is None or not seen.prompt:
            return self._path.name
        return f"{self._path.name}, {seen.prompt}"

    @property
    def problem(self) -> str:
        """Why it is no whole picture, as far as that is known; "" where it is one."""
        return self._damage or (self._glance.problem if self._glance is not None else "")

    def recall(self, index: PictureIndex) -> bool:
        """Take what the index knows of it; False where that is nothing."""
        self._glance = self._glance or index.recall(self._path, self.stamp)
        return self._glance is not None

    def look(self, index: PictureIndex) -> None:
        """Read its header, unless that was done."""
        if self._glance is None:
            self._glance = index.read(self._path, self.stamp)

    def read_thumb(self, side: int) -> None:
        """Read the file, unless that was done. One that is no picture gets an empty thumbnail."""
        if not self.thumb:
            try:
                self.thumb, self.told = _thumb(self._path, side)
            except Exception as error:  # noqa: BLE001 - decoders raise errors of any type
                self._damage, self.thumb = plain(why(error), 200), _NO_THUMB

    def _seen(self) -> GalleryPicture:
        status = existing(self._path, "picture").stat()  # its errors are sentences
        seen = _looked_at(self._path, status.st_mtime_ns, status.st_size)
        self.told = seen.told
        return seen


@lru_cache(maxsize=_AT_ONCE)
def _looked_at(path: Path, *_: int) -> GalleryPicture:
    return from_path(path)


def _thumb(path: Path, side: int) -> tuple[str, tuple[int, int] | None]:
    """A thumbnail of a file, and the picture's place in its run as the file tells it."""
    with opened(path, "picture") as file, Image.open(file) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"it has {image.width}x{image.height} pixels; 8192x8192 are shown")
        image.draft("RGB", (side, side))
        return data_uri(ImageOps.exif_transpose(image), side), _place(image)


def _place(image: Image.Image) -> tuple[int, int] | None:
    with suppress(ValueError, TypeError, AttributeError):  # a damaged text, or none
        return place_of(documents.from_json(image.info.get("sdnb", b"")).get("place"))
    return None
