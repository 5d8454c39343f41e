"""What came of a panel's runs: the newest result, and those that nobody deleted."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence

import ipywidgets as widgets

from sdnb.images.result import Result
from sdnb.widgets.caption import Caption
from sdnb.widgets.details import caption
from sdnb.widgets.gallery.gallery import Gallery
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.result_view import ResultView


class Outcome:
    """Shows results in `view`, in place of the `preview`, puts them into `gallery`, and says in
    `caption` what there is to say. `made_with` is called with the seed of each.

    A result of live is shown, and in no gallery until `keep_live`.
    """

    def __init__(
        self, preview: widgets.Image, gallery: Gallery, made_with: Callable[[int], object]
    ) -> None:
        self.newest: Result | None = None
        self.live: GalleryPicture | None = None  #: the picture of live in sight, if nobody kept it
        self.view = ResultView(preview, gallery.saved, gallery.sheet)
        self.caption = Caption()
        self.view.said.append(self.caption)
        self._gallery, self._made_with = gallery, made_with
        self._lock = threading.Lock()
        self._results: list[weakref.ref[Result]] = []
        self._unsaved: list[str] = []  # what was said of a save that failed
        gallery.on_delete(self.view.forget)

    def column(
        self, above: Sequence[widgets.Widget], below: Sequence[widgets.Widget]
    ) -> widgets.Widget:
        """The picture and what is said of it, with these above and below it."""
        column = widgets.VBox([*above, self.view, *below, self.caption])
        column.add_class("sdnb-outcome")
        return column

    @property
    def results(self) -> list[Result]:
        """The results that are in the gallery, or that somebody has; oldest first."""
        return [result for reference in self._results if (result := reference()) is not None]

    def take(self, result: Result, before: Result | None, of: int) -> None:
        """Show a result of `of` pictures; `before` is the same with fewer, whose place it takes."""
        self.live = None
        self._note(result, before)
        self._gallery.add(result, before, of)
        pictures = [p for p in reversed(self._gallery.pictures) if p.held is result]
        self.view.show(pictures, 0 if before is None else len(pictures) - 1)
        self._made_with(result.request.seed or 0)
        told = self._unsaved if before is not None else []  # it stays for the rest of a batch
        self._unsaved = [*told, *self._gallery.autosave.news()]
        self.caption.say(caption(result), *result.notes, wrong=self._unsaved)

    def take_live(self, result: Result) -> None:
        """Show a result of live in place of the last one, which nothing keeps then."""
        self.newest, self.live = result, GalleryPicture(result)
        self.view.show_live(self.live)
        self._made_with(result.request.seed or 0)
        self.caption.say(caption(result), *result.notes)

    def begin(self) -> None:
        """A run begins: clear what was said of what was done with the last picture. What is said of
        that picture goes with it: a run that fails at once leaves it in sight.
        """
        self.view.begin()
        self._gallery.say("")

    def clear(self) -> None:
        """Show no picture."""
        self.live = None
        self.view.clear()
        self.caption.say()

    def keep_live(self) -> None:
        """Put the picture of live that is shown into the gallery, which may save it."""
        picture, self.live = self.live, None
        if picture is None:
            return
        picture.kept = True  # as the button says
        self._note(picture.result, None)
        self._gallery.put(picture)
        lines = caption(picture.result), *picture.result.notes
        self.caption.say(*lines, wrong=self._gallery.autosave.news())

    def _note(self, result: Result, before: Result | None) -> None:
        with self._lock:
            self.newest = result
            kept = [r for r in self._results if r() not in (None, before)]
            self._results = [*kept, weakref.ref(result)]
