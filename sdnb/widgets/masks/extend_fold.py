"""The mask editor's numbers for a larger canvas, behind a button."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ipywidgets as widgets
from ipywidgets.widgets.widget_description import DescriptionStyle

from sdnb.images.outpaint import ANCHORS, OVERLAP, Sides
from sdnb.request import RANGES
from sdnb.request.sizes import Size
from sdnb.widgets.buttons import text_button
from sdnb.widgets.fold import Fold
from sdnb.widgets.masks.strokes import Extension
from sdnb.widgets.slider import NumberBox
from sdnb.widgets.style import box as laid_out
from sdnb.widgets.style import shared

_STEP = 64  # pixels for a click on a box's arrow
_LARGEST = int(RANGES["width"][1])
_SHARE, _CELL = 0.25, 8  # of a side, in steps of so many pixels, that a button adds
_SIDES = ("left", "right", "top", "bottom")
_MIDDLE = next(iter(ANCHORS))
_BY_SIDES = "as the sides say"  # where the picture lies at none of them


class ExtendFold(Fold):
    """Buttons for a quarter more at a side, or at all; pixels for each side, or a size and where
    the picture lies in it; and the overlap. Each change calls `extend` with the sides and the
    overlap; `show` calls nobody.
    """

    def __init__(self, extend: Callable[[Sides, int], object]) -> None:
        self._extend = extend
        self._picture: Size = (1, 1)
        self._sides, self._overlap = Sides(), OVERLAP
        self._showing = False  # whether Python moves the list of places
        super().__init__("Extend the canvas", opened=self._make)

    def focus(self) -> None:
        """Unfold it, and move the browser's focus to its first button, and with it the page."""
        self.unfolded = True
        self._buttons[0].focus()

    def show(self, picture: Size, last: Extension | None) -> None:
        """Show by how much a picture of this size is extended; None is not at all."""
        sides = Sides() if last is None else last.sides
        self._picture, self._sides = picture, sides
        self._overlap = self._overlap if last is None else last.overlap
        if not self.inside.children:
            return
        size = sides.extend(picture)
        for name in _SIDES:
            side = size[name in ("top", "bottom")]
            most = max(0, _LARGEST - side) + getattr(sides, name)
            self._boxes[name].limits = 0, most
            self._boxes[name].show(getattr(sides, name))
        for name, least, side in zip(("width", "height"), picture, size, strict=True):
            self._boxes[name].limits = least, max(least, _LARGEST)
            self._boxes[name].show(side)
        self._show_anchor(size)
        most = (min(picture) - 1) // 2
        self._boxes["overlap"].limits = 0, most
        self._boxes["overlap"].show(min(self._overlap, most))

    def _show_anchor(self, size: Size) -> None:
        """Show where the picture lies by its sides; a size that is typed goes on from there."""

        def lies(name: str) -> bool:
            return Sides.to_size(self._picture, size, name) == self._sides

        now = self._anchor.value
        fits = [name for name in (now, *ANCHORS) if name in ANCHORS and lies(name)]
        wanted = (fits or [_BY_SIDES])[0] if self._sides else (now if now in ANCHORS else _MIDDLE)
        names = tuple(ANCHORS) if wanted in ANCHORS else (*ANCHORS, wanted)
        self._showing = True
        try:
            if self._anchor.options != names:
                self._anchor.options = names
            self._anchor.value = wanted
        finally:
            self._showing = False

    def _make(self) -> None:
        words = {
            **{name: (name.capitalize(), f"Pixels to add: {name}") for name in _SIDES},
            "width": ("Canvas width", "How wide the canvas is to be, in pixels"),
            "height": ("Canvas height", "How high the canvas is to be, in pixels"),
            "overlap": ("Overlap", "Pixels of the picture that are repainted beside the new part"),
        }
        self._boxes = {
            name: NumberBox(
                label, 0, (0, _LARGEST), partial(self._moved, name),
                multiple=1, step=8 if name == "overlap" else _STEP, tooltip=tip,
            )
            for name, (label, tip) in words.items()
        }  # fmt: skip
        self._anchor = widgets.Dropdown(
            options=tuple(ANCHORS), description="Picture at", layout=widgets.Layout(width="auto"),
            tooltip="Where the picture lies in this width and height",
            style=shared(DescriptionStyle, "auto"),
        )  # fmt: skip
        self._anchor.observe(self._anchored, "value")
        sides, sized = (
            [self._boxes[name] for name in names] for names in (_SIDES, ("width", "height"))
        )
        self._buttons = [self._more_at(name, (name,)) for name in _SIDES]
        self._buttons.append(self._more_at("all sides", _SIDES))
        quarters = [widgets.Label(f"+{_SHARE:.0%}"), *self._buttons]
        rows = quarters, sides, sized, [self._anchor, self._boxes["overlap"]]
        self.inside.children = [laid_out("sdnb-extend", row) for row in rows]
        last = Extension(self._sides, self._overlap) if self._sides else None
        self.show(self._picture, last)

    def _more_at(self, where: str, names: Sequence[str]) -> widgets.Button:
        tip = f"Extend it by a quarter of the picture: {where}; another click adds as much"
        return text_button(where, "", tip, partial(self._add, names))

    def _add(self, names: Sequence[str]) -> None:
        """Extend these sides by a quarter of the picture's."""
        sides = {name: getattr(self._sides, name) for name in _SIDES}
        for name in names:
            side = self._picture[name in ("top", "bottom")]
            sides[name] += max(_CELL, round(side * _SHARE / _CELL) * _CELL)
        self._give(Sides(**sides))

    def _moved(self, name: str, _: float) -> None:
        if name in ("width", "height"):
            self._to_size()
            return
        if name == "overlap":
            self._overlap = int(self._boxes[name].value)
        self._give(Sides(*(int(self._boxes[side].value) for side in _SIDES)))

    def _anchored(self, _: Any) -> None:
        if self._sides and not self._showing and self._anchor.value in ANCHORS:
            self._to_size()

    def _to_size(self) -> None:
        size = int(self._boxes["width"].value), int(self._boxes["height"].value)
        anchor = self._anchor.value if self._anchor.value in ANCHORS else _MIDDLE
        self._give(Sides.to_size(self._picture, size, anchor))

    def _give(self, sides: Sides) -> None:
        self._extend(sides, int(self._boxes["overlap"].value))
