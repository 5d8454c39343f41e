"""Writes a gallery's pictures to its folder, and says where they are."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from sdnb.request.plain_words import counted
from sdnb.widgets.file_link import files_link
from sdnb.widgets.gallery.gallery_picture import GalleryPicture, save_sheet

_Said = tuple[str, str]  # words, and HTML of a link behind them


class GalleryFiles:
    """A folder that pictures are saved to. All raise OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        #: Held while a file is written that no picture is known to have yet.
        self.lock = threading.Lock()

    def save(self, *pictures: GalleryPicture) -> list[Path]:
        """Save these pictures, unless they are there, and return their paths."""
        paths = []
        with self.lock:
            for picture in pictures:
                if picture.saved is None or not picture.saved.exists():
                    picture.saved = picture.save(self._folder)
                paths.append(picture.saved)
        return paths

    def one(self, picture: GalleryPicture) -> _Said:
        """Save this one."""
        paths = self.save(picture)
        return f"Saved as {paths[0]}", files_link(paths)

    def all(self, pictures: Sequence[GalleryPicture]) -> _Said:
        """Save all of these, the oldest, which is the last, first."""
        paths = self.save(*reversed(pictures))
        words = f"{counted(len(paths), 'picture')} {'is' if len(paths) == 1 else 'are'} in"
        return f"{words} {self._folder}", files_link(dict.fromkeys(paths))

    def sheet(self, picture: GalleryPicture, pictures: Sequence[GalleryPicture]) -> _Said:
        """Save those that were made with this one as one picture."""
        made = [other for other in reversed(pictures) if other.held is picture.held]
        path = save_sheet(made, self._folder)
        return f"Saved as {path}", files_link([path])
