"""The picture of a gallery that is open: what one does with it, and all that is known of it."""

from __future__ import annotations

import html
from collections.abc import Sequence

import ipywidgets as widgets

from sdnb.widgets import style
from sdnb.widgets.details import opened, seen, told
from sdnb.widgets.file_link import picture_link
from sdnb.widgets.gallery_picture import GalleryPicture


class OpenedPicture(widgets.VBox):
    """Buttons, with the picture and its settings below them; hidden while there is none.

    Behind `first` there is the link that downloads it, then those of `act`, then `last`; those of
    `send` have a row of their own.
    """

    def __init__(self, first: widgets.Widget, last: Sequence[widgets.Widget]) -> None:
        self._which, self.link = style.quiet_line(), widgets.HTML()
        self.view, self.about = widgets.HTML(), widgets.HTML()
        self.view.add_class("sdnb-picture")
        self.about.layout = widgets.Layout(flex="1 1 320px", margin="0 0 0 12px")
        self._first, self._own, self._last = first, list[widgets.Widget](), list(last)
        self._acts, self.sends = style.row([]), style.row([], display="none")
        both = style.row([self.view, self.about], align_items=None)
        super().__init__([self._which, self._acts, self.sends, both])
        self.add_class("sdnb-chosen-box")
        self._lay_out()

    def act(self, *buttons: widgets.Button) -> None:
        """Add buttons of what is done with it."""
        self._own += buttons
        self._lay_out()

    def send(self, button: widgets.Button) -> None:
        """Add a button that sends it somewhere."""
        self.sends.children = (*self.sends.children, button)
        self.sends.layout.display = ""

    def show(self, picture: GalleryPicture | None, other: GalleryPicture | None) -> None:
        """Show this picture, beside the `other` one if they are compared; None hides all."""
        self.layout.display = "none" if picture is None else ""
        if picture is None:
            self.view.value = self.about.value = self.link.value = ""
            return
        self._which.value = html.escape(opened(picture))
        self.view.value = seen(picture, other)
        self.about.value = told(picture)
        self.link.value = picture_link(picture)

    def _lay_out(self) -> None:
        self._acts.children = [self._first, self.link, *self._own, *self._last]
