"""The pictures that are in a gallery's folder: listed, looked for again, and put away."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from sdnb.images.saving import INPUTS
from sdnb.request.picture_file import SUFFIXES
from sdnb.request.plain_words import counted
from sdnb.widgets.gallery.file_picture import FilePicture
from sdnb.widgets.gallery.gallery_picture import GalleryPicture

MOST = 20_000  # files of a folder; older ones are counted
AWAY = "deleted"  # the subfolder of files that were deleted in a gallery
_NOT_SHOWN = (AWAY, INPUTS, "hints")  # subfolders of what is no picture that was made
_Found = tuple[int, int, str]  # time of change in nanoseconds, size in bytes, path


class OpenedFolder:
    """A folder whose pictures a gallery shows, with `below` those of its subfolders too. `older`
    counts those that are too many, `folders` the subfolders, `unread` those that may not be read.
    """

    def __init__(self, folder: Path, *, below: bool = False) -> None:
        self._folder, self.below = folder, below
        self.older = self.folders = self.unread = 0

    @property
    def away(self) -> Path:
        """The subfolder of files that were deleted in a gallery."""
        return self._folder / AWAY

    def listed(self) -> list[FilePicture]:
        """The newest pictures, the newest first; none if there is no folder. Raises OSError if it
        is no folder, or cannot be read.
        """
        self.folders = self.unread = 0
        try:
            found = list(self._found(self._folder))
        except FileNotFoundError:
            found = []
        except OSError as error:
            words = f"the pictures in {str(self._folder)!r} are not shown: {error.strerror}"
            raise type(error)(words) from error
        newest = heapq.nlargest(MOST, found)
        self.older = len(found) - len(newest)
        return [FilePicture(Path(path), (size, changed)) for changed, size, path in newest]

    def again(self, before: Sequence[GalleryPicture]) -> tuple[list[GalleryPicture], str]:
        """The pictures as they are now, in place of those `before`, and what has changed in words,
        or "". Pictures in memory stay, and so do files that are as they were. Raises as `listed`.
        """
        old = {picture.saved: picture for picture in before if picture.saved is not None}
        new, there = list[GalleryPicture](), set[Path | None]()
        for picture in self.listed():
            there.add(picture.path)
            was = old.get(picture.path)
            if was is None or (isinstance(was, FilePicture) and was.stamp != picture.stamp):
                new.append(picture)
        names = {picture.saved for picture in new}
        stay = [
            picture for picture in before
            if not isinstance(picture, FilePicture)
            or (picture.saved in there and picture.saved not in names)
        ]  # fmt: skip
        gone = sum(isinstance(p, FilePicture) and p.saved not in there for p in before)
        changed = sum(picture.saved in old for picture in new)
        return _merged(new, stay), _in_words(len(new) - changed, changed, gone)

    def put_away(self, picture: GalleryPicture) -> None:
        """Move a picture's file, if it has one here, to the subfolder. Raises OSError."""
        path = picture.saved
        if path is None or not path.is_relative_to(self._folder) or not path.exists():
            return
        if self.away in path.parents:
            return
        self.away.mkdir(exist_ok=True)
        place, number = self.away / path.name, 2
        while place.exists():
            place, number = self.away / f"{path.stem}-{number}{path.suffix}", number + 1
        path.rename(place)

    def _found(self, folder: Path | str) -> Iterator[_Found]:
        """The pictures in a folder; and in its subfolders, which are followed by no link."""
        inside = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.lower().endswith(SUFFIXES) and entry.is_file():
                    status = entry.stat()
                    yield status.st_mtime_ns, status.st_size, entry.path
                elif entry.is_dir(follow_symlinks=False) and _is_shown(entry.name):
                    inside.append(entry.path)
        self.folders += len(inside)
        for each in inside if self.below else ():
            yield from self._found_or_none(each)

    def _found_or_none(self, folder: str) -> Iterator[_Found]:
        try:
            yield from self._found(folder)
        except OSError:
            self.unread += 1


def _is_shown(folder: str) -> bool:
    return folder not in _NOT_SHOWN and not folder.startswith(".")


def _merged(new: list[GalleryPicture], old: list[GalleryPicture]) -> list[GalleryPicture]:
    """Both, the newest first; those of `old` stay in their order."""
    merged, at = list[GalleryPicture](), 0
    for picture in new:
        while at < len(old) and old[at].when >= picture.when:
            merged.append(old[at])
            at += 1
        merged.append(picture)
    return [*merged, *old[at:]]


def _in_words(new: int, changed: int, gone: int) -> str:
    said = [counted(new, "new picture")] if new else []
    said += [f"{counted(changed, 'picture')} changed"] if changed else []
    said += [f"{gone} {'is' if gone == 1 else 'are'} gone"] if gone else []
    return ", ".join(said)
