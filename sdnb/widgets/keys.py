"""Keys, clicks and the wheel that Python is to hear, or that the notebook is not to hear.

A button and a box report less than that, and JupyterLab takes the keys they leave. So two hundred
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

# By how a page's values of them are taken: of lists it is the line, which Python may have moved.
_TYPED = widgets.Text, widgets.Textarea, widgets.FloatText
_LISTS = widgets.Dropdown, widgets.SelectionSlider
_SET = widgets.IntSlider, widgets.Checkbox, widgets.ToggleButton

Heard = Callable[[dict[str, Any]], object]


class _Ear(anywidget.AnyWidget):
    """The part with JavaScript; `keys.js` says what it sends."""

    # Its text: for a path, anywidget would keep every widget of this kind alive.
    _esm = Path(__file__).with_name("keys.js").read_text(encoding="utf-8")
    kind = traitlets.Enum(("panel", "gallery", "canvas", "tabs")).tag(sync=True)
    boxes: Any = traitlets.List().tag(sync=True, **widgets.widget_serialization)
    pictures: Any = traitlets.List().tag(sync=True)  # of a gallery: the numbers of those in sight


class Keys(widgets.Box):
    """Listens inside the widget that it is a child of, and calls `heard` with each message.

    The messages of a "panel" have the `values` that a person gave its `boxes`, each with its id and
    the newest last; of a list it is the line. Or they say whether somebody is `composing` a letter.
    A "gallery" sends a `key` and the `number` of the picture whose thumbnail has the focus, None
    for none; with "move" by how many places, `step`, and whether the next is `focused` already.
    "tabs" send that they are `ready`; a "canvas" sends nothing. Nothing is seen of it.
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

    def focus(self, widget: widgets.DOMWidget, top: str = "") -> None:
        """Move the browser's focus to a widget, even if it is not on the page yet; with `top`, a
        CSS class, the page scrolls until the part of that class is at its top.
        """
        name = f"sdnb-{widget.model_id}"
        widget.add_class(name)
        self._ear.send({"focus": name, "top": f".{top}" if top else ""})


class GenerateKeys(Keys):
    """Calls `generate` when someone presses Ctrl+Enter in a panel, a grid tab or a model picker, or
    its button of the CSS class `sdnb-generate`. Before, the boxes, lists, sliders and switches
    among `parts` get what a person gave them on the page.
    """

    def __init__(self, parts: Sequence[widgets.Widget], generate: Callable[[], object]) -> None:
        self._parts, self._generate = parts, generate
        #: Called with whether somebody composes a letter of several keys in a box, at each change.
        self.composed: Callable[[bool], object] = lambda _: None
        super().__init__("panel", self._pressed, list(_boxes(parts)))

    def look_again(self) -> None:
        """Take in the boxes that came or went."""
        self._ear.boxes = list(_boxes(self._parts))

    def _pressed(self, message: dict[str, Any]) -> None:
        if "composing" in message:
            self.composed(bool(message["composing"]))
            return
        boxes = {box.model_id: box for box in self._ear.boxes}
        told = [(boxes[name], value) for name, value in message["values"] if name in boxes]
        # All are compared before one is set: a box may follow another. None is what is no number.
        for box, value in [(box, value) for box, value in told if _is_news(box, value)]:
            if isinstance(box, _LISTS):
                box.index = box._options_labels.index(value)  # noqa: SLF001 - its lines
            else:
                box.value = value
        self._generate()


def _is_news(box: Any, value: Any) -> bool:
    """Whether this is another value than the one that was heard, and one that the box can have."""
    if isinstance(box, _LISTS):
        return value in box._options_labels and value != box.label  # noqa: SLF001 - its lines
    return value is not None and value != box.value


def _boxes(parts: Iterable[widgets.Widget]) -> Iterator[widgets.Widget]:
    """What one types into, chooses from, drags or turns on, of these and of all inside them."""
    for part in parts:
        if isinstance(part, (*_TYPED, *_LISTS, *_SET)):
            yield part
        yield from _boxes(getattr(part, "children", ()))
