"""Controls that come back as they were left when their cell runs again, in a new kernel too.

What the code says of them wins where it says something else than the last time: a widget is
compared when it is shown, after all that its cell has set. For the next kernel they are written
down when a run begins, and when the kernel ends.
"""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from traitlets import TraitError

from sdnb.widgets import left_on_disk
from sdnb.widgets.cell_places import CellPlaces
from sdnb.widgets.run_again import RunAgain
from sdnb.widgets.way_back import WayBack

_QUIET = ("tab", "autosave")  # what comes back without a word
_SAID = "The controls are as you left them."
_CUT = "What ran then ended unfinished."
_WITHOUT = f"{_SAID} Pictures and masks are not kept when {{}}: give them again."


class AsLeft(RunAgain):
    """A widget that a notebook shows as the one was left in whose place it stands; `as_left` says
    so, and leads back.
    """

    as_left: WayBack
    #: The name of the place where it stands in any kernel, where no cell of a notebook is one.
    place: str = ""
    comm: Any  # None once it is closed
    shown_as: _Shown | None = None

    @property
    def running(self) -> bool:
        """Whether something runs or waits."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What its controls are set to, by names."""
        raise NotImplementedError

    def lasting(self) -> dict[str, Any]:
        """The state for the next kernel, which has no pictures."""
        return self.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set the controls of these names; None means as they are at first."""
        raise NotImplementedError

    def keep(self, *, ended: bool = False) -> None:
        """Write down what its controls are set to, for the next kernel, and whether what runs has
        `ended` with this one, as what runs for a page alone does.
        """
        shown = self.shown_as
        if shown is not None and shown.path is not None and self.comm is not None:
            with suppress(OSError):  # a run goes on all the same
                cut = (ended or self.place != "") and self.running
                left_on_disk.write(shown.path, shown.given, self.lasting(), cut=cut)

    def _ipython_display_(self, **how: Any) -> None:
        _come_back(self)
        super()._ipython_display_(**how)


@dataclass
class _Shown:
    """A widget, and its state as the code had set it."""

    owner: weakref.ref[AsLeft]
    given: dict[str, Any]
    path: Path | None = None  # of what is written down for the next kernel


_places: CellPlaces[_Shown] = CellPlaces()


def _come_back(owner: AsLeft) -> None:
    now = owner.shown_as = _Shown(weakref.ref(owner), owner.state())
    before = _places.take(now)
    name = _places.name(now) or owner.place
    now.path = left_on_disk.file_of(name) if name else None  # none where it has no place
    _kept_at_exit().add(owner)
    if before is None:
        _come_from_disk(owner, now)
        return
    old = before.owner()
    if old is not None and old is not owner:
        old.shown_as = None  # its place is taken: it is written down no more
    if old is None or type(old) is not type(owner) or old.comm is None:
        return  # something else, or one that somebody closed
    if old is owner:  # shown again, not made again
        now.given = before.given
        return
    _restore(owner, now, before.given, old.state(), _SAID)


def _come_from_disk(owner: AsLeft, now: _Shown) -> None:
    """Restore what an earlier kernel has written down for this place of this cell."""
    try:
        found = left_on_disk.read(now.path) if now.path else None
        if found is None:
            return
        given = left_on_disk.plain(now.given)
        same = {name: now.given[name] for name in given if given[name] == found.given.get(name)}
        left = {
            name: value
            for name, value in found.left.items()
            if name in same or name not in {**given, **found.given}
        }
        ends = "the page is left or loaded again" if owner.place else "the kernel ends"
        words = _WITHOUT.format(ends) if found.pictures else _SAID
        if found.cut:
            words = f"{words} {_CUT}"
        if not _restore(owner, now, same, left, words) and found.cut:
            owner.as_left.say(_CUT, "Close", lambda: None)
    except (OSError, ValueError, TypeError, AttributeError, TraitError) as error:
        words = f"What the controls were set to could not be read: {error}"
        owner.as_left.say(words, "Close", lambda: None)


def _restore(
    owner: AsLeft, now: _Shown, given: Mapping[str, Any], left: Mapping[str, Any], words: str
) -> bool:
    """Set what was left otherwise than it was given, where the code gives the same now; whether
    there was anything to speak of.
    """
    changed = {
        name: value
        for name, value in left.items()
        if now.given.get(name) == given.get(name) != value
    }
    owner.restore(changed)
    spoken_of = any(name not in _QUIET for name in changed)
    if spoken_of:
        afresh = {name: now.given.get(name) for name in changed}

        def start_afresh() -> None:
            owner.restore(afresh)
            owner.keep()  # a page that is loaded again at once finds it so

        owner.as_left.say(words, "Start afresh", start_afresh)
    return spoken_of


@cache
def _kept_at_exit() -> weakref.WeakSet[AsLeft]:
    """Those that are written down when the kernel ends, as it does for a restart."""
    alive: weakref.WeakSet[AsLeft] = weakref.WeakSet()

    def keep() -> None:
        for owner in list(alive):
            owner.keep(ended=True)

    atexit.register(keep)
    return alive
