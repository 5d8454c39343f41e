"""Keys, clicks and the wheel that Python is to hear, or that the notebook is not to hear.

A button and a box report less than that, and JupyterLab takes the keys they leave. So a few dozen
lines of JavaScript (`keys.js`) listen inside a panel, a gallery or a mask editor; anywidget loads
them in each kind of notebook. Where its browser's part is missing, all else goes on without.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

Heard = Callable[[dict[str, Any]], object]


class _Ear(anywidget.AnyWidget):
    """The part with JavaScript; `keys.js` says what it sends."""

    _esm = Path(__file__).with_name("keys.js")
    kind = traitlets.Enum(("panel", "gallery", "canvas", "tabs")).tag(sync=True)
    boxes: Any = traitlets.List().tag(sync=True, **widgets.widget_serialization)


class Keys(widgets.Box):
    """Listens inside the widget that it is a child of, and calls `heard` with each message.

    The messages of a "panel" have the `values` of its `boxes` by their ids; a "gallery" sends a
    `key` and the thumbnail's `place`, -1 for none; "tabs" send that they are `ready`; a "canvas"
    sends nothing. Nothing is seen of it.
    """

    def __init__(
        self, kind: str, heard: Heard = lambda _: None, boxes: Sequence[widgets.Widget] = ()
    ) -> None:
        self._ear = _Ear(kind=kind, boxes=list(boxes))
        self._ear.on_msg(lambda _, content, __: self._told(content))
        self._heard, self._asked = heard, dict[int, Callable[[], object]]()
        self._numbers = itertools.count(1)
        # A box around it, since a browser that cannot load it shows an error in its place.
        super().__init__([self._ear], layout=widgets.Layout(display="none"))

    def when_heard(self, act: Callable[[], object]) -> None:
        """Call `act` when the page has heard all that was sent to it by now."""
        number = next(self._numbers)
        self._asked[number] = act
        self._ear.send({"asked": number})

    def _told(self, message: dict[str, Any]) -> None:
        if "asked" not in message:
            self._heard(message)
        elif (act := self._asked.pop(message["asked"], None)) is not None:  # of the first page
            act()

    def see(self, name: str) -> None:
        """Scroll the page, if it must be, until the part of this CSS class is seen."""
        self._ear.send({"see": f".{name}"})

    def focus(self, widget: widgets.DOMWidget) -> None:
        """Move the browser's focus to a widget, even if it is not on the page yet."""
        name = f"sdnb-{widget.model_id}"
        widget.add_class(name)
        self._ear.send({"focus": name})


class GenerateKeys(Keys):
    """Calls `generate` when someone presses Ctrl+Enter in a panel, a grid tab or a model picker, or
    its button of the CSS class `sdnb-generate`. Before, the boxes among `parts` get what is in them
    on the page.
    """

    def __init__(self, parts: Sequence[widgets.Widget], generate: Callable[[], object]) -> None:
        self._parts, self._generate = parts, generate
        super().__init__("panel", self._pressed, list(_boxes(parts)))

    def look_again(self) -> None:
        """Take in the boxes that came or went."""
        self._ear.boxes = list(_boxes(self._parts))

    def _pressed(self, message: dict[str, Any]) -> None:
        values = message["values"]
        boxes = [box for box in self._ear.boxes if box.model_id in values]
        # All are compared before one is set: a box may follow another. None is what is no number.
        typed = [(box, values[box.model_id]) for box in boxes]
        typed = [(box, value) for box, value in typed if value is not None and value != box.value]
        for box, value in typed:
            box.value = value
        self._generate()


def _boxes(parts: Iterable[widgets.Widget]) -> Iterator[widgets.Widget]:
    """The boxes that one types into, of these widgets and of all inside them."""
    for part in parts:
        if isinstance(part, (widgets.Text, widgets.Textarea, widgets.FloatText)):
            yield part
        yield from _boxes(getattr(part, "children", ()))
