"""The small buttons of a prompt: an example, words of before, and one that empties it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sdnb.library import Library
from sdnb.widgets.buttons import icon_button
from sdnb.widgets.form.form import Form
from sdnb.widgets.light_bulb import LightBulb
from sdnb.widgets.word_shelf import WordShelf

_EMPTY = "eraser", "Empty the prompt"
_BACK = "undo", "Bring back the prompt that was emptied"


class PromptTools:
    """Its `buttons` change the prompt of `form`; `words` is the shelf of earlier ones.

    `library` and `changed` are those of a `WordShelf`.
    """

    def __init__(
        self, form: Form, library: Callable[[], Library | None], changed: Callable[[], object]
    ) -> None:
        def write(words: str) -> None:
            form.change(prompt=words)
            changed()

        def read() -> str:
            return str(form.controls["prompt"].value)

        self._bulb, self._eraser = LightBulb(read, write), PromptEraser(read, write)
        self.words = WordShelf(form, library, changed)
        self.buttons = self._bulb.button, self.words.button, self._eraser.button
        #: What is asked before words are lost.
        self.question = self._bulb.question

    def serve(self, examples: Sequence[str]) -> None:
        """Offer these examples from now on."""
        self._bulb.serve(examples)

    def look(self) -> None:
        """Note the words that are in the box now."""
        self._bulb.forget()
        self._eraser.look()


class PromptEraser:
    """Its `button` empties a prompt box. While that is empty, the button brings the words back.

    `read` gives the words in the box, `write` puts others there.
    """

    def __init__(self, read: Callable[[], str], write: Callable[[str], object]) -> None:
        self._read, self._write = read, write
        self._gone = ""  # what was there
        self.button = icon_button(_EMPTY[0], _EMPTY[1], _EMPTY[1])
        self.button.on_click(lambda _: self._pressed())
        self.look()

    def look(self) -> None:
        """Note the words that are in the box now: new ones take the place of those of before."""
        words = self._read()
        if words:
            self._gone = ""
        icon, tip = _BACK if self._gone else _EMPTY
        self.button.icon, self.button.description, self.button.tooltip = icon, tip, tip
        self.button.disabled = not words and not self._gone

    def _pressed(self) -> None:
        gone, self._gone = self._gone, self._read()
        self._write("" if self._gone else gone)
        self.look()
