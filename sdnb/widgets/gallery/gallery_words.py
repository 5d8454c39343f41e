"""Where a gallery says what was done with pictures, or why not: where one presses what does it."""

from __future__ import annotations

from collections.abc import Callable

from sdnb.widgets.caption import SaidLine
from sdnb.widgets.gallery.delete_question import DeleteQuestion
from sdnb.widgets.gallery.opened_picture import OpenedPicture


class GalleryWords:
    """A line `above` the thumbnails, one beside the buttons of the `opened` picture, and the
    `question` before pictures are deleted.
    """

    def __init__(self, opened: OpenedPicture, question: DeleteQuestion) -> None:
        self.above = SaidLine()
        self._opened, self._question = opened, question

    @property
    def here(self) -> SaidLine:
        """The line for what is done with a picture: the opened one, if there is one."""
        return self.above if self._opened.picture is None else self._opened.said

    def say(self, words: str, link: str = "", holds: Callable[[], bool] | None = None) -> None:
        """Show a line, with HTML behind it, in place of the last one, while it `holds`."""
        for line in (self.above, self._opened.said):
            line.say("")
        self.here.say(words, link, holds)

    def look(self) -> None:
        """Clear what no longer holds."""
        for line in (self.above, self._opened.said):
            line.look()

    def quiet(self) -> None:
        """Forget the last action's words and question."""
        self.say("")
        self._question.forget()
