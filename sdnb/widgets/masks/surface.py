"""What the mask editor draws with: ipycanvas, guarded, in three layers over a hidden picture.

The browser keeps no state: `show` draws all of it again, `refresh` only a box. Every batch of
commands is one message and stands alone, so that a second view, or one that comes back, agrees.
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

from sdnb.widgets.jpegs import jpeg
from sdnb.widgets.masks import veil
from sdnb.widgets.masks.preview import STRENGTH, VEIL
from sdnb.widgets.masks.strokes import Box, Point, Size, clipped, empty
from sdnb.widgets.masks.viewport import Viewport

CELLS = "#0a84ff"  # of the latent mask: not to be mixed up with the veil
_NAME = "Picture and mask"  # as a screen reader says it
_MAX_SENT_SIDE = 2048  # pixels of the picture's longer side that travel to the browser

# ipycanvas holds back drawing for all canvases of a process at once, by one flag.
_DRAWING = threading.RLock()


@contextmanager
def drawing(follows: bool = False) -> Iterator[None]:
    """One message for all that is drawn inside; whatever happens, the next drawing is not muted.

    It names its canvas, so that a browser that has heard nothing before understands it. One that
    `follows` another within a stroke need not: the browser composes all layers for each name.
    """
    with _DRAWING:
        if _CANVAS_MANAGER._caching:  # noqa: SLF001 - inside another: that one sends
            yield
            return
        if not follows:
            _CANVAS_MANAGER._current_canvas = None  # noqa: SLF001
        try:
            with ipycanvas.hold_canvas():
                yield
        finally:  # an exception skips ipycanvas's own reset
            _CANVAS_MANAGER.flush()
            _CANVAS_MANAGER._caching = False  # noqa: SLF001


class _DescribedCanvas(ipycanvas.MultiCanvas):
    """The browser's part shows a tooltip only of what has a description, and fails without."""

    description = traitlets.Unicode("").tag(sync=True)


class Surface:
    """The canvas of an editor: `widget` is shown, the rest draws on it."""

    def __init__(self, picture: Image.Image, page: Size, canvas: Size) -> None:
        self.widget = _DescribedCanvas(3, width=canvas[0], height=canvas[1], tooltip=_NAME)
        self._picture, self._veil, self._top = (self.widget[layer] for layer in range(3))
        self._source = ipywidgets.Image(format="jpeg", value=b"")
        self._store = ipycanvas.Canvas(width=1, height=1)  # never shown: the picture, decoded
        self.change(picture, page, canvas)

    def change(self, picture: Image.Image, page: Size, canvas: Size) -> None:
        """Another picture (RGB), `page` pixels large in the notebook, `canvas` in the canvas."""
        width, height = canvas
        if (self.widget.width, self.widget.height) != canvas:
            self.widget.width, self.widget.height = width, height
        self.widget.layout = ipywidgets.Layout(
            width=f"{page[0]}px", height="auto", max_width="100%", flex="0 0 auto"
        )
        longest = min(max(picture.size), _MAX_SENT_SIDE)
        self._source.value = jpeg(picture, longest)
        scale = longest / max(picture.size)
        self._store.width, self._store.height = (max(1, round(n * scale)) for n in picture.size)

    def close(self) -> None:
        """Free what is not among the editor's children."""
        for widget in (self._source, self._store):
            widget.close()

    batch = staticmethod(drawing)

    # -- all of it ----------------------------------------------------------------------------

    def load(self) -> None:
        """Have the browser decode the picture; `show` draws it then."""
        with drawing():
            self._store.clear()
            self._store.draw_image(self._source, 0, 0, self._store.width, self._store.height)

    def show(self, view: Viewport) -> None:
        """The picture, as it is seen."""
        with drawing():
            layer = self._picture
            layer.reset_transform()
            layer.clear()
            layer.image_smoothing_enabled = view.scale < 6  # closer, pixels are shown as squares
            left, top = view.to_canvas(0, 0)
            width, height = (n * view.scale for n in view.picture)
            layer.draw_image(self._store, left, top, width, height)

    # -- the mask -----------------------------------------------------------------------------

    def refresh(self, view: Viewport, box: Box, part: Image.Image, colour: str = VEIL) -> None:
        """The mask inside a box of the picture; `part` is what `behind` of it holds."""
        seen = view.seen(box)
        if empty(seen):
            return
        origin = self.behind(view, box)[:2]
        with drawing(), self._inside(seen):
            layers = veil.layers(part, origin, self._cell(view))
            self._fill(layers, colour, (view.scale, view.scale), view.to_canvas(0, 0))

    def behind(self, view: Viewport, box: Box) -> Box:
        """The pixels of the picture that `refresh` of a box needs."""
        cell = self._cell(view)
        left, top, right, bottom = view.behind(view.seen(box))
        left, top = left // cell * cell, top // cell * cell
        return clipped((left, top, -(-right // cell) * cell, -(-bottom // cell) * cell),
                       view.picture)  # fmt: skip

    def cells(self, view: Viewport, latent: Image.Image, box: Box) -> None:
        """The latent mask (L, a pixel for each cell) over a box of the picture, as a grid."""
        with drawing(), self._inside((0, 0, *view.canvas)):
            across = (box[2] - box[0]) / latent.width * view.scale
            down = (box[3] - box[1]) / latent.height * view.scale
            origin = view.to_canvas(*box[:2])
            self._fill(veil.layers(latent, (0, 0)), CELLS, (across, down), origin)
            if across >= 8:
                self._grid(latent.size, (across, down), origin)

    def _grid(self, size: Size, scale: Point, origin: Point) -> None:
        """A line of one pixel around each cell."""
        x, y = (
            np.rint(np.arange(count + 1) * step + start).astype(np.int32)
            for count, step, start in zip(size, scale, origin, strict=True)
        )
        self._veil.global_composite_operation = "source-over"
        self._veil.fill_style, self._veil.global_alpha = "#ffffff", 0.3
        self._veil.fill_rects(x, np.full_like(x, y[0]), np.ones_like(x), int(y[-1] - y[0]))
        self._veil.fill_rects(np.full_like(y, x[0]), y, int(x[-1] - x[0]), np.ones_like(y))

    def _cell(self, view: Viewport) -> int:
        """Pixels of the picture, in each direction, that are shown as one: none is less than one
        of the canvas.
        """
        return max(1, math.ceil(1 / view.scale))

    @contextmanager
    def _inside(self, seen: Box) -> Iterator[None]:
        """Clear a box of the veil, and draw on nothing else."""
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

    def _fill(
        self, layers: Sequence[veil.VeilLayer], colour: str, scale: Point, origin: Point
    ) -> None:
        self._veil.global_composite_operation = "lighter"  # layers add up
        self._veil.fill_style = colour
        for layer in layers:
            self._veil.global_alpha = layer.strength * STRENGTH
            self._veil.fill_rects(*layer.placed(scale, origin))

    # -- the cursor and what is not yet finished ----------------------------------------------

    def clear_top(self) -> None:
        """Neither cursor nor outline."""
        with drawing():
            self._top.clear()

    def ring(self, x: float, y: float, radius: float) -> None:
        """The brush at a point of the canvas: dark and bright, to be seen on any picture."""
        with drawing():
            self._top.clear()
            for width, colour in ((4.0, "rgba(0, 0, 0, 0.55)"), (2.0, "#ffffff")):
                self._top.line_width, self._top.stroke_style = width, colour
                self._top.stroke_circle(x, y, max(radius, 2.0))

    def outline(self, points: Sequence[Point], closed: bool, grip: float = 0) -> None:
        """A shape being drawn, in points of the canvas; `grip` marks where a click closes it."""
        with drawing():
            self._top.clear()
            for width, colour in ((4.0, "rgba(0, 0, 0, 0.55)"), (2.0, "#ffffff")):
                self._top.line_width, self._top.stroke_style = width, colour
                line = np.array([*points, points[0]] if closed else points, np.float32)
                if len(line) > 1:
                    self._top.stroke_lines(line)
                if grip:
                    self._top.stroke_circle(*points[0], grip)
