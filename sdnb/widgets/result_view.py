"""The newest pictures of a panel, as large as their column, and what one does with them there."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial

import ipywidgets as widgets
from ipywidgets.widgets.widget_description import DescriptionStyle

from sdnb.widgets.buttons import SHEET, icon_button, send_button, text_button
from sdnb.widgets.caption import SaidLine
from sdnb.widgets.compare import Side, compared, input_of
from sdnb.widgets.details import sides, zoomed
from sdnb.widgets.file_link import picture_link
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.hearing import in_order
from sdnb.widgets.jpegs import jpeg
from sdnb.widgets.live_picture import LivePicture
from sdnb.widgets.style import quiet_line, row, shared

Act = Callable[[GalleryPicture], object]
_PAUSE = 0.7  # seconds until a picture of live is one that stays
START, BEFORE = "the start picture", "the one before"  # what a picture is compared with


class ResultView(widgets.VBox):
    """Shows finished pictures one at a time, in place of the preview.

    `preview` is the image of a run on its way: when it is shown, it takes the picture's place.
    Buttons and words below stay: those of a picture that this run has finished can be used, those
    of a run before are not seen. A person who turns to a finished picture meanwhile looks at it
    until the next one is finished: `is_held`. `save` writes a picture, `sheet` a sheet of all that
    were made with it; both return what to say.
    """

    def __init__(
        self,
        preview: widgets.Image,
        save: Callable[[GalleryPicture], str],
        sheet: Callable[[GalleryPicture], tuple[str, str]],
    ) -> None:
        self.pictures: list[GalleryPicture] = []
        self._at = 0
        self._before: GalleryPicture | None = None  # what was shown before these
        self._comparing = self._is_old = self.is_held = False
        #: What stands below the view and is said of its pictures.
        self.said: list[widgets.DOMWidget] = []
        self._preview = preview
        self._save, self._sheet = save, sheet
        preview.observe(lambda _: self._previewed(), "value")
        # Also the same one as the last run's, which is no change of its value.
        preview.layout.observe(self._displayed, "display")
        self._live = LivePicture()
        self._pause: threading.Timer | None = None
        self._picture = widgets.HTML(layout=widgets.Layout(display="none"))
        self._picture.add_class("sdnb-finished")
        self._empty = widgets.HTML('<div class="sdnb-empty">The picture comes here.</div>')
        self._message = SaidLine()
        self._build()
        pictures = [self._empty, preview, self._live, self._picture]
        super().__init__([*pictures, self._turn, self._actions, self._sends, self._message])
        self.add_class("sdnb-result")

    @property
    def picture(self) -> GalleryPicture | None:
        """The picture that is shown."""
        return self.pictures[self._at] if self.pictures else None

    def show(self, pictures: Sequence[GalleryPicture], at: int = 0) -> None:
        """Show these pictures, first the one `at` that place. Those that were shown are the ones
        before, unless they are among these.
        """
        now = self.picture
        if now is not None and now not in pictures:
            self._before = now
        self.pictures, self._at = list(pictures), at
        self._comparing = self._is_old = self.is_held = False
        self.say("")
        self._refresh()

    def begin(self) -> None:
        """Note that another run has begun: the pictures here are those of one before."""
        self._is_old, self.is_held = True, False
        self.say("")

    def show_live(self, picture: GalleryPicture) -> None:
        """Show a picture of live. The one before stays on the page until this one is there."""
        self.pictures, self._at, self._comparing = [picture], 0, False
        self.say("")
        self._live.show(jpeg(picture.image, quality=92), picture.image.width)
        if not self._is_made:
            self._make()
        self._compare.disabled, self._compare.description = True, "Compare"
        self._link.value = ""
        self._link_at_a_pause(picture)
        for part in (self._empty, self._preview, self._picture, self._turn, self._with):
            part.layout.display = "none"
        for part in (self._actions, self._sends):
            part.layout.display = ""

    def _link_at_a_pause(self, picture: GalleryPicture) -> None:
        """Link a picture of live that stays: to write each file takes longer than live has."""
        self._link_no_more()

        def link() -> None:
            self._pause = None  # a picture that is deleted is kept by nothing
            with suppress(OSError):
                made = picture_link(picture)
                if self.picture is picture:
                    self._link.value = made

        self._pause = threading.Timer(_PAUSE, contextvars.copy_context().run, (link,))
        self._pause.daemon = True
        self._pause.start()

    def _link_no_more(self) -> None:
        if (pause := self._pause) is not None:
            pause.cancel()
            self._pause = None

    def show_coming(self, preview: bytes, width: int, share: float) -> None:
        """Show a preview of live, a JPEG, over the picture: `share` of its run is done."""
        if not self._live.is_shown:
            if self.picture is not None:
                self._live.show(jpeg(self.picture.image, quality=92), self.picture.image.width)
            for part in (self._empty, self._preview, self._picture, self._turn):
                part.layout.display = "none"
        self._live.show_coming(preview, width, share)

    def expect(self, coming: bool) -> None:
        """Mark the picture of live as an old one while the next is on its way, or no more."""
        self._live.expect(coming)

    def settle(self) -> None:
        """Show the last picture of live as any other: live has ended."""
        if self._live.is_shown:
            self._refresh()

    def clear(self) -> None:
        """Show no picture, and compare the next one with none of these."""
        self.pictures, self._at, self._before, self._comparing = [], 0, None, False
        self.say("")
        self._refresh()

    def forget(self, gone: Collection[GalleryPicture]) -> None:
        """Show the pictures that are not among these, which somebody deleted."""
        if self._before in gone:
            self._before = None
        if any(picture in gone for picture in self.pictures):
            self.pictures = [picture for picture in self.pictures if picture not in gone]
            self._at, self._comparing = min(self._at, max(len(self.pictures) - 1, 0)), False
            self._refresh()

    def action(self, words: str, icon: str, tooltip: str, act: Act) -> None:
        """Add a button that calls `act` with the picture that is shown."""
        make = partial(text_button, words, icon, tooltip, partial(self._do, act))
        self._more[self._actions].append(make)

    def send(self, name: str, act: Act, tooltip: str, *, last: bool = False) -> None:
        """Add a button that sends the picture that is shown to the place of this name; `last` is
        behind all others.
        """
        make = partial(send_button, name, tooltip, partial(self._do, act))
        makers = self._more[self._sends]
        makers.insert(len(makers) - self._at_end, make)
        self._at_end += last

    def say(self, words: str, link: str = "", holds: Callable[[], bool] | None = None) -> None:
        """Show a line below the picture until another picture is shown, or until `look` finds that
        it no longer `holds`; `link` is HTML after it.
        """
        self._message.say(words, link, holds)

    def look(self) -> None:
        """Clear the line if it no longer holds."""
        self._message.look()

    # -- building ----------------------------------------------------------------------------

    def _build(self) -> None:
        self._turn, self._actions, self._sends = (row([], display="none") for _ in range(3))
        self._more: dict[widgets.HBox, list[Callable[[], widgets.Button]]] = {
            self._actions: [], self._sends: [],
        }  # fmt: skip
        self._at_end = 0  # how many places stand behind all others
        self._is_made = False

    def _make(self) -> None:
        """Make the buttons: nobody needs one before there is a picture."""
        self._is_made = True
        self._back = icon_button("chevron-left", "The picture before", "The picture before")
        self._next = icon_button("chevron-right", "The next picture", "The next picture")
        self._back.on_click(lambda _: self._turned(-1))
        self._next.on_click(lambda _: self._turned(1))
        self._where = quiet_line()
        sheet = self._button(*SHEET, lambda picture: self.say(*self._sheet(picture)))
        self._turn.children = [self._back, self._where, self._next, sheet]
        tip = "Write it with its settings inside"
        save = self._button("Save", "save", tip, self._saved)
        self._link = widgets.HTML()
        tip = "Compare it with the picture that it began from, or the one before"
        self._compare = self._button("Compare", "columns", tip, lambda _: self._compared())
        self._with = widgets.Dropdown(
            options=(START, BEFORE), description="with", tooltip="What is left of the line",
            style=shared(DescriptionStyle, "auto"), layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        self._with.observe(lambda _: self._refresh(), "value")
        first = {self._actions: (save, self._link, self._compare, self._with)}
        for place, more in self._more.items():
            place.children = (*first.get(place, ()), *(make() for make in more))
        in_order(self)

    def _button(self, words: str, icon: str, tooltip: str, act: Act) -> widgets.Button:
        return text_button(words, icon, tooltip, partial(self._do, act))

    # -- acting ------------------------------------------------------------------------------

    def _do(self, act: Act) -> None:
        """Do a button's work and show its error, since a callback's error is seen nowhere."""
        if self.picture is not None:
            try:
                act(self.picture)
            except (OSError, ValueError) as error:
                self._message.complain(error)

    def _saved(self, picture: GalleryPicture) -> None:
        self.say(self._save(picture))
        self._link.value = picture_link(picture)  # under the name that it has now

    def _turned(self, by: int) -> None:
        self.is_held = not self._is_old
        self._at = min(max(self._at + by, 0), len(self.pictures) - 1)
        self.say("")
        self._refresh()

    def _compared(self) -> None:
        self.is_held = not self._is_old
        self._comparing = not self._comparing
        self._refresh()

    # -- showing -----------------------------------------------------------------------------

    def _lefts(self, picture: GalleryPicture) -> dict[str, Callable[[], Side | None]]:
        """What it can be compared with, by what that is called: the picture that it began from, and
        the one before, of these or of those that were shown before them.
        """
        lefts: dict[str, Callable[[], Side | None]] = {}
        if picture.request.image is not None:
            lefts[START] = partial(input_of, picture)
        before = self.pictures[self._at - 1] if self._at else self._before
        if before is not None:
            lefts[BEFORE] = lambda: (before.image, sides(before, picture))
        return lefts

    def _previewed(self) -> None:
        """Show the preview in place of the picture. An empty one gives way to the pictures."""
        if not self._preview.value:
            self._refresh()
            return
        self._preview.layout.display = ""  # first: from then on the style sheet hides the picture
        for part in (self._picture, self._empty):
            part.layout.display = "none"
        self._live.hide()
        self._tell_apart(self._is_old)
        if self.picture is not None:
            self._where.value = f"finished: {self._which(self.picture)}"

    def _displayed(self, change: dict[str, str]) -> None:
        if change["new"] == "":
            self._previewed()

    def _tell_apart(self, hidden: bool) -> None:
        """Hide what is below the picture, and keep its place, so that nothing moves; or show it."""
        for part in (self._turn, self._actions, self._sends, *self.said):
            part.layout.visibility = "hidden" if hidden else "visible"

    @staticmethod
    def _which(picture: GalleryPicture) -> str:
        return f"{picture.which} · seed {picture.request.seed}"

    def _refresh(self) -> None:
        self._link_no_more()
        picture = self.picture
        if picture is None:
            self._picture.value = ""  # a deleted picture is kept by nothing
            if self._is_made:
                self._link.value = ""
        else:
            self._fill(picture)
        # After its values, which take a while: until they are there, the preview stays.
        several = picture is not None and picture.place[1] > 1
        self._turn.layout.display = "" if several else "none"
        self._tell_apart(False)
        for part in (self._actions, self._sends, self._picture):
            part.layout.display = "" if picture else "none"
        self._preview.layout.display = "none"
        self._live.hide()
        self._empty.layout.display = "none" if picture else ""

    def _fill(self, picture: GalleryPicture) -> None:
        """Show this picture's values."""
        if not self._is_made:
            self._make()
        self._where.value = self._which(picture)
        self._back.disabled, self._next.disabled = self._at == 0, self._at == len(self.pictures) - 1
        lefts = self._lefts(picture)
        self._compare.disabled = not lefts
        self._compare.description = "Stop comparing" if self._comparing else "Compare"
        self._with.layout.display = "" if self._comparing and len(lefts) > 1 else "none"
        side = lefts.get(self._with.value) or next(iter(lefts.values()), None)
        left = side() if side is not None and self._comparing else None
        if left is not None:
            self._picture.value = compared(left[0], picture.image, left[1], ways=True)
        else:
            self._picture.value = zoomed(picture)
        self._link.value = picture_link(picture)
