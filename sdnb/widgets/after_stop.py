"""What one does with a picture that was stopped: keep its seed, or make it again."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets

from sdnb.widgets.buttons import text_button
from sdnb.widgets.hearing import in_order


class AfterStop(widgets.HBox):
    """Two buttons, hidden until `offer`; `keep` is called with the seed. Their labels say which
    seed that is, since the picture below has a button for its own, and what is made.
    """

    def __init__(self) -> None:
        self.keep: Callable[[int], object] = lambda _: None
        self._seed = 0
        self._again: Callable[[], object] = lambda: None
        super().__init__(layout=widgets.Layout(display="none"))

    def offer(self, seed: int, again: Callable[[], object], *, rest: int = 1, of: int = 1) -> None:
        """Offer to keep this seed, and to call `again`, which makes the `rest` of `of` pictures."""
        self._seed, self._again = seed, again
        if not self.children:  # most runs are not stopped
            self._make()
        self._keep_button.description = f"Use seed {seed}"
        self._again_button.description = _label(rest, of)
        self.layout.display = ""

    def forget(self) -> None:
        """Hide them."""
        self.layout.display = "none"

    def _make(self) -> None:
        tip = "Keep the seed of the picture that was stopped for the next ones"
        self._keep_button = text_button("", "lock", tip, self._kept)
        tip = "From the first step, with the seeds and settings of the run that was stopped"
        self._again_button = text_button("", "repeat", tip, self._made_again)
        self.children = [self._keep_button, self._again_button]
        in_order(self)

    def _kept(self) -> None:
        self.keep(self._seed)

    def _made_again(self) -> None:
        self._again()


def _label(rest: int, of: int) -> str:
    """ "Make it again", "Make all 6 again", "Make the other 5", "Make the last one"."""
    if rest == of:
        return "Make it again" if of == 1 else f"Make all {of} again"
    return "Make the last one" if rest == 1 else f"Make the other {rest}"
