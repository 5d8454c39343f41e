"""A button that takes a picture file from the person at the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets

from sdnb.widgets import too_large
from sdnb.widgets.buttons import UPLOADS
from sdnb.widgets.hearing import in_order


class Upload(widgets.Box):
    """A button that takes a picture file and calls `act` with its bytes and name. Its look is that
    of its `classes` in the style sheet; by default it shows its words and nothing else.
    """

    def __init__(
        self,
        words: str,
        tooltip: str,
        act: Callable[[bytes, str], None],
        *,
        classes: Sequence[str] | None = None,
        width: str | None = "auto",
    ) -> None:
        first = words.split(maxsplit=1)[0].strip("…").lower()
        in_words = ("sdnb-upload", f"sdnb-upload-{first}")
        self._classes = in_words if classes is None else classes
        self._words, self._tooltip, self._act = words, f"{tooltip} ({UPLOADS})", act
        self._width = width
        super().__init__()
        self._renew()
        too_large.hear(self._renew)

    def focus(self) -> None:
        self.children[0].focus()

    def _button(self) -> widgets.FileUpload:
        button = widgets.FileUpload(
            accept="image/*", multiple=False, description=self._words, tooltip=self._tooltip,
            layout=widgets.Layout(width=self._width),
        )  # fmt: skip
        for name in self._classes:
            button.add_class(name)
        button.observe(self._uploaded, "value")
        return button

    def _renew(self, _: str = "") -> None:
        """Make the button; another one after an upload that was too large, for whose answer the
        browser's part waits for ever.
        """
        self.children = [self._button()]
        in_order(self)

    def _uploaded(self, change: dict[str, Any]) -> None:
        for file in change["new"]:
            content, name = bytes(file["content"]), str(file["name"])
            self.children[0].value = ()  # otherwise the picture would stay in the widget's state
            self._act(content, name)
