"""The picture that follows a drawing, and what one does with it."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets

from sdnb.images.result import Result
from sdnb.request.plain_words import counted, digits
from sdnb.request.quick_enough import Quicker
from sdnb.widgets.buttons import text_button
from sdnb.widgets.jpegs import jpeg
from sdnb.widgets.live_line import LiveLine
from sdnb.widgets.live_picture import LivePicture
from sdnb.widgets.style import row

_EMPTY = '<div class="sdnb-empty">{}</div>'
_FOLLOWS, _COMES = "Draw on the sheet: the picture follows.", "The picture is on its way."
_TOO_SLOW = "Too slow to follow the pen here: Another makes a picture."
_SIDE = 1024  # pixels of the longer side of what is sent to the page


class LiveView(widgets.VBox):
    """Shows one picture after the other; the last one stays until the next is there, and is dimmed
    while that is on its way, with previews over it. `switch` is
    whether it follows at all, `image` has the picture that is shown, `line` what is said above it.
    `keep` and `another` are what the buttons call; `take` is that of a `LiveLine`.
    """

    def __init__(
        self, keep: Callable[[], object], another: Callable[[], object],
        take: Callable[[Quicker], object],
    ) -> None:  # fmt: skip
        self._empty = widgets.HTML(_EMPTY.format(_FOLLOWS))
        self._pictures = LivePicture()
        self.image = self._pictures.still
        self.switch = widgets.ToggleButton(
            value=True, description="Live", icon="bolt", layout=widgets.Layout(width="auto"),
            tooltip="Make the picture again after each stroke and each change of a control",
        )  # fmt: skip
        tip = "Put the picture that is shown into the gallery, as it is"
        self._keep = text_button("Keep", "star", tip, keep)
        self._keep.disabled = True
        tip = "Make it of another seed"
        self._buttons = row(
            [self.switch, self._keep, text_button("Another", "random", tip, another)]
        )
        self.line = LiveLine(take)
        super().__init__([self._buttons, self.line, self._empty, self._pictures])
        self.add_class("sdnb-followed")

    def show(self, result: Result, width: int) -> None:
        """Show the picture of a result, in pixels of the page as wide as that, and what it took."""
        image, request = result.image, result.request
        self._pictures.show(jpeg(image, _SIDE, quality=92), width)
        self._empty.layout.display = "none"
        self._keep.disabled = False
        steps = counted(request.steps or 0, "step")
        self.say(f"{digits(round(result.seconds, 1))} s · {steps} · seed {request.seed}")

    def show_coming(self, preview: bytes, width: int, share: float) -> None:
        """Show a preview, a JPEG, over the picture: `share` of its run is done."""
        self._pictures.show_coming(preview, width, share)
        self._empty.layout.display = "none"

    def expect(self, coming: bool) -> None:
        """Show that the next picture is on its way, or no more."""
        self._empty.value = _EMPTY.format(_COMES if coming else _FOLLOWS)
        self._pictures.expect(coming)

    def give_up(self) -> None:
        """Say in the empty place that no picture comes by itself."""
        self._empty.value = _EMPTY.format(_TOO_SLOW)

    def clear(self) -> None:
        """Show no picture."""
        self._pictures.hide()
        self._empty.layout.display = ""
        self._keep.disabled = True
        self.say("")

    def forget(self) -> None:
        """Offer to keep its picture no more."""
        self._keep.disabled = True

    def hide_picture(self) -> None:
        """Leave its place to another picture, until the next one of its own."""
        self._pictures.hide()
        self._empty.layout.display = "none"

    def say(self, words: str) -> None:
        """Say something above the picture, until the next one is there."""
        self.line.say(words)
