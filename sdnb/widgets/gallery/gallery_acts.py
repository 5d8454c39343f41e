"""What the buttons and keys of a gallery do with its pictures, and say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import ipywidgets as widgets

from sdnb.widgets.gallery.delete_question import DeleteQuestion
from sdnb.widgets.gallery.gallery_contents import GalleryContents
from sdnb.widgets.gallery.gallery_files import GalleryFiles
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.gallery.gallery_words import GalleryWords
from sdnb.widgets.gallery.opened_picture import OpenedPicture


class GalleryActs(widgets.VBox):
    """The part of a gallery that saves, compares, asks and speaks."""

    _contents: GalleryContents
    _files: GalleryFiles
    _opened_picture: OpenedPicture
    _question: DeleteQuestion
    _words: GalleryWords

    def save_one(self, picture: GalleryPicture) -> None:
        """Save a picture, and show where it is, or the error."""
        self._guarded(lambda: self._saved_one(picture))

    def _saved_one(self, picture: GalleryPicture) -> None:
        words, link = self._files.one(picture)
        if picture is self._opened_picture.picture:
            self._opened_picture.link.value, link = link, ""  # under the name that it has now
        self.say(words, link)

    def saved(self, picture: GalleryPicture) -> str:
        """Save a picture, and return where it is, in words. Raises OSError."""
        return self._files.one(picture)[0]

    def sheet(self, picture: GalleryPicture) -> tuple[str, str]:
        """Save all that were made with this one as one picture: where it is, and a link to it."""
        return self._files.sheet(picture, self._contents.pictures)

    def save_all(self, pictures: Sequence[GalleryPicture] | None = None) -> None:
        """Save all that are listed, or these, and say where they are. Raises OSError."""
        listed = self._contents.found if pictures is None else pictures
        self._words.above.say(*self._files.all(listed))

    def compare(self, left: GalleryPicture, right: GalleryPicture) -> None:
        """Show these two under one slider."""
        self._opened_picture.other = left
        self.choose(right)

    def ask_all(self) -> None:
        """Ask whether to delete all that are listed and not kept."""
        which = "that were found and are" if self._contents.is_narrowed else "that are"
        rest = [picture for picture in self._contents.found if not picture.kept]
        self.ask(rest, f"all pictures {which} not kept")

    def ask(self, pictures: list[GalleryPicture], what: str) -> Sequence[widgets.Button]:
        """Ask whether to delete pictures, and return the buttons that answer: yes and no."""
        self._words.quiet()
        if not pictures:
            self.say("There is nothing to delete.")
            return ()
        delete = partial(self.delete, *pictures)
        return self._question.ask(len(pictures), what, self._contents.away, delete)

    def say(self, words: str, link: str = "", holds: Callable[[], bool] | None = None) -> None:
        """Show a line, with HTML behind it, until the next act or run, or while it `holds`."""
        self._words.say(words, link, holds)

    def refuse(self, words: str) -> None:
        """Show why files are not taken."""
        self._words.quiet()
        self._words.above.complain(ValueError(words))

    def look(self) -> None:
        """Clear the line if it no longer holds."""
        self._words.look()

    def choose(self, picture: GalleryPicture | None) -> None:
        """Show this picture large; None closes it."""
        raise NotImplementedError

    def delete(self, *pictures: GalleryPicture) -> None:
        """Remove these pictures."""
        raise NotImplementedError

    def _guarded(self, act: Callable[[], object]) -> None:
        """Do a button's work and show its error."""
        raise NotImplementedError
