"""What one does with a picture that was stopped: keep its seed, or make it again."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets

from sdnb.widgets.buttons import text_button
from sdnb.widgets.hearing import in_order
from sdnb.widgets.style import row


class AfterStop(widgets.VBox):
    """Two buttons, hidden until `offer`; `keep` is called with the seed."""

    def __init__(self) -> None:
        self.keep: Callable[[int], object] = lambda _: None
        self._seed = 0
        self._again: Callable[[], object] = lambda: None
        super().__init__(layout=widgets.Layout(display="none"))

    def offer(self, seed: int, again: Callable[[], object]) -> None:
        """Offer to keep this seed, and to call `again`."""
        self._seed, self._again = seed, again
        if not self.children:  # most runs are not stopped
            self._make()
        self.layout.display = ""

    def forget(self) -> None:
        """Hide them."""
        self.layout.display = "none"

    def _make(self) -> None:
        tip = "Keep its seed for the next ones"
        keep = text_button("Use its seed", "lock", tip, self._kept)
        tip = "Make it from the first step, with its seed and settings; of several, the rest"
        again = text_button("Make it again", "repeat", tip, self._made_again)
        self.children = [row([keep, again])]
        in_order(self)

    def _kept(self) -> None:
        self.keep(self._seed)

    def _made_again(self) -> None:
        self._again()
