"""The viewport: which part of the picture the canvas shows, and at which zoom."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sdnb.widgets.masks.strokes import Box, Point, Size, around

DENSITY = 2  # pixels of the canvas for one of the page: sharp on dense screens
_MIN_SIDE = 512  # pixels of the page; smaller pictures are enlarged
_MAX_ZOOM = 32.0


def fitted(picture: Size, most: int) -> Size:
    """The size of a picture on the page: no side is longer than `most`, and none is tiny."""
    longest = max(picture)
    scale = min(most, max(_MIN_SIDE, longest)) / longest
    return max(1, round(picture[0] * scale)), max(1, round(picture[1] * scale))


@dataclass(frozen=True)
class Viewport:
    """A part of the picture on the canvas. A zoom of 1 shows the whole picture; (`left`, `top`) is
    the point of the picture in the canvas's upper left corner.
    """

    picture: Size
    canvas: Size
    zoom: float = 1.0
    left: float = 0.0
    top: float = 0.0

    @property
    def scale(self) -> float:
        """Pixels of the canvas for one pixel of the picture."""
        return self.canvas[0] / self.picture[0] * self.zoom

    def to_picture(self, x: float, y: float) -> Point:
        """A point of the canvas in the picture's coordinates; it may lie outside."""
        return x / self.scale + self.left, y / self.scale + self.top

    def to_canvas(self, x: float, y: float) -> Point:
        """A point of the picture in the canvas's coordinates."""
        return (x - self.left) * self.scale, (y - self.top) * self.scale

    def seen(self, box: Box) -> Box:
        """The pixels of the canvas that a box of the picture touches."""
        return around((self.to_canvas(*box[:2]), self.to_canvas(*box[2:])), 0, self.canvas)

    def behind(self, box: Box) -> Box:
        """The pixels of the picture that a box of the canvas touches."""
        return around((self.to_picture(*box[:2]), self.to_picture(*box[2:])), 0, self.picture)

    def zoomed(self, factor: float, x: float, y: float) -> Viewport:
        """Zoomed by a factor; the picture stays in place under the point (x, y) of the canvas."""
        under = self.to_picture(x, y)
        new = replace(self, zoom=min(max(self.zoom * factor, 1.0), _MAX_ZOOM))
        return _within(new, under[0] - x / new.scale, under[1] - y / new.scale)

    def panned(self, dx: float, dy: float) -> Viewport:
        """Dragged by so many pixels of the canvas."""
        return _within(self, self.left - dx / self.scale, self.top - dy / self.scale)


def _within(view: Viewport, left: float, top: float) -> Viewport:
    """The viewport moved to (left, top), but not beyond the picture's edge."""
    hidden = 1 - 1 / view.zoom
    return replace(
        view,
        left=min(max(left, 0.0), view.picture[0] * hidden),
        top=min(max(top, 0.0), view.picture[1] * hidden),
    )
