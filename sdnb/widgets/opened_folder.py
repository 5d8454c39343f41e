"""The pictures that are in a gallery's folder already. A file is read when it is looked at."""

from __future__ import annotations

import contextvars
import heapq
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from sdnb.images import MAX_PIXELS
from sdnb.images.saved import place_of
from sdnb.request import documents
from sdnb.request.picture_file import SUFFIXES, existing, opened
from sdnb.widgets.gallery_picture import GalleryPicture, from_path
from sdnb.widgets.jpegs import data_uri
from sdnb.widgets.progress import Throttle

if TYPE_CHECKING:
    from sdnb.images.result import Result

MOST = 1000  # files of a folder; older ones are counted
_AT_ONCE = 4  # files whose pixels stay in memory
_SHOW_EVERY = 0.5  # seconds between two looks of a page whose thumbnails are on their way
_NO_THUMB = "data:image/gif;base64,R0lGODlhAQABAAAAACw="  # of a file that is no picture


class FilePicture(GalleryPicture):
    """A picture in a file."""

    def __init__(self, path: Path) -> None:
        self.index, self.kept, self.file, self.thumb = 0, False, None, ""
        self.of, self.told = 0, None  # until the file is read
        self.saved = self._path = path

    result = property(lambda self: self._seen().result)
    known = property(lambda self: self._seen().known)
    strength_told = property(lambda self: self._seen().strength_told)

    @property
    def held(self) -> Result | None:
        return None

    @property
    def words(self) -> str:
        return self._path.name

    def read_thumb(self, side: int) -> None:
        """Read the file, unless that was done. One that is no picture gets an empty thumbnail."""
        if not self.thumb:
            self.thumb = _NO_THUMB
            with suppress(Exception):  # decoders raise errors of any type on damaged files
                self.thumb, self.told = _thumb(self._path, side)

    def _seen(self) -> GalleryPicture:
        status = existing(self._path, "picture").stat()  # its errors are sentences
        seen = _looked_at(self._path, status.st_mtime_ns, status.st_size)
        self.told = seen.told
        return seen


@lru_cache(maxsize=_AT_ONCE)
def _looked_at(path: Path, *_: int) -> GalleryPicture:
    return from_path(path)


def _thumb(path: Path, side: int) -> tuple[str, tuple[int, int] | None]:
    """A file's thumbnail, and its place in its run, if it tells that."""
    with opened(path, "picture") as file, Image.open(file) as image:
        if image.width * image.height > MAX_PIXELS:
            return _NO_THUMB, None
        image.draft("RGB", (side, side))
        return data_uri(ImageOps.exif_transpose(image), side), _place(image)


def _place(image: Image.Image) -> tuple[int, int] | None:
    with suppress(ValueError, TypeError, AttributeError):  # a damaged text, or none
        return place_of(documents.from_json(image.info.get("sdnb", b"")).get("place"))
    return None


class OpenedFolder:
    """A folder whose pictures a gallery shows; `older` counts those that are too many."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.older = folder, 0

    @property
    def away(self) -> Path:
        """The subfolder of files that were deleted in a gallery."""
        return self._folder / "deleted"

    def listed(self) -> list[GalleryPicture]:
        """The newest pictures, the newest first; none if there is no folder. Raises OSError if it
        is no folder, or cannot be read.
        """
        try:
            with os.scandir(self._folder) as entries:
                found = [
                    (entry.stat().st_mtime_ns, entry.name)
                    for entry in entries
                    if entry.name.lower().endswith(SUFFIXES) and entry.is_file()
                ]
        except FileNotFoundError:
            return []
        except OSError as error:
            words = f"the pictures in {str(self._folder)!r} are not shown: {error.strerror}"
            raise type(error)(words) from error
        newest = heapq.nlargest(MOST, found)
        self.older = len(found) - len(newest)
        return [FilePicture(self._folder / name) for _, name in newest]

    def put_away(self, picture: GalleryPicture) -> None:
        """Move a picture's file, if it has one here, to the subfolder. Raises OSError."""
        path = picture.saved
        if path is None or path.parent != self._folder or not path.exists():
            return
        self.away.mkdir(exist_ok=True)
        place, number = self.away / path.name, 2
        while place.exists():
            place, number = self.away / f"{path.stem}-{number}{path.suffix}", number + 1
        path.rename(place)


class ThumbReader:
    """Reads thumbnails in a thread, those last asked for, and calls `show` as they come."""

    def __init__(self, side: int, show: Callable[[], object]) -> None:
        self._side, self._show = side, show
        self._lock = threading.Lock()
        self._wanted: list[FilePicture] = []
        self._thread: threading.Thread | None = None

    def ask(self, pictures: Sequence[GalleryPicture]) -> None:
        """Read those that have no thumbnail yet."""
        with self._lock:
            self._wanted = [p for p in pictures if isinstance(p, FilePicture) and not p.thumb]
            if self._wanted and self._thread is None:
                run = contextvars.copy_context().run  # in it, a thread can set a widget's value
                self._thread = threading.Thread(target=run, args=(self._read,), daemon=True)
                self._thread.start()

    def _next(self) -> FilePicture | None:
        with self._lock:
            if self._wanted:
                return self._wanted.pop(0)
            self._thread = None
            return None

    def _read(self) -> None:
        throttle = Throttle(_SHOW_EVERY)
        throttle.spent(throttle.now())
        while (picture := self._next()) is not None:
            picture.read_thumb(self._side)
            if throttle.due():
                self._show()
                throttle.spent(throttle.now())
        self._show()
