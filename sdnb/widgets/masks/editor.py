"""The mask editor: paint the part of a picture that is to be regenerated.

    editor = sdnb.MaskEditor(result)
    editor                                             # draw
    sdnb.inpaint(model, "a castle", image=editor.image, mask=editor.mask, feather=editor.feather)

Python holds the mask as strokes, and the browser only shows it. So `editor.mask` is up to date in
the next cell, and a reopened page shows the mask again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets
import traitlets
from PIL import Image

from sdnb import images
from sdnb.assets import user_path
from sdnb.request import RANGES, Request, checks
from sdnb.request.plain_words import counted
from sdnb.widgets import style, too_large
from sdnb.widgets.hearing import in_order
from sdnb.widgets.keys import Keys
from sdnb.widgets.masks.editor_state import EditorState
from sdnb.widgets.masks.gestures import TOOLS, Gestures
from sdnb.widgets.masks.history import rasterise
from sdnb.widgets.masks.notice import MISSING, Fallback, Status
from sdnb.widgets.masks.strokes import Clear, Imported, Invert, Stroke, imported, transparent
from sdnb.widgets.masks.toolbar import Toolbar
from sdnb.widgets.run_again import RunAgain

_BRUSH_STEP = 1.25  # the factor by which [ and ] change the brush


class MaskEditor(RunAgain, ipywidgets.VBox):
    """A widget to draw a mask on a picture. Read `mask`, or assign to it.

    `image` is anything `sdnb.images.picture` takes: a path, a PIL image, an array, bytes, a Result;
    its errors are raised. `width` limits the editor's width and height, in pixels of the page.

    `feather`, `invert` and `latent` (show the latent mask) are traits. `target` holds the other
    fields of the request that change the latent mask: width, height, padding, fit.
    """

    tool = traitlets.Enum(TOOLS, "brush", help="What the pointer does.")
    brush = traitlets.Float(40.0, help="The brush's diameter, in pixels of the picture.")
    feather = traitlets.Float(0.0, help="Pixels over which the rim fades, as in a Request.")
    invert = traitlets.Bool(False, help="Black is repainted, as in a Request.")
    latent = traitlets.Bool(False, help="Show the latent mask.")
    target = traitlets.Dict(help="Fields of the Request to come: width, height, padding, fit.")

    def __init__(self, image: images.Source, width: int = 700) -> None:
        self._image = picture = images.pixels(image)
        width = checks.whole("width", width, 64, 4096)
        self._callbacks: list[Callable[[MaskEditor], object]] = []
        self._state = EditorState(picture, width, self._changed)
        take = self._guarded(lambda data, _: setattr(self, "mask", data))
        self._toolbar = Toolbar(picture, take)
        self._gestures = Gestures(self._state, self._actions())
        self._status = Status()
        self._fallback = Fallback(self._state, take)
        self._stage = style.box("sdnb-stage", [])
        self._below = ipywidgets.HBox([self._status, self._toolbar.files])
        self._below.add_class("sdnb-below")
        shown = [self._toolbar, self._stage, self._fallback, self._below]
        super().__init__([style.sheet(), Keys("canvas"), *shown], _view_count=0)
        self.add_class("sdnb-mask")
        in_order(self)
        self._connect()
        self._make_canvas()
        self._set_width_below()
        self.brush = max(1.0, round(max(picture.size) / 12))

    # -- a value ------------------------------------------------------------------------------

    @property
    def mask(self) -> Image.Image:
        """The drawn mask: L, of the picture's size; white (255) is regenerated. `feather` and
        `invert` are not applied: a request does that.

        Assign anything `sdnb.images.mask` takes, or None for an empty mask; another size is
        resized, with a note. Undo takes it back. Assigning an equal mask changes nothing.
        """
        with self._state.lock:
            return self._state.history.mask

    @mask.setter
    def mask(self, source: images.Source | None) -> None:
        if source is None:
            self._replace_mask(Clear())
        else:
            self._replace_mask(*imported(source, self._state.picture.size))

    @property
    def image(self) -> Image.Image:
        """The picture below the mask, RGB or RGBA.

        A new picture of the same size keeps the mask; one of another size clears it.
        """
        return self._image.copy()

    @image.setter
    def image(self, source: images.Source) -> None:
        picture = images.pixels(source)
        lost = bool(self._state.history.strokes)
        self._gestures.cancel()
        self._image = picture
        self._toolbar.suit(picture)
        self.brush = min(self.brush, float(self._toolbar.largest))
        kept = self._state.change(picture)
        self._set_width_below()
        if lost and not kept:
            self._show_status("The picture has another size: the mask was cleared.")

    @property
    def wrong(self) -> str:
        """Why the feather in its box is refused, and `feather` is the last one; "" if it is not."""
        return str(self._toolbar.feather.wrong)

    def forget_wrong(self) -> None:
        """Show `feather` in place of one that is refused."""
        self._toolbar.feather.show(self.feather)

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
        """Make the mask black, so that the whole picture is kept. Undo takes it back."""
        self._state.apply(Clear())

    def use_alpha(self, source: images.Source | None = None) -> None:
        """Take a picture's transparent part as the mask; by default the editor's own picture's.

        Raises ValueError for a picture without transparency.
        """
        holes = transparent(self._image if source is None else images.pixels(source))
        self._replace_mask(*imported(holes, self._state.picture.size))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the mask, replacing a file. Raises ValueError if not to .png, and OSError."""
        target = user_path(path)
        if target.suffix.lower() != ".png":
            raise ValueError(f"path={str(target)!r} does not end in .png: a mask is saved as a PNG")
        self.mask.save(target)
        return target

    def on_change(self, callback: Callable[[MaskEditor], object], remove: bool = False) -> None:
        """Call `callback(editor)` after each change of mask, picture, feather, invert or target."""
        if remove:
            self._callbacks.remove(callback)
        else:
            self._callbacks.append(callback)

    def close(self) -> None:
        state = getattr(self, "_state", None)  # None where the arguments were refused
        if state is not None and state.surface is not None:
            state.surface.close()
        super().close()

    def __repr__(self) -> str:
        width, height = self._state.picture.size
        return (
            f"MaskEditor({width}x{height}, {self._state.history.white:.1%} white, "
            f"{counted(len(self.strokes), 'stroke')})"
        )

    # -- inside -------------------------------------------------------------------------------

    def _replace_mask(self, stroke: Clear | Imported, note: str = "") -> None:
        """Replace the mask, unless it is equal: undo would then seem to do nothing."""
        with self._state.lock:
            size = self._state.picture.size
            if rasterise((stroke,), size).tobytes() != self._state.history.mask.tobytes():
                self._state.apply(stroke)
        if note:
            self._show_status(note)

    def _actions(self) -> dict[str, Callable[[], None]]:
        """The actions of buttons and keys, by name."""
        return {
            **{tool: partial(setattr, self, "tool", tool) for tool in TOOLS},
            "undo": self.undo,
            "redo": self.redo,
            "clear": self.clear,
            "invert": lambda: self._state.apply(Invert()),
            "smaller": lambda: self._resize(1 / _BRUSH_STEP),
            "larger": lambda: self._resize(_BRUSH_STEP),
            "closer": lambda: self._gestures.zoom(1.5),
            "farther": lambda: self._gestures.zoom(1 / 1.5),
            "whole": self._state.show_whole,
            "latent": lambda: setattr(self, "latent", not self.latent),
            "alpha": self.use_alpha,
            "export": lambda: self._status.offer(images.mask(self.mask)),
            # Off the canvas, so that the notebook has its keys again.
            "leave": lambda: self._toolbar.focus_tool(self.tool),
            "on": self._toolbar.upload.focus,
            "back": self._toolbar.latent.focus,
        }

    def _connect(self) -> None:
        bar, actions = self._toolbar, self._actions()
        for name in bar.buttons:
            bar.on(name, self._guarded(actions[name]))
        for name, toggle in bar.tools.items():
            toggle.observe(self._guarded(partial(self._chosen, name)), "value")
        too_large.hear(self._too_large)
        bar.latent.observe(self._guarded(lambda c: setattr(self, "latent", c.new)), "value")
        bar.size.moved = self._guarded(partial(setattr, self, "brush"))
        bar.feather.moved = self._guarded(partial(setattr, self, "feather"))
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
        surface = Surface(self._state.picture, self._state.page, self._state.view.canvas)
        self._state.surface = surface
        self._gestures.listen(surface.widget, self._guarded)
        surface.widget.on_client_ready(self._guarded(self._ready))
        in_order(surface.widget)
        surface.load()
        self._state.redraw()

    def _set_width_below(self) -> None:
        """Make the line below as wide as the picture."""
        self._below.layout.width = f"{max(self._state.page[0], 400)}px"

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

    def _too_large(self, words: str) -> None:
        self._show_status(words, problem=True)

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

    @traitlets.validate("feather")
    def _feather_checked(self, proposal: Any) -> float:
        return checks.number("feather", proposal.value, *RANGES["feather"])

    @traitlets.validate("target")
    def _target_checked(self, proposal: Any) -> dict[str, Any]:
        Request(**proposal.value)  # raises for a wrong field
        return dict(proposal.value)

    @traitlets.observe("feather", "invert", "latent", "target")
    def _show_trait(self, change: Any) -> None:
        with self._state.lock:
            setattr(self._state, change.name, change.new)
            self._state.problem = ""
            if change.name == "feather":
                self._toolbar.feather.show(self.feather)
            self._toolbar.show_latent(self.latent)
            self._state.refresh((0, 0, *self._state.picture.size))
        if change.name == "latent":
            self._show_status()
        else:
            self._changed()

    def _changed(self) -> None:
        """Update the status line and call the callbacks, after each complete change."""
        self._show_status()
        self._fallback.refresh()
        for callback in tuple(self._callbacks):
            callback(self)

    def _show_status(self, extra: str = "", problem: bool = False) -> None:
        """Update the line below the picture, and enable or disable undo and redo."""
        self._toolbar.buttons["undo"].disabled = not self._gestures.can_undo
        self._toolbar.buttons["redo"].disabled = not self._state.history.can_redo
        self._status.tell(self._state, extra or self._state.problem, problem or not extra)
