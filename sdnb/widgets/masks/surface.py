"""The mask editor's canvas: ipycanvas in three layers (picture, what is drawn on it, cursor).

The browser keeps no state: `show` draws the whole picture, `refresh` the mask inside a box. Every
batch of commands is one complete message, so that a second or a reopened view shows the same.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import ipycanvas
import ipywidgets
import numpy as np
import traitlets
from ipycanvas.canvas import _CANVAS_MANAGER
from PIL import Image

from sdnb.widgets import style
from sdnb.widgets.jpegs import jpeg
from sdnb.widgets.masks import veil
from sdnb.widgets.masks.preview import Ink
from sdnb.widgets.masks.strokes import Box, Point, Size, clipped, empty
from sdnb.widgets.masks.viewport import Viewport

CELLS = "#0a84ff"  # the latent mask's colour; the mask itself has the veil's
_NAME = "Picture and mask"  # for screen readers
_MAX_SENT_SIDE = 2048  # pixels of the longer side of the picture sent to the browser

# ipycanvas has one flag for all canvases of a process that holds drawing back.
_DRAWING = threading.RLock()


@contextmanager
def drawing(follows: bool = False) -> Iterator[None]:
    """Send all that is drawn inside as one message; an exception does not mute later drawing.

    The message names its canvas, so that a browser understands it as its first. One that `follows`
    another within a stroke does not: for each name, the browser composes all layers.
    """
    with _DRAWING:
        if _CANVAS_MANAGER._caching:  # noqa: SLF001 - an outer batch sends
            yield
            return
        if not follows:
            _CANVAS_MANAGER._current_canvas = None  # noqa: SLF001
        try:
            with ipycanvas.hold_canvas():
                yield
        finally:  # ipycanvas does not reset the flag after an exception
            _CANVAS_MANAGER.flush()
            _CANVAS_MANAGER._caching = False  # noqa: SLF001


class _DescribedCanvas(ipycanvas.MultiCanvas):
    """The browser's part fails to show a tooltip if there is no `description`."""

    description = traitlets.Unicode("").tag(sync=True)


class Surface:
    """The canvas of an editor; `widget` is the part to show. What is drawn is seen in `ink`."""

    def __init__(self, picture: Image.Image, page: Size, canvas: Size, ink: Ink) -> None:
        self._ink = ink
        self.widget = _DescribedCanvas(3, width=canvas[0], height=canvas[1], tooltip=_NAME)
        self._picture, self._veil, self._top = (self.widget[layer] for layer in range(3))
        self._source = ipywidgets.Image(format="jpeg", value=b"")
        self._store = ipycanvas.Canvas(width=1, height=1)  # hidden: the decoded picture
        self._colours: ipycanvas.Canvas | None = None  # hidden: a drawing of many colours
        self.change(picture, page, canvas)

    def change(self, picture: Image.Image, page: Size, canvas: Size) -> None:
        """Take another picture (RGB), with its size on the page and its size on the canvas."""
        if (self.widget.width, self.widget.height) != canvas:
            self.widget.width, self.widget.height = canvas
        style.lay(
            self.widget, width=f"{page[0]}px", height="auto", max_width="100%", flex="0 0 auto"
        )
        longest = self.lay(picture)
        scale = longest / max(picture.size)
        self._store.width, self._store.height = (max(1, round(n * scale)) for n in picture.size)

    def lay(self, picture: Image.Image) -> int:
        """Take another picture of the same size; returns how long its longer side is sent."""
        longest = min(max(picture.size), _MAX_SENT_SIDE)
        self._source.value = jpeg(picture, longest)
        return longest

    def close(self) -> None:
        """Close the widgets that are not among the editor's children."""
        for widget in (self._source, self._store, self._colours):
            if widget is not None:
                widget.close()

    batch = staticmethod(drawing)

    # -- all of it ----------------------------------------------------------------------------

    def load(self) -> None:
        """Let the browser decode the picture, for `show` to draw."""
        with drawing():
            self._store.clear()
            self._store.draw_image(self._source, 0, 0, self._store.width, self._store.height)

    def show(self, view: Viewport) -> None:
        """Draw the picture in this viewport."""
        with drawing():
            layer = self._picture
            layer.reset_transform()
            layer.clear()
            layer.image_smoothing_enabled = view.scale < 6  # closer, pixels are shown as squares
            left, top = view.to_canvas(0, 0)
            width, height = (n * view.scale for n in view.picture)
            layer.draw_image(self._store, left, top, width, height)

    # -- what is drawn ------------------------------------------------------------------------

    def refresh(self, view: Viewport, box: Box, part: Image.Image) -> None:
        """Draw what is drawn inside a box of the picture; `part` is that inside `behind(box)`: a
        mask (L), or colours (RGBA).
        """
        seen = view.seen(box)
        if empty(seen):
            return
        origin = self.behind(view, box)[:2]
        with drawing(), self._inside(seen):
            if part.mode == "RGBA":
                self._colour(view, part, origin)
                return
            layers = veil.layers(part, origin, self._cell(view), self._ink)
            self._fill(layers, self._ink.colour, (view.scale, view.scale), view.to_canvas(0, 0))

    def behind(self, view: Viewport, box: Box) -> Box:
        """The box of the picture whose mask `refresh` of a box needs."""
        cell = self._cell(view)
        left, top, right, bottom = view.behind(view.seen(box))
        left, top = left // cell * cell, top // cell * cell
        right, bottom = -(-right // cell) * cell, -(-bottom // cell) * cell
        return clipped((left, top, right, bottom), view.picture)

    def cells(self, view: Viewport, latent: Image.Image, box: Box) -> None:
        """Draw the latent mask (L, a pixel for each cell) over a box of the picture, as a grid."""
        with drawing(), self._inside((0, 0, *view.canvas)):
            across = (box[2] - box[0]) / latent.width * view.scale
            down = (box[3] - box[1]) / latent.height * view.scale
            origin = view.to_canvas(*box[:2])
            self._fill(veil.layers(latent, (0, 0)), CELLS, (across, down), origin)
            if across >= 8:
                self._grid(latent.size, (across, down), origin)

    def _grid(self, size: Size, scale: Point, origin: Point) -> None:
        """Draw a line of one pixel around each cell."""
        x, y = (
            np.rint(np.arange(count + 1) * step + start).astype(np.int32)
            for count, step, start in zip(size, scale, origin, strict=True)
        )
        self._veil.global_composite_operation = "source-over"
        self._veil.fill_style, self._veil.global_alpha = "#ffffff", 0.3
        self._veil.fill_rects(x, np.full_like(x, y[0]), np.ones_like(x), int(y[-1] - y[0]))
        self._veil.fill_rects(np.full_like(y, x[0]), y, int(x[-1] - x[0]), np.ones_like(y))

    def _colour(self, view: Viewport, part: Image.Image, origin: tuple[int, int]) -> None:
        """Draw a part of a drawing in colours: as rectangles, which appear at once, or as a picture
        where there are too many.
        """
        layer, runs = self._veil, veil.runs(part, origin, self._cell(view))
        layer.global_composite_operation, layer.global_alpha = "source-over", 1.0
        if runs is not None:
            placed = runs.placed((view.scale, view.scale), view.to_canvas(0, 0))
            if runs.x.size:
                layer.fill_styled_rects(*placed, runs.colour, runs.alpha)
            return
        store = self._colour_store(view.picture)
        store.clear_rect(*origin, *part.size)
        store.put_image_data(np.asarray(part), *origin)
        layer.image_smoothing_enabled = False
        layer.draw_image(
            store, *view.to_canvas(0, 0), *(side * view.scale for side in view.picture)
        )

    def _colour_store(self, size: Size) -> ipycanvas.Canvas:
        """The hidden canvas of a size, which is not changed: that would not wait for its turn."""
        if self._colours is None or (self._colours.width, self._colours.height) != size:
            if self._colours is not None:
                self._colours.close()
            self._colours = ipycanvas.Canvas(width=size[0], height=size[1])
        return self._colours

    def _cell(self, view: Viewport) -> int:
        """Pixels of the picture, both ways, that are drawn as one to fill a pixel of the canvas."""
        return max(1, math.ceil(1 / view.scale))

    @contextmanager
    def _inside(self, seen: Box) -> Iterator[None]:
        """Clear a box of the veil, and clip drawing to it."""
        left, top, right, bottom = seen
        layer = self._veil
        layer.save()
        layer.reset_transform()
        layer.begin_path()
        layer.rect(left, top, right - left, bottom - top)
        layer.clip()
        layer.clear_rect(left, top, right - left, bottom - top)
        try:
            yield
        finally:
            layer.restore()

    def _fill(self, layers: list[veil.VeilLayer], colour: str, scale: Point, origin: Point) -> None:
        self._veil.global_composite_operation = "lighter"  # layers add up
        self._veil.fill_style = colour
        for layer in layers:
            self._veil.global_alpha = layer.strength * self._ink.strength
            self._veil.fill_rects(*layer.placed(scale, origin))

    # -- the cursor and what is not yet finished ----------------------------------------------

    def clear_top(self) -> None:
        """Remove the brush's ring and the outline."""
        with drawing():
            self._top.clear()

    def ring(self, x: float, y: float, radius: float) -> None:
        """Draw the brush's ring around a point of the canvas."""
        self.outline([(x, y)], closed=False, grip=max(radius, 2.0))

    def outline(self, points: Sequence[Point], closed: bool, grip: float = 0) -> None:
        """Draw an unfinished shape, in pixels of the canvas; `grip` is the radius around its start
        where a click closes it. It is dark and bright, so that it is seen on any picture.
        """
        line = np.array([*points, points[0]] if closed else points, np.float32)
        with drawing():
            self._top.clear()
            for width, colour in ((4.0, "rgba(0, 0, 0, 0.55)"), (2.0, "#ffffff")):
                self._top.line_width, self._top.stroke_style = width, colour
                if len(line) > 1:
                    self._top.stroke_lines(line)
                if grip:
                    self._top.stroke_circle(*points[0], grip)
