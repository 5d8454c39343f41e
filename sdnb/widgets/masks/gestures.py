"""Gestures of mouse, pen, fingers and keyboard on the mask editor's canvas.

The canvas reports points in its own pixels, without the mouse button. Leaving the canvas ends a
stroke, because it reports nothing from outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sdnb.widgets.masks.editor_state import EditorState
from sdnb.widgets.masks.strokes import Point, Polygon, Rectangle

TOOLS = ("brush", "eraser", "rectangle", "lasso", "pan")
_KEYS = {
    "b": "brush", "e": "eraser", "r": "rectangle", "l": "lasso", "h": "pan",
    "[": "smaller", "]": "larger", "i": "invert", "Delete": "clear", "m": "latent",
    "+": "closer", "=": "closer", "-": "farther", "0": "whole",
}  # fmt: skip
_ARROWS = {"ArrowLeft": (-1, 0), "ArrowRight": (1, 0), "ArrowUp": (0, -1), "ArrowDown": (0, 1)}
_CLICK_REACH = 8.0  # canvas pixels: a lasso that moved less is a click, a polygon's corner
_CLOSING_REACH = 16.0  # canvas pixels: a click so near the first corner closes the polygon
_ZOOM_PER_NOTCH = 1.2


class Gestures:
    """Turns events into changes of the editor's state.

    The editor sets `tool` and `size` (the brush's diameter, in pixels of the picture); `actions`
    are what keys call, those of a mask or others by `keys`. A tool among `presses` is given the
    point that is pressed, and that is all it does.
    """

    def __init__(
        self, state: EditorState, actions: dict[str, Callable[[], None]],
        keys: Mapping[str, str] = MappingProxyType({}),
        presses: Mapping[str, Callable[[Point], None]] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        self._state, self._actions, self._presses = state, actions, presses
        self._keys = _KEYS | dict(keys)
        self.tool, self.size = "brush", 40.0
        self._at: Point = (state.view.canvas[0] / 2, state.view.canvas[1] / 2)
        self._here = False  # whether the pointer is over the canvas: else there is no ring
        self._pressed = False
        self._anchor: Point | None = None  # the rectangle's first corner, in the picture
        self._corners: list[Point] = []  # of the lasso or polygon, in the picture
        self._travelled = 0.0
        self._fingers: list[Point] = []

    def listen(self, canvas: Any, guarded: Callable[[Callable[..., None]], Any]) -> None:
        """Handle a canvas's events; `guarded` wraps each handler."""
        for hear, act in (
            (canvas.on_mouse_down, self.down), (canvas.on_mouse_move, self.move),
            (canvas.on_mouse_up, self._release), (canvas.on_mouse_out, self.out),
            (canvas.on_mouse_wheel, self.wheel), (canvas.on_touch_start, self.touch_start),
            (canvas.on_touch_move, self.touch_move), (canvas.on_touch_end, self.touch_end),
            (canvas.on_touch_cancel, self.touch_end), (canvas.on_key_down, self.key),
        ):  # fmt: skip
            hear(guarded(act))

    @property
    def paints(self) -> bool:
        """Whether the tool draws white: the brush does; on an inverted mask, the eraser does."""
        return (self.tool != "eraser") != self._state.invert

    @property
    def can_undo(self) -> bool:
        """Whether there is a stroke or an unfinished shape."""
        return self._state.history.can_undo or self._begun

    @property
    def _begun(self) -> bool:
        """Whether a rectangle or lasso waits for its next corner."""
        return self._anchor is not None or bool(self._corners)

    def take(self, tool: str) -> None:
        """Change the tool; an unfinished shape is dropped."""
        self.cancel()
        self.tool = tool
        self.hover()

    # -- mouse and pen ------------------------------------------------------------------------

    def down(self, x: float, y: float) -> None:
        self._at, self._here, self._pressed = (x, y), True, True
        point = self._state.view.to_picture(x, y)
        if self.tool in ("brush", "eraser"):
            self._state.begin(point, self.size, self.paints)
            if self._state.surface is not None:
                self._state.surface.clear_top()
        elif self.tool == "rectangle":
            self._anchor = point
        elif self.tool == "lasso":
            self._corner(point)
        elif self.tool in self._presses:
            self._presses[self.tool](point)

    def move(self, x: float, y: float) -> None:
        before, self._at, self._here = self._at, (x, y), True
        point = self._state.view.to_picture(x, y)
        if self.tool == "pan" and self._pressed:
            self._state.set_view(self._state.view.panned(x - before[0], y - before[1]))
        elif self.tool == "lasso" and self._pressed and self._corners:
            self._travelled += math.dist(before, (x, y))
            if self._travelled > _CLICK_REACH and self._freehand:
                self._corners.append(point)
        if self._state.history.drawing:  # without the cursor's ring, drawing costs half
            self._state.extend(point)
        else:
            self.hover()

    def out(self, x: float | None, y: float | None) -> None:
        """End the stroke where the pointer left the canvas. A canvas that was just hidden has no
        places: the last one is taken.
        """
        if x is None or y is None:
            x, y = self._at
        if self._state.history.drawing:
            self._state.extend(self._state.view.to_picture(x, y))
        self._here = False
        self._release(x, y)

    def _release(self, x: float, y: float) -> None:
        self._at, self._pressed = (x, y), False
        point = self._state.view.to_picture(x, y)
        if self._state.history.drawing:
            self._state.finish()
        elif self._anchor is not None:
            anchor, self._anchor = self._anchor, None
            if anchor != point:
                self._state.apply(Rectangle(anchor, point, self.paints))
        elif self._freehand and self._travelled > _CLICK_REACH:
            self._close()
        self.hover()

    def wheel(self, _dx: float, dy: float) -> None:
        """Zoom; the point under the pointer stays in place."""
        notches = min(max(dy / 100, -1.0), 1.0)  # a touch pad sends fractions of a notch
        if notches:
            self._state.set_view(self._state.view.zoomed(_ZOOM_PER_NOTCH**-notches, *self._at))
            self.hover()

    def zoom(self, factor: float) -> None:
        """Zoom about the middle of the canvas."""
        width, height = self._state.view.canvas
        self._state.set_view(self._state.view.zoomed(factor, width / 2, height / 2))
        self.hover()

    # -- lasso and polygon --------------------------------------------------------------------

    @property
    def _freehand(self) -> bool:
        """Whether the lasso is dragged; in a polygon, each press sets one corner."""
        return bool(self._corners) and self._travelled >= 0

    def _corner(self, point: Point) -> None:
        if not self._corners:
            self._corners, self._travelled = [point], 0.0
            return
        self._travelled = -math.inf  # a second press makes it a polygon
        first = self._state.view.to_canvas(*self._corners[0])
        if len(self._corners) > 2 and math.dist(first, self._at) <= _CLOSING_REACH:
            self._close()
        else:
            self._corners.append(point)

    def _close(self) -> None:
        corners, self._corners, self._travelled = tuple(self._corners), [], 0.0
        if len(corners) > 2:
            self._state.apply(Polygon(corners, self.paints))

    # -- fingers ------------------------------------------------------------------------------

    def touch_start(self, fingers: Sequence[Point]) -> None:
        """Begin to draw with one finger, or to move and zoom with two."""
        if len(fingers) == 1:
            self.down(*fingers[0])
        else:
            self.cancel()
        self._fingers = list(fingers)

    def touch_move(self, fingers: Sequence[Point]) -> None:
        if len(fingers) == 1 and len(self._fingers) == 1:
            self.move(*fingers[0])
        elif len(fingers) == 2 and len(self._fingers) == 2:
            self._pinch(self._fingers, fingers)
        self._fingers = list(fingers)

    def touch_end(self, fingers: Sequence[Point]) -> None:
        if not fingers and len(self._fingers) == 1:
            self._here = False
            self._release(*self._at)
        self._fingers = list(fingers) if fingers else []

    def _pinch(self, before: Sequence[Point], now: Sequence[Point]) -> None:
        (ax, ay), (bx, by) = _middle(before), _middle(now)
        spread = math.dist(*now) / max(math.dist(*before), 1.0)
        view = self._state.view.panned(bx - ax, by - ay)
        self._state.set_view(view.zoomed(spread, bx, by))

    # -- keys ---------------------------------------------------------------------------------

    def key(self, key: str, shift: bool, ctrl: bool, meta: bool) -> None:
        """Act on a key; other keys do nothing."""
        plain = key.lower() if len(key) == 1 else key
        if ctrl or meta:
            name = {"z": "redo" if shift else "undo", "y": "redo"}.get(plain)
        elif plain == "Escape":
            name = None if self.cancel() else "leave"
        elif plain == "Tab":
            name = "back" if shift else "on"
        elif plain in _ARROWS or plain in (" ", "Enter"):
            self._by_key(plain)
            return
        else:
            name = self._keys.get(plain)
        if name in ("leave", "on", "back"):
            self._here = False
            self.hover()
        if name in self._actions:  # a sketch has fewer than a mask
            self._actions[name]()

    def _by_key(self, key: str) -> None:
        """Draw by keys: arrows move, Space presses or sets a corner, Enter ends a shape."""
        if key in _ARROWS:
            step = max(self.size / 4, 1.0) * self._state.view.scale
            x, y = (at + sign * step for at, sign in zip(self._at, _ARROWS[key], strict=True))
            width, height = self._state.view.canvas
            self.move(min(max(x, 0.0), width), min(max(y, 0.0), height))
        elif key == "Enter" and self._corners:
            self._close()
            self.hover()
        elif self.tool == "rectangle" and self._anchor is not None:
            self._release(*self._at)
        elif self.tool != "pan":
            self.down(*self._at)
            if self.tool != "rectangle":
                self._release(*self._at)

    def cancel(self) -> bool:
        """Drop the unfinished stroke or shape; returns whether there was one."""
        with self._state.lock:
            brush = self._state.history.drawing
            if brush:
                self._state.undo()
            dropped = brush or self._begun
            self._anchor, self._corners, self._pressed = None, [], False
            self._travelled = 0.0
        if dropped:
            self.hover()
        return dropped

    def undo(self) -> None:
        """Drop the unfinished stroke or shape; if there is none, take the last stroke back."""
        if not self.cancel():
            self._state.undo()

    # -- what is seen of it -------------------------------------------------------------------

    def hover(self) -> None:
        """Draw the brush's ring where the pointer is, or the unfinished shape."""
        surface, view = self._state.surface, self._state.view
        if surface is None:
            return
        if self.tool in ("brush", "eraser") and self._here:
            surface.ring(*self._at, self.size / 2 * view.scale)
        elif self._anchor is not None:
            (x0, y0), (x1, y1) = view.to_canvas(*self._anchor), self._at
            surface.outline([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], closed=True)
        elif self._corners:
            line = [view.to_canvas(*corner) for corner in self._corners]
            grip = _CLOSING_REACH if self._travelled <= _CLICK_REACH else 0
            surface.outline([*line, self._at], closed=False, grip=grip)
        else:
            surface.clear_top()


def _middle(points: Sequence[Point]) -> Point:
    return (points[0][0] + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2
