"""The colour in which one draws: a picker, and a row of colours that one click takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets

#: Colours by the names that screen readers say. White covers, where an eraser takes away.
SWATCHES = {
    "black": "#000000", "grey": "#808080", "white": "#ffffff", "brown": "#8b5a2b",
    "skin": "#f2c6a0", "red": "#e02020", "orange": "#ff8c1a", "yellow": "#ffd91a",
    "light green": "#7cc242", "green": "#1f8a3b", "turquoise": "#1fb5ad", "light blue": "#8fc8f0",
    "blue": "#1f5fd0", "purple": "#7a3fb0", "pink": "#f070b0",
}  # fmt: skip


class Palette(ipywidgets.Box):
    """Shows the colour in which one draws, and calls `took` with "#rrggbb" when a person takes
    another one.
    """

    def __init__(self, took: Callable[[str], object]) -> None:
        self._took = took
        self._shows = False
        self.picker = ipywidgets.ColorPicker(
            concise=True, value="#000000", description="Colour",
            tooltip="The colour in which the brush draws",
        )  # fmt: skip
        self.picker.observe(self._picked, "value")
        self.swatches = {
            value: self._swatch(*pair) for pair in SWATCHES.items() for value in pair[1:]
        }
        super().__init__([self.picker, *self.swatches.values()])
        self.add_class("sdnb-palette")

    def show(self, colour: str) -> None:
        """Show this colour, and call nobody."""
        self._shows = True
        try:
            self.picker.value = colour
        finally:
            self._shows = False
        for value, button in self.swatches.items():
            (button.add_class if value == colour else button.remove_class)("sdnb-chosen")

    def enable(self, possible: bool) -> None:
        """Enable it, or disable it where nothing can be drawn."""
        for part in (self.picker, *self.swatches.values()):
            part.disabled = not possible

    def _swatch(self, name: str, value: str) -> ipywidgets.Button:
        button = ipywidgets.Button(
            description=f"Draw in {name}", tooltip=f"Draw in {name}",
            style=ipywidgets.ButtonStyle(button_color=value),
        )  # fmt: skip
        button.add_class("sdnb-swatch")
        button.on_click(lambda _: self._took(value))
        return button

    def _picked(self, change: Any) -> None:
        if not self._shows:
            self._took(str(change["new"]))
