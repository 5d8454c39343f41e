"""What a cell made is closed when the cell has run again and made the like anew: a notebook's page
and kernel hold one of it, not one for each run, and nothing of ours holds its model any more.

That is after the cell, when the new ones have taken over pictures and controls; a cell that fails
leaves the old ones as they are.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import ipywidgets as widgets

from sdnb.widgets.lifetime import running_cell
from sdnb.widgets.parts import parts_of


@dataclass
class _Run:
    """What a cell made when it ran last, and before."""

    name: str
    made: list[weakref.ref[Any]] = field(default_factory=list)
    before: list[weakref.ref[Any]] = field(default_factory=list)


_cells: dict[str, _Run] = {}
_alive: weakref.WeakSet[Any] = weakref.WeakSet()  # all that can be shown alone
_shell: Any = None  # that says when a cell has run


def made(owner: Any) -> None:
    """Note that the running cell made this; outside a notebook, do nothing."""
    global _shell  # noqa: PLW0603 - there is one in a kernel
    from IPython import get_ipython

    _alive.add(owner)
    cell, run = running_cell()
    if cell is None:
        return
    if (shell := get_ipython()) is not _shell:
        shell.events.register("post_run_cell", _ran)
        _shell = shell
    now = _cells.get(cell)
    if now is None or now.name != run:
        now = _cells[cell] = _Run(run, before=[*now.before, *now.made] if now else [])
    now.made.append(weakref.ref(owner))


def close_parts(owner: Any) -> None:
    """Close all widgets that it is made of, but for those that it was given."""
    for part in parts_of(owner, owner.given):
        if part.comm is not None:
            widgets.Widget.close(part)


def _ran(result: Any) -> None:
    """A cell has run: close what it had made before, if it has made something anew."""
    cell, run = running_cell()
    now = None if cell is None else _cells.get(cell)
    if now is None or now.name != run or not now.before or not result.success:
        return
    old = [owner for each in now.before if (owner := each()) is not None]
    now.before = []
    for owner in [each for each in old if not _is_needed(each, cell, old)]:
        owner.close()
        _forget(owner)
    if old:
        del owner, old
        gc.collect()  # its model may be gigabytes, and widgets go in circles


def _is_needed(owner: Any, cell: str | None, old: list[Any]) -> bool:
    """Whether another cell shows it, or something that stays was given it."""
    goes = {id(each) for each in old}
    users = (each for each in list(_alive) if id(each) not in goes and each.comm is not None)
    return bool(owner.shown_in - {cell}) or any(owner is it for user in users for it in user.given)


def _forget(owner: Any) -> None:
    """Take it out of what IPython keeps of a cell's last line: `_`, `Out` and `_7`."""
    space = getattr(_shell, "user_ns", {})
    hook = getattr(_shell, "displayhook", None)
    kept = space.get("_oh", {})
    for number in [number for number, value in kept.items() if value is owner]:
        del kept[number]
        space.pop(f"_{number}", None)
    for name in _last(space, owner):
        space[name] = ""
        setattr(hook, name, "")


def _last(space: dict[str, Any], owner: Any) -> Iterator[str]:
    return (name for name in ("_", "__", "___") if space.get(name) is owner)
