"""Lines of small grey text: under a result, about the settings that came with the input picture,
and what was done with a picture.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence

import ipywidgets as widgets
from ipywidgets.widgets.widget_string import HTMLStyle

from sdnb.widgets.style import shared


class Caption(widgets.HTML):
    """Lines of small grey text, none at first."""

    def __init__(self) -> None:
        super().__init__(style=shared(HTMLStyle))
        self.add_class("sdnb-quiet")
        self._of: bytes | None = None

    def say(self, *lines: str, of: bytes | None = None, wrong: Sequence[str] = ()) -> None:
        """Show these lines, and those of what went `wrong`, until others come; those `of` an input
        picture only while it is that one.
        """
        self._of, self.layout.visibility = of, "visible"  # it may have been hidden with a picture
        said = [f"<div>{html.escape(line)}</div>" for line in lines]
        self.value = "".join([*said, *map(_error, wrong)])

    def look(self, image: bytes | None) -> None:
        """Note which input picture there is now."""
        if self._of is not None and self._of != image:
            self.say()


class SaidLine(widgets.HTML):
    """What was done with a picture, or why not; empty at first."""

    def __init__(self) -> None:
        super().__init__(style=shared(HTMLStyle))
        for name in ("sdnb-quiet", "sdnb-said-line"):
            self.add_class(name)
        self._holds: Callable[[], bool] = _always

    def say(self, words: str, link: str = "", holds: Callable[[], bool] | None = None) -> None:
        """Show these words, with HTML behind them, until others come, or until `look` finds that
        they no longer hold.
        """
        self._holds = holds or _always
        said = f'<span role="status">{html.escape(words)}</span> {link}'
        self.value = said if words else ""

    def complain(self, error: Exception) -> None:
        """Show why nothing was done, until other words come."""
        self._holds = _always
        self.value = _error(str(error))

    def look(self) -> None:
        """Clear the line if it no longer holds."""
        if self.value and not self._holds():
            self.say("")


def _error(words: str) -> str:
    return f'<div class="sdnb-error" role="alert">{html.escape(words)}</div>'


def _always() -> bool:
    return True
