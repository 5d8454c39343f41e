"""Controls that come back as they were left when their cell runs again.

What the code says of them wins where it says something else than the last time: a widget is
compared when it is shown, after all that its cell has set.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sdnb.widgets.cell_places import CellPlaces
from sdnb.widgets.run_again import RunAgain
from sdnb.widgets.way_back import WayBack

_QUIET = ("tab", "autosave")  # what comes back without a word


class AsLeft(RunAgain):
    """A widget that a notebook shows as the one was left in whose place it stands; `as_left` says
    so, and leads back.
    """

    as_left: WayBack
    comm: Any  # None once it is closed

    def state(self) -> dict[str, Any]:
        """What its controls are set to, by names."""
        raise NotImplementedError

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set the controls of these names; None means as they are at first."""
        raise NotImplementedError

    def _ipython_display_(self, **how: Any) -> None:
        _come_back(self)
        super()._ipython_display_(**how)


@dataclass
class _Shown:
    """A widget, and its state as the code had set it."""

    owner: weakref.ref[AsLeft]
    given: dict[str, Any]


_places: CellPlaces[_Shown] = CellPlaces()


def _come_back(owner: AsLeft) -> None:
    now = _Shown(weakref.ref(owner), owner.state())
    before = _places.take(now)
    old = before.owner() if before else None
    if before is None or old is None or type(old) is not type(owner) or old.comm is None:
        return  # the first time, something else, or one that somebody closed
    if old is owner:  # shown again, not made again
        now.given = before.given
        return
    left = {
        name: value
        for name, value in old.state().items()
        if now.given.get(name) == before.given.get(name) != value
    }
    owner.restore(left)
    if any(name not in _QUIET for name in left):
        afresh = {name: now.given.get(name) for name in left}
        words = "The controls are as you left them."
        owner.as_left.say(words, "Start afresh", lambda: owner.restore(afresh))
