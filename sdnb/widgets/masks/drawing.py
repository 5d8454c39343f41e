"""A canvas that one draws on, over a picture: tools, undo and redo, zoom, keys.

What is drawn is a mask of strokes, which the mask editor shows as a veil and a sketch as lines, or
a drawing in colours. Python holds the strokes, and the browser only shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import ipywidgets
import traitlets
from PIL import Image

from sdnb.request import checks
from sdnb.widgets import style
from sdnb.widgets.hearing import in_order
from sdnb.widgets.keys import Keys
from sdnb.widgets.masks.editor_state import EditorState
from sdnb.widgets.masks.gestures import TOOLS, Gestures
from sdnb.widgets.masks.notice import MISSING, Fallback, Status
from sdnb.widgets.masks.preview import Ink
from sdnb.widgets.masks.strokes import Clear, Stroke
from sdnb.widgets.masks.toolbar import Toolbar
from sdnb.widgets.run_again import RunAgain

_BRUSH_STEP = 1.25  # the factor by which [ and ] change the brush


class Drawing(RunAgain, ipywidgets.VBox):
    """A picture and what is drawn on it, in `ink`. `width` limits its width and height, in pixels
    of the page. Where the browser has no canvas, `how` says what is done instead, and `take` gets a
    file that is imported: its bytes and its name.
    """

    tool = traitlets.Enum(TOOLS, "brush", help="What the pointer does.")
    brush = traitlets.Float(40.0, help="The brush's diameter, in pixels of the picture.")

    def __init__(
        self, picture: Image.Image, width: int, bar: Toolbar, *, ink: Ink, how: str,
        take: Callable[[bytes, str], None] | None = None,
    ) -> None:  # fmt: skip
        self._ink, self._toolbar = ink, bar
        self._callbacks: list[Callable[[Any], object]] = []
        self._state = self._make_state(picture, width)
        self._gestures = self._make_gestures()
        self._status = Status()
        self._fallback = Fallback(self._state, ink, how, take)
        self._stage = style.box("sdnb-stage", [])
        self._parts: list[ipywidgets.Widget] = [
            Keys("canvas"), bar, self._stage, self._fallback
        ]  # fmt: skip
        super().__init__(self._parts, _view_count=0)
        self.add_class("sdnb-mask")
        in_order(self)
        self._connect()
        self._make_canvas()

    @property
    def strokes(self) -> tuple[Stroke, ...]:
        """The strokes of the mask, in order; their classes are in `sdnb.widgets.masks.strokes`."""
        return self._state.history.strokes

    @property
    def canvas(self) -> Any:
        """The `ipycanvas.MultiCanvas` to draw on; None if ipycanvas is not installed."""
        return None if self._state.surface is None else self._state.surface.widget

    def draw(self, stroke: Stroke) -> None:
        """Add a stroke, such as `Rectangle((8, 8), (64, 64))`."""
        self._state.apply(stroke)

    def undo(self) -> None:
        """Drop an unfinished shape; if there is none, take the last stroke back."""
        self._gestures.undo()

    def redo(self) -> None:
        self._state.redo()

    def clear(self) -> None:
        """Take away all that is drawn, so that the whole picture is kept. Undo takes it back."""
        self._state.apply(Clear())

    def on_change(self, callback: Callable[[Any], object], remove: bool = False) -> None:
        """Call `callback(editor)` after each change of what is drawn, of the picture below it, or
        of how it is applied.
        """
        if remove:
            self._callbacks.remove(callback)
        else:
            self._callbacks.append(callback)

    def close(self) -> None:
        state = getattr(self, "_state", None)  # None where the arguments were refused
        if state is not None and state.surface is not None:
            state.surface.close()
        super().close()

    # -- inside -------------------------------------------------------------------------------

    def _make_state(self, picture: Image.Image, width: int) -> EditorState:
        return EditorState(picture, width, self._changed)

    def _make_gestures(self) -> Gestures:
        return Gestures(self._state, self._actions())

    def _lay_under(self, picture: Image.Image, *, anew: bool = False) -> bool:
        """Take another picture. What is drawn stays if it has the same size, unless one begins
        `anew`; returns whether it did.
        """
        self._gestures.cancel()
        self._toolbar.suit(picture)
        self.brush = min(self.brush, float(self._toolbar.largest))
        return self._state.change(picture, anew=anew)

    def _actions(self) -> dict[str, Callable[[], None]]:
        """The actions of buttons and keys, by name."""
        # Off the canvas, so that the notebook has its keys again.
        leave = lambda: self._toolbar.focus_tool(self.tool)  # noqa: E731
        return {
            **{tool: partial(setattr, self, "tool", tool) for tool in self._toolbar.tools},
            "undo": self.undo,
            "redo": self.redo,
            "clear": self.clear,
            "smaller": lambda: self._resize(1 / _BRUSH_STEP),
            "larger": lambda: self._resize(_BRUSH_STEP),
            "closer": lambda: self._gestures.zoom(1.5),
            "farther": lambda: self._gestures.zoom(1 / 1.5),
            "whole": self._state.show_whole,
            "leave": leave,
            "on": leave,
            "back": leave,
        }

    def _connect(self) -> None:
        bar, actions = self._toolbar, self._actions()
        for name in bar.buttons:
            bar.on(name, self._guarded(actions[name]))
        for name, toggle in bar.tools.items():
            toggle.observe(self._guarded(partial(self._chosen, name)), "value")
        bar.size.moved = self._guarded(partial(setattr, self, "brush"))
        self.observe(lambda change: self._fallback.shown(change.new or 0), "_view_count")
        self._fallback.observe(lambda _: bar.drawable(not self._fallback.final), "children")
        bar.show_tool(self.tool)
        self._show_status()

    def _make_canvas(self) -> None:
        """Make the canvas, or show that ipycanvas is missing."""
        try:
            from sdnb.widgets.masks.surface import Surface
        except ImportError:
            self._fallback.explain(MISSING)
            return
        state = self._state
        surface = Surface(state.picture, state.page, state.view.canvas, self._ink)
        self._state.surface = surface
        self._gestures.listen(surface.widget, self._guarded)
        surface.widget.on_client_ready(self._guarded(self._ready))
        in_order(surface.widget)
        surface.load()
        self._state.redraw()

    def _ready(self) -> None:
        """Draw everything: a browser has an empty canvas, such as a new or reloaded page's."""
        self._fallback.heard()
        if (surface := self._state.surface) is not None:
            if not self._stage.children:
                self._stage.children = (surface.widget,)
            surface.load()
        self._state.redraw()

    def _guarded(self, act: Callable[..., object]) -> Callable[..., None]:
        """A handler that draws in one message, and shows its error in the status line."""

        def handler(*args: Any) -> None:
            surface, stroke = self._state.surface, self._state.history.drawing
            try:
                with self._state.lock, surface.batch(stroke) if surface else nullcontext():
                    act(*args)
                self._toolbar.buttons["undo"].disabled = not self._gestures.can_undo
            except Exception as error:
                self._show_status(f"{type(error).__name__}: {error}", problem=True)
                raise

        return handler

    def _chosen(self, tool: str, change: Any) -> None:
        if change.new:
            self.tool = tool
        elif self.tool == tool:
            self._toolbar.tools[tool].value = True  # one tool is always chosen

    def _resize(self, factor: float) -> None:
        old = self.brush
        size = max(old * factor, old + 1) if factor > 1 else min(old * factor, old - 1)
        self.brush = float(min(max(1, round(size)), self._toolbar.largest))

    @traitlets.observe("tool")
    def _tool_changed(self, change: Any) -> None:
        self._gestures.take(change.new)
        self._toolbar.show_tool(change.new)
        mark = self._stage.add_class if change.new == "pan" else self._stage.remove_class
        mark("sdnb-pan")

    @traitlets.validate("brush")
    def _brush_checked(self, proposal: Any) -> float:
        return checks.number("brush", proposal.value, 1, self._toolbar.largest)

    @traitlets.observe("brush")
    def _brush_changed(self, change: Any) -> None:
        self._gestures.size = change.new
        self._toolbar.size.show(change.new)
        self._gestures.hover()

    def _changed(self) -> None:
        """Update the status line and call the callbacks, after each complete change."""
        self._show_status()
        self._fallback.refresh()
        for callback in tuple(self._callbacks):
            callback(self)

    def _show_status(self, extra: str = "", problem: bool = False) -> None:
        """Update the status line, and enable or disable undo and redo."""
        self._toolbar.buttons["undo"].disabled = not self._gestures.can_undo
        self._toolbar.buttons["redo"].disabled = not self._state.history.can_redo
        self._tell(extra, problem)

    def _tell(self, extra: str, problem: bool) -> None:
        """Say in the status line what is drawn, and a message."""
        self._status.say(self._state, [], extra, problem)
