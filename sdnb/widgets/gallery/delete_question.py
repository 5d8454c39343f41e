"""The gallery's question before pictures are deleted."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path

import ipywidgets as widgets

from sdnb.widgets import style
from sdnb.widgets.buttons import text_button

Act = Callable[[], object]


class DeleteQuestion:
    """A `row` that is in sight while it waits for an answer, over what is below its `place`; `act`
    does what a button is for, and withdraws the question.
    """

    def __init__(self, act: Callable[[Act], object]) -> None:
        self._act = act
        self.row = style.row([], display="none")
        self.place = style.box("sdnb-over", [self.row])

    def ask(
        self, count: int, what: str, away: Path | None, delete: Act
    ) -> Sequence[widgets.Button]:
        """Ask whether to delete `what` (HTML), `count` pictures; return the buttons that answer,
        yes and no. The files go to the folder `away`, or stay where that is None.
        """
        tip = f"Move them to {away}" if away else "There is no undo"
        yes = text_button(f"Delete {count}", "", tip, lambda: self._act(delete))
        yes.button_style = "danger"
        no = text_button("No", "", "Keep everything", lambda: self._act(lambda: None))
        files = f"are moved to {html.escape(str(away))}" if away else "stay"
        words = widgets.HTML(f"Delete {what}? Files that were saved {files}.")
        self.row.children = [words, yes, no]
        self.row.layout.display = ""
        return yes, no

    def forget(self) -> None:
        """Withdraw the question."""
        self.row.layout.display = "none"
