"""A question with two answers, hidden until it is asked."""

from __future__ import annotations

import html
from collections.abc import Callable

import ipywidgets as widgets

from sdnb.request.pace import WORSE, in_words
from sdnb.widgets.buttons import text_button
from sdnb.widgets.hearing import in_order

_LONG = 15 * 60.0  # seconds: nobody waits that long by mistake and is glad of it
_VERY_LONG = 60 * 60.0  # seconds that a key which is pressed twice does not begin


class YesOrNo(widgets.VBox):
    """Shows the words of `ask` and two buttons; an answer hides it, and so does `forget`. Escape is
    No: `keys.js`.
    """

    def __init__(self) -> None:
        super().__init__(layout=widgets.Layout(display="none"))
        self.add_class("sdnb-asks")
        #: Called with the first button when it asks, to give it the page's focus.
        self.focus: Callable[[widgets.DOMWidget], object] = lambda _: None

    def ask(
        self, words: str, act: Callable[[], object], *, yes: str = "Yes", does: str = "",
        spares: str = "Leave it", careful: bool = False,
    ) -> None:  # fmt: skip
        """Ask this; `act` is called if someone says `yes`. `does` and `spares` are the tooltips.
        Enter is the first answer, or No where one is to be `careful`.
        """

        def agreed() -> None:
            self.forget()
            act()

        line = widgets.HTML(f'<span role="status">{html.escape(words)}</span>')
        answers = [text_button(yes, "", does, agreed), text_button("No", "", spares, self.forget)]
        self.children = [line, widgets.HBox(answers)]
        in_order(self)
        self.layout.display = ""
        self.focus(answers[careful])

    def forget(self) -> None:
        """Withdraw the question."""
        self.layout.display = "none"


class LongRun(YesOrNo):
    """Asks before a picture that takes a quarter of an hour or longer; after a yes, before one that
    takes much longer still.
    """

    def __init__(self) -> None:
        super().__init__()
        self._agreed = 0.0  # seconds

    def asks(self, seconds: float | None, begin: Callable[[], object]) -> bool:
        """Whether it asks because of so many seconds, None where nothing is known; then a yes does
        `begin`.
        """
        self.forget()
        if seconds is None or seconds < max(_LONG, WORSE * self._agreed):
            return False

        def agreed() -> None:
            self._agreed = seconds
            begin()

        words = f"This takes {in_words(seconds)}, by the last runs. Begin?"
        does = "Begin; Stop ends it at any time"
        self.ask(words, agreed, does=does, careful=seconds >= _VERY_LONG)
        return True
