"""What of a drawing the picture follows, how strongly, and in how many steps it does so live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
from ipywidgets.widgets.widget_description import DescriptionStyle

from sdnb.widgets.sketch.drawn_request import AUTO, BOTH, COLOURS, LINES, WAYS, Way
from sdnb.widgets.slider import Slider
from sdnb.widgets.style import level, quiet_line, shared

_CALLED = {
    AUTO: "lines, and colours if there are any",
    LINES: "its lines",
    COLOURS: "its colours",
    BOTH: "lines and colours",
}
_NO_NET = (
    "No control network here follows lines: one for scribbles or sketches in the library would."
)


class Following(widgets.VBox):
    """Holds a `way`; `changed` is called after a person has changed it."""

    def __init__(self, net: str | None, changed: Callable[[], object]) -> None:
        self._changed, self._at_work = changed, False
        self._way = Way(net=net)
        style = shared(DescriptionStyle, "76px")
        self._which = widgets.Dropdown(
            description="Follow", style=style, layout=widgets.Layout(width="auto"),
            tooltip="What of the drawing the picture follows",
        )  # fmt: skip
        self._strength = Slider(
            "Freedom", self._way.strength, (0, 1), self._take, reach=(0, 1), step=0.05,
            label_width="76px",
            tooltip="How far the picture may go from the colours: 0 gives them back, 1 is free",
        )  # fmt: skip
        self._scale = Slider(
            "Hold", self._way.scale, (0, 10), self._take, reach=(0, 2), step=0.05,
            label_width="76px", tooltip="How strongly the lines hold the picture; 0 is not at all",
        )  # fmt: skip
        self._lacks = level(quiet_line())
        self._lacks.value = _NO_NET
        super().__init__([self._which, self._lacks, self._strength, self._scale])
        self._which.observe(self._take, "value")
        self.serve(net)

    @property
    def way(self) -> Way:
        return self._way

    @way.setter
    def way(self, way: Way) -> None:
        self._way = way
        self._show()

    @property
    def wrong(self) -> str:
        """Why a number in a box is refused; "" if none is."""
        return str(self._strength.wrong or self._scale.wrong)

    def serve(self, net: str | None) -> None:
        """Take another model's network for lines; without one, only colours are followed."""
        which = self._way.way if net else COLOURS
        self.way = Way(which, self._way.strength, self._way.scale, net)

    def _show(self) -> None:
        way, self._at_work = self._way, True
        try:
            names = WAYS if way.net else (COLOURS,)
            options = tuple((_CALLED[name], name) for name in names)
            if self._which.options != options:
                self._which.options = options
            self._which.value = way.way
            self._strength.show(way.strength)
            self._scale.show(way.scale)
        finally:
            self._at_work = False
        self._lacks.layout.display = "none" if way.net else ""
        self._strength.layout.display = "none" if way.way == LINES else ""
        self._scale.layout.display = "none" if way.way == COLOURS else ""

    def _take(self, _: Any) -> None:
        if not self._at_work:
            net = self._way.net
            self.way = Way(self._which.value, self._strength.value, self._scale.value, net)
            self._changed()
