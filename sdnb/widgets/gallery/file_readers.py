"""Threads that read a gallery's files while one looks at it: thumbnails of what is in sight, and
the headers of all, by which they are found.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Sequence

from sdnb.library.picture_index import PictureIndex
from sdnb.widgets.gallery.file_picture import FilePicture
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.progress import Throttle

_SHOW_EVERY = 0.5  # seconds between two looks of a page whose thumbnails are on their way
_SAY_EVERY = 1.0  # and of what is found among headers that are being read
_SHARE = 0.1  # of the time that such looks may take


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
                self._thread = _started(self._read)

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


class HeaderReader:
    """Reads headers in a thread, those last asked for, and calls `show` now and then and at the
    end. `left` is how many are still to be read, and `problem` why they could not be kept.
    """

    def __init__(self, index: PictureIndex, show: Callable[[], object]) -> None:
        self._index, self._show = index, show
        self._lock = threading.Lock()
        self._all: Sequence[FilePicture] = ()
        self._thread: threading.Thread | None = None
        self.left, self.problem = 0, ""

    def ask(self, pictures: Sequence[GalleryPicture]) -> None:
        """Know these, the first ones first: at once those that were read before."""
        with self._lock:
            self._all = [p for p in pictures if isinstance(p, FilePicture)]
            self.left = sum(not picture.recall(self._index) for picture in self._all)
            if self.left and self._thread is None:
                self._thread = _started(self._read)

    def finish(self) -> None:
        """Read what is left, here."""
        for picture in self._all:
            picture.look(self._index)

    def _read(self) -> None:
        throttle = Throttle(_SAY_EVERY, _SHARE)
        throttle.spent(throttle.now())
        while True:
            asked = self._all
            unread = [picture for picture in asked if picture.glance is None]
            for number, picture in enumerate(unread):
                picture.look(self._index)
                self.left = len(unread) - number - 1
                if throttle.due():
                    began = throttle.now()
                    self._show()
                    throttle.spent(began)
                if self._all is not asked:  # another list came: its first ones first
                    break
            if self._is_done():
                break
        self._show()

    def _is_done(self) -> bool:
        """Write down what is known where nothing is left; False where more came meanwhile."""
        there = self._all
        if any(picture.glance is None for picture in there):
            return False
        self.problem = self._index.remember([picture.path for picture in there])
        with self._lock:
            if self._all is not there and any(each.glance is None for each in self._all):
                return False
            self._thread, self.left = None, 0
            return True


def _started(read: Callable[[], None]) -> threading.Thread:
    run = contextvars.copy_context().run  # in it, a thread can set a widget's value
    thread = threading.Thread(target=run, args=(read,), daemon=True)
    thread.start()
    return thread
