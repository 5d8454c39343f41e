"""The state of a mask editor: the picture, the mask and the viewport, which gestures change."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps

from sdnb import images
from sdnb.images import canvas, outpaint
from sdnb.request import Request, Settings, sizes
from sdnb.widgets.masks.history import History
from sdnb.widgets.masks.strokes import (
    NOWHERE,
    Box,
    Colour,
    Extension,
    Imported,
    Point,
    Size,
    Stroke,
    clipped,
    empty,
)
from sdnb.widgets.masks.viewport import DENSITY, Viewport, fitted

if TYPE_CHECKING:
    from sdnb.widgets.masks.surface import Surface

_COUNTED_SIDE = 512  # pixels: a larger mask is counted smaller when it has to be feathered
_LATENT_PAUSE = 0.08  # seconds between two latent masks while a brush is down


class EditorState:
    """The state of an editor; `surface` draws it, or is None.

    `changed` is called after each complete change: for a stroke, not for each of its points.
    """

    colour: Colour | None = None  # in which one draws; None for a mask

    def __init__(self, picture: Image.Image, most: int, changed: Callable[[], None]) -> None:
        self._max_side, self._changed = most, changed
        self.lock = threading.RLock()
        self.surface: Surface | None = None
        self.feather, self.invert, self.latent = 0.0, False, False
        self.target: dict[str, Any] = {}
        self.problem = ""  # why the latent mask cannot be shown; "" if it can
        self._drawn_latent = 0.0
        self._give(picture)
        self.history = self._empty()

    def _empty(self) -> History:
        return History(self.picture.size)

    def _give(self, picture: Image.Image) -> None:
        """Take a picture as it is without an extension."""
        # In RGB; one that is in RGB is not copied, since it may be large.
        self._given = picture if picture.mode == "RGB" else canvas.flat(picture)[0]
        self._extensions: tuple[Extension, ...] = ()  # that `picture` has
        self._set_picture(self._given)

    def _set_picture(self, picture: Image.Image) -> None:
        self.picture = picture
        self._blank: bytes | None = None
        self.page = fitted(picture.size, self._max_side)
        size = (self.page[0] * DENSITY, self.page[1] * DENSITY)
        self.view = Viewport(picture.size, size)

    def change(self, picture: Image.Image, *, anew: bool = False) -> bool:
        """Take another picture. A mask of its size stays, unless `anew`; returns whether it did.
        Extensions of the canvas stay as pixels, and can no longer be taken back.
        """
        with self.lock:
            stays = picture.size == self.picture.size and not anew
            self.history.finish()
            drawn = self.history.mask if stays and self._extensions else None
            self._give(picture)
            if drawn is not None or not stays:
                self.history = self._empty()
            if drawn is not None:
                self.history.apply(Imported(images.mask(drawn)))
            self._show_picture()
            self._changed()
            return stays

    def _show_picture(self) -> None:
        if self.surface is not None:
            self.surface.change(self.picture, self.page, self.view.canvas)
            self.surface.load()
        self.redraw()

    # -- the mask -----------------------------------------------------------------------------

    def apply(self, stroke: Stroke) -> None:
        with self.lock:
            self._complete(self.history.apply(stroke))

    def enlarge(self, stroke: Extension | None) -> None:
        """Extend the canvas, in place of the extension that is the last stroke, if it is one; None
        takes that back. Raises ValueError, and changes nothing, as `Sides.kept`.
        """
        with self.lock:
            self.history.finish()
            last = self.last_extension
            if stroke is not None:
                stroke.sides.kept(self.size_before, stroke.overlap)
            if last is not None:
                self.history.undo()
            if stroke is not None:
                self.history.apply(stroke)
            self._complete(NOWHERE)

    @property
    def last_extension(self) -> Extension | None:
        """The last stroke, if it has extended the canvas."""
        strokes = self.history.strokes
        return strokes[-1] if strokes and isinstance(strokes[-1], Extension) else None

    @property
    def size_before(self) -> Size:
        """The canvas without its last extension."""
        width, height = self.history.size
        if (last := self.last_extension) is None:
            return width, height
        sides = last.sides
        return width - sides.left - sides.right, height - sides.top - sides.bottom

    def undo(self) -> None:
        with self.lock:
            self._complete(self.history.undo())

    def redo(self) -> None:
        with self.lock:
            self._complete(self.history.redo())

    def begin(self, point: Point, size: float, white: bool) -> None:
        with self.lock:
            self.refresh(self.history.begin(point, size, white, self.colour))

    def extend(self, point: Point) -> None:
        with self.lock:
            self.refresh(self.history.extend(point))

    def finish(self) -> None:
        with self.lock:
            if self.history.drawing:
                self.history.finish()
                self._complete((0, 0, *self.picture.size) if self.latent else NOWHERE)

    def _complete(self, box: Box) -> None:
        if self.history.extensions == self._extensions:
            self.refresh(box)
        else:
            self._extensions = self.history.extensions
            picture = self._given
            for extension in self._extensions:
                picture = outpaint.extended(picture, extension.sides)
            self._set_picture(picture)
            self._show_picture()
        self._changed()

    # -- how it is seen -----------------------------------------------------------------------

    def set_view(self, view: Viewport) -> None:
        with self.lock:
            self.view = view
            self.redraw()

    def show_whole(self) -> None:
        self.set_view(replace(self.view, zoom=1.0, left=0.0, top=0.0))

    def redraw(self) -> None:
        """Draw everything, for a browser with an empty canvas."""
        with self.lock:
            if self.surface is not None:
                self.surface.show(self.view)
                self.refresh((0, 0, *self.picture.size))

    def refresh(self, box: Box) -> None:
        """Draw the mask again inside a box."""
        with self.lock:
            if self.surface is None or empty(box):
                return
            if self.latent:
                self._show_latent(self.surface)
                return
            box = _grown(box, math.ceil(2 * self.feather_pixels), self.picture.size)
            part = self.in_effect(self.surface.behind(self.view, box))
            self.surface.refresh(self.view, box, part)

    @property
    def feather_pixels(self) -> float:
        """The feather in pixels of the picture; a request has it in generated pixels."""
        width, height = self.target.get("width"), self.target.get("height")
        if not width or self.target.get("padding") is not None:
            return self.feather
        fit = self.target.get("fit", Request.fit) if height else Request.fit
        place = sizes.place(self.picture.size, (width, height or width), fit)
        return float(self.feather * (place.box[2] - place.box[0]) / place.inner[0])

    def in_effect(self, box: Box) -> Image.Image:
        """The mask inside a box as the request applies it: inverted and feathered (L)."""
        margin = math.ceil(2 * self.feather_pixels) + 4 if self.feather_pixels else 0
        outer = _grown(box, margin, self.picture.size)
        part = self.history.part(outer)
        if self.invert:
            part = ImageOps.invert(part)
        part, _ = canvas.feathered(canvas.without_faint(part), self.feather_pixels)
        left, top = box[0] - outer[0], box[1] - outer[1]
        return part.crop((left, top, left + box[2] - box[0], top + box[3] - box[1]))

    def repainted(self) -> tuple[float, str]:
        """The share of the picture that the request repaints, however little; and why next to
        nothing of what is drawn changes, "" if it does.
        """
        mask = self.history.mask
        shrink = max(1, max(mask.size) // _COUNTED_SIDE) if self.feather_pixels else 1
        mask = mask.reduce(shrink)
        mask = canvas.without_faint(ImageOps.invert(mask) if self.invert else mask)
        mask, notes = canvas.feathered(mask, self.feather_pixels / shrink)
        why = "the feather is wider than what is painted: next to nothing changes" if notes else ""
        return 1 - mask.histogram()[0] / (mask.width * mask.height), why

    def latent_mask(self) -> tuple[Image.Image, Box]:
        """The latent mask (L, a pixel for each latent cell), and the box of the picture it covers.

        A request computes it in the same way. Raises ValueError if no such request can run.
        """
        inputs, _ = canvas.fit(self.request(self.target).resolved(Settings()))
        latent = None if inputs is None else inputs.latent_mask()
        if inputs is None or latent is None:
            raise ValueError("a request without a mask has no latent mask")
        left, upper, right, lower = map(round, inputs.covers)
        return latent, (left, upper, right, lower)

    def request(self, target: dict[str, Any]) -> Request:
        """A request that inpaints a blank picture with this mask and these fields.

        Raises TypeError or ValueError for a wrong field.
        """
        if self._blank is None:
            self._blank = images.picture(Image.new("RGB", self.picture.size))
        mask = images.mask(self.history.mask)
        request = Request(image=self._blank, mask=mask, invert=self.invert, feather=self.feather)
        return request.but(**target)

    def _show_latent(self, surface: Surface) -> None:
        if self.history.drawing and time.monotonic() - self._drawn_latent < _LATENT_PAUSE:
            return
        try:
            latent, box = self.latent_mask()
        except (TypeError, ValueError) as error:
            self.problem = f"The model would see no mask: {error}"
            return
        self.problem = ""
        surface.cells(self.view, latent, box)
        self._drawn_latent = time.monotonic()


def _grown(box: Box, margin: int, size: Size) -> Box:
    left, top, right, bottom = box
    return clipped((left - margin, top - margin, right + margin, bottom + margin), size)
