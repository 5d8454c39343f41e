"""The control of the input picture: upload it, see it, remove it."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import ipywidgets as widgets
from PIL import Image

from sdnb import images
from sdnb.images import Saved
from sdnb.request import png_header
from sdnb.widgets import style, too_large
from sdnb.widgets.buttons import icon_button, text_button
from sdnb.widgets.drops import TAKES
from sdnb.widgets.form.controls import Changed, FieldControl
from sdnb.widgets.form.decoded import beside, decoded, encoded
from sdnb.widgets.form.fields import Field
from sdnb.widgets.jpegs import jpeg
from sdnb.widgets.upload import Upload

_Read = TypeVar("_Read")
_INVITATION = (
    "Drop a picture here, paste it, or choose a file. One of the gallery can be dragged here, too, "
    "or sent by its button “to …”."
)
# The words, the icon and what is told of the ways to other pictures.
_OTHERS = (
    ("Back to the picture before", "undo", "Show the picture that was here before"),
    ("Forth", "repeat", "Show the picture again that was here after this one"),
)
_SIDE = 192  # pixels of the shown picture's longer side


class PictureBox(FieldControl):
    """PNG bytes, or None. Its button calls `offer` with the settings that an upload carries."""

    def __init__(
        self, field: Field, changed: Changed, offer: Callable[[Saved], None] | None, small: bool
    ) -> None:
        super().__init__(field, changed)
        self._offer = offer
        self._small = small  # whether to show the picture; the mask editor may show it already
        self._carried: Saved | None = None
        self._reading: str | None = None  # the file that is being read
        self._told = ""  # what is said of the picture that is there
        self._asked = 0  # how many files were given
        self._then: Callable[[], object] | None = None  # what waits for the one that is on its way
        tip = f"Choose a {field.label.lower()}, drop one here, or paste one"
        self._upload = Upload(f"{field.label}…", tip, self.take, refuse=self._refuse)
        remove = f"{field.label}: take it out"
        self._remove = icon_button("times", remove, remove)
        self._remove.layout.display = "none"
        self._remove.on_click(lambda _: self._take(None))
        self._use = widgets.Button(
            description="Use its settings", tooltip="Put the settings that this picture was made "
            "with into the panel", layout=widgets.Layout(width="auto", display="none"),
        )  # fmt: skip
        self._use.on_click(lambda _: self._used())
        self._others = [
            text_button(words, icon, f"{tip}, with its mask and size", partial(self._go, way))
            for way, (words, icon, tip) in enumerate(_OTHERS)
        ]
        self.offer_others(None, None)
        self._message = style.quiet_line()
        too_large.hear(self._refuse)
        self._image = widgets.Image(format="jpeg", layout=widgets.Layout(display="none"))
        self._row = style.row([self._upload, self._remove, *self._others, self._use, self._message])
        self._pictures = style.row([self._image], align_items="flex-start", grid_gap="8px")
        self._invitation = widgets.HTML(layout=widgets.Layout(display="none"))
        self.widget = widgets.VBox([self._row, self._pictures])
        self.widget.add_class(TAKES)

    @property
    def given(self) -> bytes | None:
        """The picture as it was given, without what is painted on it."""
        return None if self.value is None else bytes(self.value)

    def beside(self, *more: widgets.Widget) -> None:
        """Show these widgets beside the picture, or below it where there is no room."""
        self._pictures.children = (self._image, *more)

    def offer_also(self, button: widgets.Button) -> None:
        """Show another way to give a picture, beside the upload."""
        self._row.children = (self._upload, button, *self._row.children[1:])

    def offer_others(self, *ways: Callable[[], object] | None) -> None:
        """Show a button for each way, back to the picture before and forth again; None is none."""
        self._ways = ways
        for button, go in zip(self._others, ways, strict=True):
            button.layout.display = "none" if go is None else ""

    def invite(self, then: str) -> None:
        """Show how to give a picture where it will stand, while there is none; `then` are words on
        what one does with it.
        """
        words = html.escape(f"{_INVITATION}{then}")
        self._invitation.value = f'<div class="sdnb-empty sdnb-invites">{words}</div>'
        self._invitation.layout.display = "" if self._value is None else "none"
        self.widget.children = (self._row, self._invitation, self._pictures)

    def show_small(self, seen: bool) -> None:
        """Show the picture, or not: something else may show it already."""
        self._small = seen
        self._image.layout.display = "" if seen and self._value is not None else "none"

    def take_image(self, image: Image.Image) -> None:
        """Take a picture of this page, once it is encoded."""
        self.read(partial(encoded, image), lambda png: self._put(png, None, ""), "The picture")

    def take(self, data: bytes, name: str = "") -> None:
        """Take a picture file that a person gave, once it is read; show why if it cannot be."""
        self.read(partial(_from_file, data), lambda found: self._put(*found, name), name)

    def read(self, read: Callable[[], _Read], put: Callable[[_Read], object], name: str) -> None:
        """Call `read` beside the kernel, then `put` with what it returned, unless another picture
        came meanwhile; show its error.
        """
        self._reading, self._then = name or "The picture", None
        self._asked += 1
        asked = self._asked
        self._say(f"{self._reading} is being read …")

        def taken(found: _Read | Exception) -> None:
            if asked != self._asked or self._reading is None:  # another one came, or it was removed
                return
            self._reading = None
            if isinstance(found, Exception):  # the picture before stays, and its settings
                self._then = None
                stays = "" if self._value is None else " The picture before stays."
                self._say(f"{name or 'The file'}: {found}.{stays}", wrong=True)
            else:
                put(found)

        beside(partial(_tried, read), taken)

    def _put(self, png: bytes, carried: Saved | None, name: str) -> None:
        """Take a file's picture, and the settings that it carries."""
        then = self._then
        self.value = png
        self._carried, self._then = carried, then
        offered = carried is not None and self._offer is not None
        self._use.layout.display = "" if offered else "none"
        w, h = png_header.size(png)
        self._tell(f"{name} {w} × {h}".strip() + (" · it carries its settings" if offered else ""))
        self._arrived()

    @property
    def wrong(self) -> str:
        return f"{self.on_its_way}: wait a moment." if self.on_its_way else ""

    @property
    def on_its_way(self) -> str:
        """Words for a picture that is not there yet; "" where it is."""
        return "" if self._reading is None else f"{self._reading} is being read"

    def when_there(self, act: Callable[[], object]) -> str:
        """Have `act` called once the picture is there, if one is on its way: words for that, or "".
        It is not called where that picture cannot be read, or another one comes.
        """
        if self.on_its_way:
            self._then = act
        return self.on_its_way

    def _arrived(self) -> None:
        """Do what was asked for meanwhile."""
        then, self._then = self._then, None
        self._changed()
        if then is not None:
            then()

    def _go(self, way: int) -> None:
        if (go := self._ways[way]) is not None:
            go()

    def _used(self) -> None:
        if self._carried is not None and self._offer is not None:
            self._offer(self._carried)

    def _refuse(self, words: str) -> None:
        self._say(words, wrong=True)

    def forget_refused(self) -> None:
        """Clear what was said of a file that could not be taken."""
        if "sdnb-warn" in self._message.value:
            self._say(self._told)

    def _tell(self, words: str) -> None:
        self._told = words
        self._say(words)

    def _say(self, words: str, wrong: bool = False) -> None:
        form = '<span class="sdnb-warn" role="alert">{}</span>' if wrong else "{}"
        self._message.value = form.format(html.escape(words))

    def _see_through(self, picture: Image.Image) -> str:
        """What becomes of transparency, where there is any."""
        seen = picture.getchannel("A").histogram() if "A" in picture.getbands() else []
        return " · transparent parts become white" if any(seen[:255]) else ""

    def _show(self) -> None:
        self._carried = self._reading = self._then = None
        self._use.layout.display = "none"
        has = self._value is not None
        invites = self._invitation.value and not has
        self._invitation.layout.display = "" if invites else "none"
        self._remove.layout.display = "" if has else "none"
        self._image.layout.display = "" if has and self._small else "none"
        self._tell("")
        if has:
            self._show_picture()
            picture = decoded(self._value)
            self._tell("{} × {}".format(*picture.size) + self._see_through(picture))

    def _show_picture(self) -> None:
        picture = decoded(self._value)
        scale = min(1, _SIDE / max(picture.size))
        self._image.layout.width = f"{max(1, round(picture.width * scale))}px"
        self._image.value = jpeg(picture, _SIDE)


def _tried(read: Callable[[], _Read]) -> _Read | Exception:
    """What it returns, or why a picture cannot be read."""
    try:
        return read()
    except (ValueError, TypeError, OSError) as error:
        return error


def _from_file(data: bytes) -> tuple[bytes, Saved | None]:
    """A file's picture as PNG bytes, and the settings that it carries."""
    return encoded(data), _carried(data)


def _carried(data: bytes) -> Saved | None:
    """The settings that the picture file carries, if any."""
    try:
        return images.inspect(data, partly=True)
    except (ValueError, TypeError, OSError):  # most pictures carry nothing
        return None
