"""A quiet line about what the controls were set to by something else, with a button to undo it."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import partial

import ipywidgets as widgets

from sdnb.request import Request
from sdnb.request.plain_words import plain
from sdnb.request.record import TEMPLATES
from sdnb.widgets.buttons import text_button
from sdnb.widgets.style import quiet_line, row


class WayBack(widgets.VBox):
    """Hidden until `say`; its button acts and hides it, and so does `forget`."""

    def __init__(self) -> None:
        super().__init__(layout=widgets.Layout(display="none"))

    def say(self, words: str, label: str, act: Callable[[], object], icon: str = "undo") -> None:
        """Show these words, and a button with this label."""
        line = quiet_line()
        line.value = f'<span role="status">{html.escape(words)}</span>'

        def back() -> None:
            self.forget()
            act()

        self.children = [row([line, text_button(label, icon, "", back)])]
        self.layout.display = ""

    def forget(self) -> None:
        """Hide it."""
        self.layout.display = "none"


class MaskStays(WayBack):
    """Says that a mask stayed when another picture came under it; `clear` takes it out."""

    def __init__(self, clear: Callable[[], object]) -> None:
        super().__init__()
        self._clear = clear

    def tell(self) -> None:
        """Speak of the mask."""
        self.say("The mask stays: what it covers is made again.", "Clear the mask", self._clear)

    def look(self, mask: Callable[[], bytes | None]) -> None:
        """Note the mask there is now, which takes a while to ask for."""
        if self.layout.display == "" and mask() is None:
            self.forget()


class SeedCame(WayBack):
    """Says that a seed came with a picture, until it is another one; `free` opens it again."""

    def __init__(self, free: Callable[[], object]) -> None:
        super().__init__()
        self._free = free
        self._seed: int | None = None

    def tell(
        self, seed: int | None, before: int | None, how: str = "came with the picture"
    ) -> None:
        """Speak of this seed, unless it is the one of before, or none."""
        self._seed = seed
        if seed not in (None, before):
            self.say(f"Seed {seed} {how}.", "Random again", self._free)

    @property
    def told(self) -> int | None:
        """The seed of which it speaks; None while it does not."""
        return self._seed if self.layout.display == "" else None

    def look(self, seed: int | None) -> None:
        """Note the seed that is set now."""
        if seed != self._seed:
            self.forget()


class TemplateCame(WayBack):
    """Says of words that came that they were chosen from a template; `take` gets it as `prompt` and
    `negative`.
    """

    def __init__(self, take: Callable[..., object]) -> None:
        super().__init__()
        self._take = take

    def look(self, request: Callable[[], Request]) -> None:
        """Note the words that are set now, which takes a while to ask for."""
        if self.layout.display == "":
            self.tell(request())

    def tell(self, request: Request) -> None:
        """Speak of the template of these words, if they have one."""
        own = {name: getattr(request, template) for name, template in TEMPLATES.items()}
        templates = {name: template for name, template in own.items() if template}
        if templates:
            shown = plain(" and ".join(f"“{each}”" for each in templates.values()), 160)
            words = f"The words are what the seed chose of {shown}."
            self.say(words, "Take the template", partial(self._take, **templates))
        else:
            self.forget()
