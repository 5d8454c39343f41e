"""The lines under a result, or about the settings that came with the input picture."""

from __future__ import annotations

import html

import ipywidgets as widgets
from ipywidgets.widgets.widget_string import HTMLStyle

from sdnb.widgets.style import shared


class Caption(widgets.HTML):
    """Lines of small grey text, none at first."""

    def __init__(self) -> None:
        super().__init__(style=shared(HTMLStyle))
        self.add_class("sdnb-quiet")
        self._of: bytes | None = None

    def say(self, *lines: str, of: bytes | None = None) -> None:
        """Show these lines, until others come; those `of` an input picture only while it is that
        one.
        """
        self._of = of
        self.value = "".join(f"<div>{html.escape(line)}</div>" for line in lines)

    def look(self, image: bytes | None) -> None:
        """Note which input picture there is now."""
        if self._of is not None and self._of != image:
            self.say()
