"""All widgets that one of ours is made of, those that are seen nowhere included."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import ipywidgets as widgets

from sdnb.widgets import style

_OURS = "sdnb.widgets"
_LISTS = (list, tuple, set, frozenset, deque)
_OF_ALL = "_CanvasManager"  # ipycanvas has one for all canvases of a kernel


def parts_of(whole: widgets.Widget, apart: Iterable[object] = ()) -> list[widgets.Widget]:
    """A widget and all that it is made of, but for those `apart` and what only they are made of.

    It follows what our own objects and all widgets hold, and callbacks of ours. What a user's
    callbacks hold is the user's, and so is a widget that is shown alone and that a callback leads
    to. Styles that all share are no part of any.
    """
    seen = {id(each): each for each in (*apart, *style.all_shared())}
    found: list[widgets.Widget] = []
    ahead: list[Any] = [whole]
    while ahead:
        each = ahead.pop()
        if id(each) in seen or type(each).__name__ == _OF_ALL:
            continue
        seen[id(each)] = each  # alive, so that no other object gets its id
        if isinstance(each, widgets.Widget):
            found.append(each)
        ahead += _held(each, root=each is whole)
    return found


def _held(each: Any, *, root: bool) -> Iterator[Any]:
    """What an object holds that may be, or lead to, a part."""
    if isinstance(each, dict):
        yield from each.values()
    elif isinstance(each, _LISTS):
        yield from each
    elif isinstance(each, partial):
        yield from _called(each.func)
        for given in (*each.args, *each.keywords.values()):
            yield from _called(given)
    elif isinstance(each, (MethodType, FunctionType)):
        yield from _called(each)
    elif isinstance(each, (widgets.Widget, widgets.CallbackDispatcher)) or root or _is_ours(each):
        yield from getattr(each, "__dict__", {}).values()


def _called(callback: Any) -> Iterator[Any]:
    """What a callback of ours leads to."""
    if isinstance(callback, MethodType):
        yield from _called(callback.__self__)
    elif isinstance(callback, FunctionType):
        if callback.__module__.startswith(_OURS):
            for cell in callback.__closure__ or ():
                if _is_filled(cell):
                    yield from _called(cell.cell_contents)
    elif isinstance(callback, partial) or _is_piece(callback):
        yield callback


def _is_piece(each: Any) -> bool:
    """Whether it is one of ours that is not shown alone."""
    return _is_ours(each) and not hasattr(each, "_ipython_display_")


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - raises where nothing is in it
    except ValueError:
        return False
    return True


def _is_ours(each: Any) -> bool:
    return type(each).__module__.startswith(_OURS) and not isinstance(each, type)
