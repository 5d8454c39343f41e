"""What sends pictures to the tabs of a studio: from its gallery, from a result, from a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from sdnb.widgets.carried import ALONE, carried
from sdnb.widgets.form.decoded import encoded
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.panel import Panel
from sdnb.widgets.upscale import UpscalePanel

_AT_ONCE = 1 << 21  # pixels of a picture that is encoded in a click; it takes a fifth of a second


class Tabbed(Protocol):
    """What sending needs of a studio."""

    model: Any
    gallery: Any

    @property
    def panel(self) -> Panel:
        """That of the tab in sight, or the one that a grid varies."""

    @property
    def panels(self) -> Mapping[str, Panel]:
        """All of them by their tabs' names."""

    def show(self, name: str) -> Panel:
        """Select a tab; the page comes to it."""

    def turn(self, name: str) -> None:
        """Select a tab, and leave the page where it is."""


class Sends:
    """Puts pictures into the tabs of a studio."""

    def __init__(self, studio: Tabbed) -> None:
        self._studio = studio

    def send(self, picture: GalleryPicture, name: str) -> None:
        """Put a picture into a tab, and select it. Its settings come along as `carried` has it; to
        txt2img they come alone.
        """
        put = self._opened_for(picture, name)
        put(None if name == "txt2img" else encoded(picture.image))

    def _opened_for(self, picture: GalleryPicture, name: str) -> Callable[[bytes | None], None]:
        """Select a tab, and return what puts a picture there, given its PNG bytes."""
        if name == "txt2img" and not picture.known:
            raise ValueError("It brings no settings: send it to a tab that starts from a picture.")
        locked = self._has_locked(picture)
        return partial(self._put, picture, self._studio.show(name), name, locked)

    def _has_locked(self, picture: GalleryPicture) -> bool:
        """Whether the tab in sight holds the seed of this picture."""
        form = self._studio.panel.form
        first, seed = form.seed.value, picture.request.seed
        count = int(form.controls["count"].value)
        return first is not None and seed is not None and 0 <= seed - first < count

    def _put(
        self, picture: GalleryPicture, panel: Panel, name: str, locked: bool, png: bytes | None
    ) -> None:
        if name != "txt2img" and png != panel.form.controls["image"].value:
            panel.empty()
        if png is not None and not picture.known:  # a photograph
            panel.start_from(png)
            panel.form.propose()
            panel.bring(panel.form.request, [ALONE])
            return
        sent, notes = picture.in_library(self._studio.model.library)
        own = panel.came.without(panel.form.lasting(panel.form.request))
        told = picture.strength_told
        request, said = carried(sent, name, own, strength_told=told, locked=locked)
        panel.bring(request.but(image=png), [*filter(None, [said]), *notes])
        if isinstance(panel, UpscalePanel):
            panel.enlarge(panel.times)

    def button(self, name: str) -> tuple[Callable[[GalleryPicture], None], str]:
        """What sends a picture to a tab, and the words of its button."""
        from_words = name == "txt2img"
        tip = "Put its settings there" if from_words else "Begin from it there, with its words"
        return partial(self._sent, name), tip

    def _sent(self, name: str, picture: GalleryPicture) -> None:
        image = picture.image
        if name == "txt2img" or image.width * image.height <= _AT_ONCE:
            self.send(picture, name)
        else:  # meanwhile the controls are heard, but for Generate
            put = self._opened_for(picture, name)
            box = self._studio.panels[name].form.picture
            box.read(partial(encoded, image), put, "The picture")
        self._studio.gallery.say(f"It is in the tab {name} now, above.")

    def hold_to(self, picture: GalleryPicture) -> None:
        """Make it the picture of a control of the tab in sight, or of the one a grid varies."""
        panel, panels = self._studio.panel, self._studio.panels
        panel.hold_to(picture)
        name = next(name for name in panels if panels[name] is panel)
        self._studio.turn(name)
        self._studio.gallery.say(f"It is the picture of a control in the tab {name} now.")
