"""The light bulb: example prompts one after the other, which never take the place of own words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sdnb.widgets.buttons import icon_button
from sdnb.widgets.yes_or_no import YesOrNo


class LightBulb:
    """A `button` that puts the next of the examples into a prompt box.

    `read` gives the words in the box, `write` puts others there. Where they are neither nothing nor
    one of the examples, it asks first: `question`.
    """

    def __init__(self, read: Callable[[], str], write: Callable[[str], object]) -> None:
        self._prompts: Sequence[str] = ()
        self._read, self._write = read, write
        self.button = icon_button("lightbulb-o", "Example", "Put an example into the prompt box")
        self.button.on_click(lambda _: self._pressed())
        self.question = YesOrNo()

    def serve(self, prompts: Sequence[str]) -> None:
        """Offer these examples from now on; without any, there is no button."""
        self._prompts = prompts
        self.button.layout.display = "" if prompts else "none"
        self.forget()

    def forget(self) -> None:
        """Withdraw the question."""
        self.question.forget()

    def _pressed(self) -> None:
        now = self._read()
        if now.strip() and now not in self._prompts:
            self.question.ask(
                "Replace what you typed?", self._put, does="Put an example there",
                spares="Keep what you typed",
            )  # fmt: skip
        else:
            self._put()

    def _put(self) -> None:
        now = self._read()
        place = self._prompts.index(now) + 1 if now in self._prompts else 0
        self._write(self._prompts[place % len(self._prompts)])
        self.forget()
