"""Buttons: an icon that a screen reader reads as words, or words as wide as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from sdnb.widgets.style import shared

#: What an upload button's tooltip says: beyond it no word comes back (`sdnb.cli.connection`).
UPLOADS = "up to 120 MB; a larger one is given in code, by its path"

#: Words, icon and tooltip of what makes a batch one picture.
SHEET = "Save sheet", "th-large", "Write all pictures of this run as one, with the request inside"


def icon_button(icon: str, words: str, tooltip: str, kind: type = widgets.Button) -> Any:
    """A small button with a Font Awesome icon; `words` are for screen readers."""
    more = {"style": shared(widgets.ButtonStyle)} if kind is widgets.Button else {}
    button = kind(icon=icon, description=words, tooltip=tooltip, **more)
    button.add_class("sdnb-icon")
    return button


def text_button(words: str, icon: str, tooltip: str, act: Callable[[], object]) -> widgets.Button:
    """A button as wide as its words; a click calls `act`."""
    more = {"layout": widgets.Layout(width="auto"), "style": shared(widgets.ButtonStyle)}
    button = widgets.Button(description=words, icon=icon, tooltip=tooltip, **more)
    button.on_click(lambda _: act())
    return button


def send_button(place: str, tooltip: str, act: Callable[[], object]) -> widgets.Button:
    """A button that sends a picture to a place: at a result, in a gallery and in a grid."""
    return text_button(f"to {place}", "share", tooltip, act)
