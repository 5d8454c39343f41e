"""Parts behind a button that shows and hides them; ipywidgets' Accordion takes no keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets


class Fold(widgets.VBox):
    """Children behind a button with a title. `opened` is called when they are first to be seen,
    and can make them then.
    """

    def __init__(
        self, title: str, children: Sequence[widgets.Widget] = (),
        opened: Callable[[], object] = lambda: None,
    ) -> None:  # fmt: skip
        self._opened: Callable[[], object] | None = opened
        self.inside = widgets.VBox(children, layout=widgets.Layout(display="none"))
        self._button = widgets.ToggleButton(
            icon="caret-right", layout=widgets.Layout(width="auto", align_self="flex-start")
        )
        self._button.add_class("sdnb-fold")
        self._button.observe(self._turned, "value")
        self.name(title)
        super().__init__([self._button, self.inside])

    @property
    def unfolded(self) -> bool:
        """Whether the children are seen."""
        return bool(self._button.value)

    @unfolded.setter
    def unfolded(self, value: bool) -> None:
        self._button.value = value

    def name(self, title: str) -> None:
        """Give it this title."""
        self._button.description, self._button.tooltip = title, f"{title}: show or hide"

    def _turned(self, change: Any) -> None:
        if change["new"] and self._opened is not None:
            opened, self._opened = self._opened, None
            opened()
        self.inside.layout.display = "" if change["new"] else "none"
        self._button.icon = "caret-down" if change["new"] else "caret-right"
