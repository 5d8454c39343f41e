"""Number boxes, alone or with a slider beside them, and a slider over a few words.

A screen reader cannot name ipywidgets' slider. So a box holds the number, with a label and the
keyboard, and the slider is for the mouse alone; words are in a list instead of a box.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets
import traitlets
from ipywidgets.widgets.widget_description import DescriptionStyle

from sdnb.request.plain_words import digits
from sdnb.widgets.buttons import text_button
from sdnb.widgets.hearing import in_order
from sdnb.widgets.style import shared

Moved = Callable[[float], object]


class NumberBox(widgets.HBox):
    """A box for a number within `limits`: an int that `multiple` divides, or for 0 any float. What
    is typed stays as it was typed: a number that is refused stays too, `wrong` says why, and a
    button takes the nearest one that is not.

    `moved` is called with each number that a person gives and that is taken; `show` calls nobody.
    `box` is the part with the keyboard.
    """

    disabled = traitlets.Bool(help="Whether it can be changed by hand.")
    wrong = traitlets.Unicode("", help="Why the number in the box is refused; empty if it is not.")

    def __init__(
        self,
        description: str,
        value: float,
        limits: tuple[float, float],
        moved: Moved = lambda _: None,
        *,
        multiple: int = 0,
        step: float = 1,
        tooltip: str = "",
        label_width: str = "auto",
        width: str = "auto",
    ) -> None:
        self.limits, self.moved, self._multiple = limits, moved, multiple
        # Without bounds, since a browser would change what is typed to lie within them.
        self.box = widgets.FloatText(
            value=value, step=step, description=description, tooltip=tooltip,
            style=shared(DescriptionStyle, label_width), layout={"width": width},
        )  # fmt: skip
        self._said: widgets.HTML | None = None  # made when there is something to say
        self._nearest: float = value  # to the number that is refused
        super().__init__(self._parts())
        self.add_class("sdnb-number")
        self.show(value)
        self.box.observe(self._typed, "value")
        widgets.dlink((self, "disabled"), (self.box, "disabled"))

    @property
    def value(self) -> float:
        """The number that was taken last, exactly as it was given."""
        return self._value

    def show(self, value: float) -> None:
        """Show a number in place of what is in the box."""
        self._value = value
        self.wrong = ""
        self.box.value = value

    def _parts(self) -> list[widgets.Widget]:
        return [self.box]

    def _typed(self, change: Any) -> None:
        if change["new"] != self._value or self.wrong:  # otherwise `show` has set it
            self._give(change["new"])

    def _give(self, number: float) -> None:
        """Take a person's number, or say why it is refused."""
        if words := self._refusal(number):
            self.wrong = words
            return
        value = int(number) if self._multiple else float(number)
        self.show(value)
        self.moved(value)

    def _refusal(self, number: float) -> str:
        low, high = self.limits
        multiple = self._multiple
        if low <= number <= high and not (multiple and number % multiple):
            return ""
        kind = "a whole number" if multiple else "a number"
        if multiple > 1 and number % multiple:
            kind = f"a multiple of {multiple}"
        bounds = f"from {digits(low)} to {digits(high)}" if high < math.inf else f"of {low} or more"
        near = min(max(round(number / multiple) * multiple if multiple else number, low), high)
        self._nearest = near
        return (
            f"{self.box.description}: {digits(number)} is not {kind} {bounds}; "
            f"the nearest is {digits(near)}"
        )

    def _make(self) -> None:
        """Make the parts that say what is wrong, below the box."""
        self._said = widgets.HTML()
        self._said.add_class("sdnb-warn")
        tip = "Put the nearest number into the box that can be there"
        self._take_nearest = text_button("", "", tip, lambda: self._give(self._nearest))
        self._take_nearest.add_class("sdnb-way")
        self.children = (*self._parts(), self._said, self._take_nearest)
        in_order(self._take_nearest)

    @traitlets.observe("wrong")
    def _say(self, change: Any) -> None:
        (self.box.add_class if change["new"] else self.box.remove_class)("sdnb-wrong")
        if self._said is None:
            self._make()
        assert self._said is not None
        self._said.value = f'<span role="alert">{html.escape(change["new"])}</span>'
        self._take_nearest.description = f"Take {digits(self._nearest)}"
        for part in (self._said, self._take_nearest):
            part.layout.display = "" if change["new"] else "none"


class Slider(NumberBox):
    """A number box with a slider that spans `reach`. Only dragging rounds, to multiples of `step`;
    for a number beyond its reach the slider stands at its end. The parts are `box` and `track`.
    """

    def __init__(
        self, description: str, value: float, limits: tuple[float, float],
        moved: Moved = lambda _: None, *, reach: tuple[float, float], step: float = 1, **more: Any,
    ) -> None:  # fmt: skip
        self._step, self._reach = step, reach
        # It counts steps: a browser rounds a slider's number, and sends back what it rounded.
        self.track = widgets.IntSlider(
            readout=False, style=shared(widgets.SliderStyle), layout={"width": "auto"}
        )
        self.track.add_class("sdnb-track")
        super().__init__(description, value, limits, moved, step=step, **more)
        self.track.tooltip = self.box.tooltip
        self.add_class("sdnb-slider")
        self.span(*reach)
        self.track.observe(self._dragged, "value")
        widgets.dlink((self, "disabled"), (self.track, "disabled"))

    def span(self, low: float, high: float) -> None:
        """Let the slider reach from `low` to `high`; the number stays."""
        self._reach = low, high
        self.track.max = max(self.track.max, round(high / self._step))  # never below the least
        self.track.min, self.track.max = round(low / self._step), round(high / self._step)
        self.track.value = self._place()

    def show(self, value: float) -> None:
        super().show(value)
        self.track.value = self._place()

    def _parts(self) -> list[widgets.Widget]:
        return [self.box, self.track]

    def _place(self) -> int:
        low, high = self._reach
        return round(min(max(self._value, low), high) / self._step)

    def _dragged(self, change: Any) -> None:
        if change["new"] != self._place():  # otherwise it follows the number
            self._give(round(change["new"] * self._step, 10))


class WordSlider(widgets.HBox):
    """`index` is the position of the chosen word in `words`. The parts are `list` and `track`."""

    index = traitlets.Int(0, help="The word's place.")

    def __init__(self, description: str, words: Sequence[str]) -> None:
        places = [(word, place) for place, word in enumerate(words)]
        self.list = widgets.Dropdown(
            options=places, description=description,
            style={"description_width": "auto"}, layout={"width": "auto"},
        )  # fmt: skip
        self.track = widgets.SelectionSlider(
            options=places, readout=False, continuous_update=False, layout={"width": "auto"}
        )
        super().__init__([self.list, self.track])
        self.add_class("sdnb-slider")
        self.track.add_class("sdnb-track")
        for part in (self.list, self.track):
            traitlets.link((self, "index"), (part, "index"))
