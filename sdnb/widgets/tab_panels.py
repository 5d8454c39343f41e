"""The panels of the studio's tabs, each built when it is first opened or asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import ipywidgets as widgets

from sdnb.widgets import style
from sdnb.widgets.panel import Panel

_LATE = "The tab is being opened. It waits while a cell of a notebook runs."


class TabPanels(Mapping[str, Panel]):
    """Panels by their tabs' names: a tab that nobody opens costs neither the kernel nor the page
    anything. `build` makes the panel of a name; `places` are the tabs' contents.
    """

    def __init__(self, names: Sequence[str], build: Callable[[str], Panel]) -> None:
        self._build, self._panels = build, dict[str, Panel]()
        self._lock = threading.RLock()  # a click and a cell are heard in threads of their own
        self._late = style.quiet_line()  # a part of the studio, also where no tab shows it
        self._late.value = _LATE
        self._places = {name: widgets.VBox([self._late]) for name in names}
        for place in self._places.values():
            place.add_class("sdnb-late")

    @property
    def places(self) -> list[widgets.Widget]:
        """The boxes that hold the panels, in the tabs' order."""
        return list(self._places.values())

    def named(self, holds: Callable[[Panel], bool]) -> set[str]:
        """The names of the panels that are there and of which this holds."""
        return {name for name, panel in list(self._panels.items()) if holds(panel)}

    @property
    def built(self) -> list[Panel]:
        """The panels that are there, after the end of what is being built."""
        with self._lock:
            return list(self._panels.values())

    def __getitem__(self, name: str) -> Panel:
        with self._lock:
            if name not in self._panels:
                place = self._places[name]  # raises KeyError for a name that is none
                self._panels[name] = self._build(name)
                place.remove_class("sdnb-late")
                place.children = [self._panels[name]]
            return self._panels[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
