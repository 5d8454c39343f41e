"""Buttons that are an icon: seen as one, read aloud in words."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets


def icon_button(icon: str, words: str, tooltip: str) -> widgets.Button:
    """A small button; `words` are its name for those who do not see the icon (Font Awesome's)."""
    button = widgets.Button(icon=icon, description=words, tooltip=tooltip)
    button.add_class("sdnb-icon")
    return button


def text_button(words: str, icon: str, tooltip: str, act: Callable[[], object]) -> widgets.Button:
    """A button as wide as its words."""
    layout = widgets.Layout(width="auto")
    button = widgets.Button(description=words, icon=icon, tooltip=tooltip, layout=layout)
    button.on_click(lambda _: act())
    return button
