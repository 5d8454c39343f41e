"""A canvas to draw on in colours: on a white sheet, or on a picture.

    canvas = ColourCanvas(size=(512, 512))
    canvas                                             # draw
    canvas.drawing, canvas.picture                     # RGBA of what is drawn; RGB, on white

It is the mask editor's canvas, with its keys: Python holds the drawing, and the browser shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import traitlets
from PIL import Image, ImageColor

from sdnb import images
from sdnb.request import checks
from sdnb.request.plain_words import counted
from sdnb.request.sizes import Size
from sdnb.widgets import style
from sdnb.widgets.hearing import in_order
from sdnb.widgets.masks.colours import ColourState, colour, imported, over
from sdnb.widgets.masks.drawing import Drawing
from sdnb.widgets.masks.gestures import TOOLS, Gestures
from sdnb.widgets.masks.palette import Palette
from sdnb.widgets.masks.preview import AS_LINES
from sdnb.widgets.masks.strokes import Clear, Imported, Point
from sdnb.widgets.masks.toolbar import colour_toolbar

COLOUR_TOOLS = (*TOOLS, "fill", "pipette")
_KEYS = {"g": "fill", "i": "pipette"}
_WIDE = 48  # lines of the usual brush, side by side, fill the longer side
_LEAST, _MOST = 64, 8192  # pixels of a sheet's side


class ColourCanvas(Drawing):
    """A widget to draw on in colours. Read `drawing`, or assign to it.

    Without `image` it is a white sheet of `size` (width, height) in pixels; with one, that picture
    is drawn on, and is anything `sdnb.images.picture` takes, whose errors are raised. `width`
    limits the canvas's width and height, in pixels of the page. `colour` is a trait: "#rrggbb", and
    any CSS name may be assigned; `brush` is its width, in pixels of the picture, and `tool` what
    the pointer does.
    """

    tool = traitlets.Enum(COLOUR_TOOLS, "brush", help="What the pointer does.")
    colour = traitlets.Unicode("#000000", help="The colour in which one draws: #rrggbb.")

    def __init__(
        self, image: images.Source | None = None, *, size: Size = (512, 512), width: int = 700
    ) -> None:
        width = checks.whole("width", width, 64, 4096)
        self._sheet = image is None
        below = Image.new("RGB", _size(size), "white") if image is None else images.pixels(image)
        self._before = "brush"  # the tool that a pipette gives the pointer back to
        self.palette = Palette(self._guarded(partial(setattr, self, "colour")))
        how = "Give a picture instead."
        super().__init__(below, width, colour_toolbar(below), ink=AS_LINES, how=how)
        self._fallback.observe(
            lambda _: self.palette.enable(not self._fallback.final), "children"
        )  # fmt: skip
        keys, bar, *rest = self._parts
        self.children = [style.sheet(), keys, bar, self.palette, *rest, self._status]
        self.add_class("sdnb-sketch")
        in_order(self)
        self.palette.show(self.colour)
        self.brush = self._usual_brush()

    # -- a value ------------------------------------------------------------------------------

    @property
    def drawing(self) -> Image.Image:
        """What is drawn: RGBA of the canvas's size, transparent where nothing is.

        Assign anything `sdnb.images.picture` takes, or None for an empty canvas; another size is
        resized, with a note. Undo takes it back. Assigning an equal drawing changes nothing.
        """
        with self._colours.lock:
            return self._colours.history.picture

    @drawing.setter
    def drawing(self, source: images.Source | None) -> None:
        stroke: Clear | Imported = Clear()
        note = ""
        if source is not None:
            stroke, note = imported(source, self._colours.picture.size)
        with self._colours.lock:
            if not self._is_drawn(stroke):
                self._colours.apply(stroke)
        if note:
            self._show_status(note)

    @property
    def picture(self) -> Image.Image:
        """What is drawn, on white or on the picture that is drawn on: RGB."""
        with self._colours.lock:
            return over(self._beneath, self._colours.history.picture)

    @property
    def painted(self) -> Image.Image:
        """Where something is drawn: L, 255 there and 0 elsewhere."""
        with self._colours.lock:
            return self._colours.history.mask

    @property
    def is_empty(self) -> bool:
        """Whether nothing is drawn."""
        with self._colours.lock:
            return self._colours.history.white == 0

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        width, height = self._colours.picture.size
        return width, height

    @property
    def page(self) -> Size:
        """Width and height in pixels of the page, where there is room for them."""
        return self._colours.page

    def begin(self, image: images.Source | Size, drawing: images.Source | None = None) -> None:
        """Take another picture to draw on, or a white sheet of a size, with nothing drawn on it, or
        with this drawing.
        """
        self._sheet = isinstance(image, tuple)
        if isinstance(image, tuple):
            below = Image.new("RGB", _size(image), "white")
        else:
            below = images.pixels(image)
        self._lay_under(below, anew=True)
        self._colours.fills = not self._sheet
        self.brush = self._usual_brush()
        if drawing is not None:
            self.drawing = drawing

    def fill(self, point: Point) -> None:
        """Fill what hangs together around a point in one colour, as the bucket does: of the drawing
        on a sheet, of what one sees on a picture.
        """
        self._gestures.cancel()
        self._colours.fill(point)

    def pick(self, point: Point) -> None:
        """Take the colour that is seen at a point, as the pipette does."""
        seen = self._colours.seen_at(point)
        if seen is not None:
            self.colour = seen
            if self.tool == "pipette":
                self.tool = self._before

    def __repr__(self) -> str:
        width, height = self.size
        return (
            f"{type(self).__name__}({width}x{height}, {self._colours.history.white:.1%} drawn, "
            f"{counted(len(self.strokes), 'stroke')})"
        )

    # -- inside -------------------------------------------------------------------------------

    @property
    def _colours(self) -> ColourState:
        return cast("ColourState", self._state)

    @property
    def _beneath(self) -> Image.Image:
        """What the drawing lies on where it is a value."""
        return self._colours.picture

    def _make_state(self, picture: Image.Image, width: int) -> ColourState:
        state = ColourState(picture, width, self._changed)
        state.fills = not self._sheet
        return state

    def _make_gestures(self) -> Gestures:
        presses = {"fill": self._colours.fill, "pipette": self.pick}
        return Gestures(self._state, self._actions(), _KEYS, presses)

    def _actions(self) -> dict[str, Callable[[], None]]:
        return {**super()._actions(), "on": self._to_palette}

    def _to_palette(self) -> None:
        next(iter(self.palette.swatches.values())).focus()

    def _usual_brush(self) -> float:
        return float(max(2, round(max(self.size) / _WIDE)))

    def _is_drawn(self, stroke: Clear | Imported) -> bool:
        """Whether the drawing is what this stroke would make it: undo would then do nothing."""
        history = type(self._colours.history)(self.size)
        history.apply(stroke)
        return history.picture.tobytes() == self._colours.history.picture.tobytes()

    @traitlets.validate("colour")
    def _colour_checked(self, proposal: Any) -> str:
        return colour(proposal.value)

    @traitlets.observe("colour")
    def _colour_changed(self, change: Any) -> None:
        red, green, blue = ImageColor.getrgb(change.new)[:3]
        self._colours.colour = red, green, blue
        self.palette.show(change.new)
        if self.tool == "eraser":  # who takes a colour is about to draw in it
            self.tool = "brush"

    @traitlets.observe("tool")
    def _tool_changed(self, change: Any) -> None:
        if change.new != "pipette":
            self._before = change.new
        super()._tool_changed(change)

    def _tell(self, extra: str, problem: bool) -> None:
        """Say only what is wrong, or was done."""
        self._status.layout.display = "" if extra else "none"
        super()._tell(extra, problem)


def _size(size: Size) -> Size:
    """Raises TypeError or ValueError for what is none."""
    width, height = size
    return checks.whole("width", width, _LEAST, _MOST), checks.whole(
        "height", height, _LEAST, _MOST
    )
