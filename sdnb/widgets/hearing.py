"""Has a page's messages heard one after the other, in their order.

JupyterLab sends what is done to widgets beside the cells, for a thread of the kernel's own, in
which they are heard while a cell runs. Since version 7.4 ipykernel hears a widget where it was last
heard of, some here and some in the main thread: then a click may come before the words that were
typed before it, and two handlers run at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ipywidgets as widgets


def in_order(*roots: widgets.Widget) -> None:
    """Have these widgets and all inside them heard where the page sends their messages."""
    for part in _parts(roots):
        if hasattr(part.comm, "_reply_subshell_for"):
            part.comm._reply_subshell_for = _as_sent  # noqa: SLF001 - there is no other way


def _as_sent(_: Any, subshell: str | None) -> str | None:
    return subshell


def _parts(widgets_: Any) -> Iterator[widgets.Widget]:
    for widget in widgets_:
        yield widget
        yield from _parts(getattr(widget, "children", ()))
