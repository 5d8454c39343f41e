"""Pictures that come by the mouse or from the clipboard: dropped from the desktop, dragged out of a
gallery, or pasted. `drops.js` listens to them inside the widget that `Drops` is a child of.
"""

from __future__ import annotations

import secrets
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from sdnb.widgets.gallery.gallery_picture import GalleryPicture

#: The CSS class of a part that takes what is dropped there. Without an upload of its own, what is
#: dropped is for the first one of its panel.
TAKES = "sdnb-takes"
_ELSEWHERE = "This picture is of another page or notebook: save it there, and drop its file."


class _Hand(anywidget.AnyWidget):
    """The part with JavaScript; `drops.js` says what it does."""

    _esm = Path(__file__).with_name("drops.js").read_text(encoding="utf-8")  # see keys.py
    name = traitlets.Unicode().tag(sync=True)
    within = traitlets.Unicode().tag(sync=True)


_all: weakref.WeakValueDictionary[str, Drops] = weakref.WeakValueDictionary()


class Drops(widgets.Box):
    """Has the widget that it is a child of take pictures, and give them: `give` is called with the
    place of a thumbnail that somebody begins to drag, None for a picture that is shown large.
    That widget has the CSS class `within`.
    """

    def __init__(
        self,
        give: Callable[[int | None], GalleryPicture | None] = lambda _: None,
        *,
        within: str = "sdnb",
    ) -> None:
        name = secrets.token_hex(8)
        self._hand = _Hand(name=name, within=within)
        self._hand.on_msg(lambda _, content, __: self._told(content))
        self._give, self.dragged = give, None
        # A box around it, since a browser that cannot load it shows an error in its place.
        super().__init__([self._hand], layout=widgets.Layout(display="none"))
        _all[name] = self

    #: What somebody began to drag last.
    dragged: GalleryPicture | None

    def _told(self, message: dict[str, Any]) -> None:
        self.dragged = self._give(message["dragged"])


def dragged(name: str) -> GalleryPicture:
    """The picture that was dragged out of the widget of this name. Raises ValueError if there is no
    such widget in this kernel, or the picture is gone.
    """
    found = _all[name].dragged if name in _all else None
    if found is None:
        raise ValueError(_ELSEWHERE)
    return found
