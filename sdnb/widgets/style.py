"""The style sheet of all widgets (`style.css`), rows, and small text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import ipywidgets as widgets
from ipywidgets.widgets.widget_string import HTMLStyle

_Shown = TypeVar("_Shown", bound=widgets.DOMWidget)


def sheet() -> widgets.HTML:
    """The style sheet as a hidden widget, for each widget that can be shown alone."""
    return widgets.HTML(f"<style>{_css()}</style>", layout=widgets.Layout(display="none"))


@cache
def _css() -> str:
    return Path(__file__).with_suffix(".css").read_text(encoding="utf-8")


def row(children: Sequence[widgets.Widget], **layout: str | None) -> widgets.HBox:
    """Widgets side by side; those that a narrow page has no room for go below the first."""
    in_row = {"flex_flow": "row wrap", "align_items": "center", **layout}
    return widgets.HBox(children, layout=widgets.Layout(**in_row))


def box(name: str, children: Sequence[widgets.Widget]) -> widgets.Box:
    """Widgets that the style sheet lays out by this name."""
    laid_out = widgets.Box(children)
    laid_out.add_class(name)
    return laid_out


_shared: dict[tuple[type, str], Any] = {}


def shared(kind: type, label_width: str = "") -> Any:
    """The only style of this kind and width: each part of a studio would make one of its own, and a
    quarter of all its widgets were such styles.
    """
    made = _shared.get((kind, label_width))
    if made is None or made.comm is None:  # somebody closed it
        made = kind(**({"description_width": label_width} if label_width else {}))
        _shared[kind, label_width] = made
    return made


def all_shared() -> list[Any]:
    """All of these styles."""
    return list(_shared.values())


def quiet_line() -> widgets.HTML:
    """A line of small grey text, empty at first."""
    line = widgets.HTML(style=shared(HTMLStyle))
    line.add_class("sdnb-quiet")
    return line


def lay(widget: widgets.DOMWidget, **layout: str) -> None:
    """Set these of its layout. A new layout would leave the one before in the kernel, for good."""
    with widget.layout.hold_sync():
        for name, value in layout.items():
            setattr(widget.layout, name, value)


def level(widget: _Shown) -> _Shown:
    """Give a widget without a label the place of the controls, beside the labels."""
    widget.add_class("sdnb-indent")
    return widget
