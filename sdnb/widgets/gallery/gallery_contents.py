"""What is in a gallery: its pictures, those of its folder among them, and which are looked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sdnb.library.picture_index import PictureIndex
from sdnb.request.plain_words import counted
from sdnb.widgets.gallery.file_readers import HeaderReader
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.gallery.opened_folder import OpenedFolder
from sdnb.widgets.gallery.picture_search import PictureSearch
from sdnb.widgets.gallery.search_row import SearchRow
from sdnb.widgets.gallery.thumbnails import PAGE


class GalleryContents:
    """`pictures`, newest first, and `search`, the row by which one finds some of them.

    With `opened` those in `folder` are listed, with `below` those in its subfolders too. `read` is
    called in a thread when more headers were read, `narrowed` when a person looks for others, and
    `turned` when a person says whether to show those in subfolders.
    """

    def __init__(
        self, folder: Path, *, opened: bool, below: bool, read: Callable[[], object],
        narrowed: Callable[[], object], turned: Callable[[], object],
    ) -> None:  # fmt: skip
        self.pictures: list[GalleryPicture] = []
        self._folder = folder
        self.opened = OpenedFolder(folder, below=below) if opened else None
        self._found: list[GalleryPicture] | None = None  # None for all
        self._headers = HeaderReader(PictureIndex(folder), read)
        self._turned = turned
        self.search = SearchRow(narrowed, self._turn, below=below)

    @property
    def found(self) -> list[GalleryPicture]:
        """The pictures that are looked for; all of them where nothing is."""
        return self.pictures if self._found is None else self._found

    @property
    def is_narrowed(self) -> bool:
        """Whether some pictures are looked for."""
        return self._found is not None

    @property
    def away(self) -> Path | None:
        """Where files that are deleted go; None where they stay."""
        return self.opened.away if self.opened else None

    def open(self) -> None:
        """List the folder. Raises OSError if it cannot be read."""
        if self.opened is not None:
            self.pictures = list(self.opened.listed())

    def again(self) -> str:
        """List the folder again; returns what has changed, in words. Raises as `open`."""
        changes = ""
        if self.opened is not None:
            self.pictures, changes = self.opened.again(self.pictures)
        return changes

    def put_away(self, picture: GalleryPicture) -> None:
        """Move a picture's file, if it has one here. Raises OSError."""
        if self.opened is not None:
            self.opened.put_away(picture)

    def finish(self, wanted: PictureSearch) -> None:
        """Read all headers that are left, here, and look for these."""
        self._headers.finish()
        self.search.wanted = wanted

    def look(self, new: Sequence[GalleryPicture] = ()) -> int:
        """Find anew what is looked for, and show what can be; returns how many `new` ones are."""
        wanted, pictures = self.search.wanted, self.pictures
        self._headers.ask(pictures)
        self._found = list(filter(wanted.wants, pictures)) if wanted else None
        folders = self.opened is not None and self.opened.folders > 0
        self.search.show(pictures, folders=folders)
        many = len(pictures) > PAGE or (self.opened is not None and bool(pictures))
        self.search.layout.display = "" if many or wanted or folders else "none"
        return sum(map(wanted.wants, new))

    def counts(self, where: str) -> list[str]:
        """How many there are, `where` one is among them, and what is not there."""
        words = [counted(len(self.pictures), "picture"), where]
        if self._found is not None:
            words[0] = f"{len(self._found):,} of {words[0]}"
        if self.opened and self.opened.older:
            words.append(f"{self.opened.older:,} older ones are only in {self._folder}")
        if self.opened and self.opened.unread:
            words.append(f"{counted(self.opened.unread, 'subfolder')} may not be read")
        if self._headers.left:
            words.append(f"{self._headers.left:,} are being read")
        return list(filter(None, [*words, self._headers.problem]))

    def _turn(self, below: bool) -> None:
        if self.opened is not None:
            self.opened.below = below
            self._turned()
