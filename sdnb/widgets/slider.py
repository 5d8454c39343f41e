"""A number, or one of a few words, with a slider beside it.

A screen reader cannot name ipywidgets' slider. So a box holds the number, with a label and the
keyboard, and the slider is for the mouse alone; words are in a list instead of a box.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets
import traitlets

_MAX_FLOAT = sys.float_info.max  # JSON has no infinity

# The handle is hidden, so that Tab and screen readers skip it; its touch area is visible, and is
# dragged in its place.
CSS = """
.sdnb-slider { align-items: center; overflow: visible; }
.sdnb-slider > .widget-text { flex: 0 0 auto; }
.sdnb-slider > .widget-text input[type=number] { flex: 0 0 auto; width: 72px; }
.sdnb-track { flex: 1 1 90px; min-width: 90px; margin-left: 8px; }
.sdnb-track .noUi-handle { visibility: hidden; }
.sdnb-track .noUi-touch-area { visibility: visible; box-sizing: border-box; border-radius: 50%;
  border: 1px solid var(--jp-border-color0, #bdbdbd); background: var(--jp-layout-color1, #fff);
  cursor: pointer; }
.sdnb-track .noUi-touch-area:hover { background: var(--jp-brand-color1, #1976d2);
  border-color: var(--jp-brand-color1, #1976d2); }
.sdnb-track [disabled] .noUi-touch-area { opacity: 0.4; cursor: default; }
"""


class Slider(widgets.HBox):
    """`value` is a number within `limits`. The slider spans `reach`, and grows with the value.

    The number is an int if `whole`, otherwise a float. The parts are `box` and `track`.
    """

    value = traitlets.Any(help="The number.")
    disabled = traitlets.Bool(help="Whether it can be changed by hand.")

    def __init__(
        self,
        description: str,
        value: float,
        reach: tuple[float, float],
        limits: tuple[float, float],
        *,
        step: float = 1,
        whole: bool = False,
        tooltip: str = "",
        label_width: str = "auto",
    ) -> None:
        number, kind = (int, "Int") if whole else (float, "Float")
        low, high = (number(min(bound, _MAX_FLOAT)) for bound in limits)
        self.box = getattr(widgets, f"Bounded{kind}Text")(
            value=number(value), min=low, max=high, step=number(step), description=description,
            tooltip=tooltip, style={"description_width": label_width}, layout={"width": "auto"},
        )  # fmt: skip
        self.track = getattr(widgets, f"{kind}Slider")(
            value=number(value), min=number(reach[0]), max=number(reach[1]), step=number(step),
            readout=False, tooltip=tooltip, layout={"width": "auto"},
        )  # fmt: skip
        super().__init__([self.box, self.track], value=self.box.value)
        self.add_class("sdnb-slider")
        self.track.add_class("sdnb-track")
        for part in (self.box, self.track):
            part.observe(self._moved, "value")
            widgets.dlink((self, "disabled"), (part, "disabled"))

    def _moved(self, change: Any) -> None:
        self.value = change["new"]

    @traitlets.validate("value")
    def _within(self, proposal: Any) -> Any:
        return min(max(proposal["value"], self.box.min), self.box.max)

    @traitlets.observe("value")
    def _show(self, change: Any) -> None:
        value = change["new"]
        self.track.max = max(self.track.max, value)
        self.track.min = min(self.track.min, value)
        for part in (self.box, self.track):
            part.value = value


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
