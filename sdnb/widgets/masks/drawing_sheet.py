"""A white sheet to draw on in colours, with a photograph beneath it that one traces."""

from __future__ import annotations

from typing import Any

import traitlets
from PIL import Image

from sdnb import images
from sdnb.images.canvas import flat
from sdnb.request import checks
from sdnb.request.sizes import Size
from sdnb.widgets.drops import TAKES
from sdnb.widgets.hearing import in_order
from sdnb.widgets.masks.colour_canvas import ColourCanvas
from sdnb.widgets.masks.strokes import Imported
from sdnb.widgets.masks.trace_fold import STRENGTH, TraceFold, fitted


class Sheet(ColourCanvas):
    """A colour canvas of a size. `trace` is a photograph that is seen below the drawing, with
    `trace_strength` from 0 to 1, and is no part of it: `draw_trace` makes it one.
    """

    trace_strength = traitlets.Float(STRENGTH, help="How strongly the photo is seen: 0 to 1.")

    def __init__(self, size: Size = (512, 512), width: int = 700) -> None:
        self._photo: Image.Image | None = None  # as it was given
        super().__init__(size=size, width=width)
        #: The photograph's controls, behind a button.
        self.tracing = TraceFold(
            self._guarded(lambda photo: setattr(self, "trace", photo)),
            self._guarded(lambda strength: setattr(self, "trace_strength", strength)),
            self._guarded(self.draw_trace),
        )
        self.children = [*self.children, self.tracing]
        self.add_class(TAKES)  # what is dropped on it, one traces
        in_order(self)

    @property
    def trace(self) -> Image.Image | None:
        """The photograph, RGB; None where there is none. Assign anything `sdnb.images.picture`
        takes: it lies whole in the middle of the sheet. Raises as that.
        """
        return None if self._photo is None else self._photo.copy()

    @trace.setter
    def trace(self, source: images.Source | None) -> None:
        self._photo = None if source is None else flat(images.pixels(source))[0]
        self._lay_trace()

    def draw_trace(self) -> None:
        """Make the photograph part of the drawing, below what is drawn. Raises ValueError where
        there is none.
        """
        if self._photo is None:
            raise ValueError("there is no photo to draw in: give one, or assign sheet.trace")
        with self._colours.lock:
            below = fitted(self._photo, self.size).convert("RGBA")
            both = Image.alpha_composite(below, self._colours.history.picture)
            self._colours.apply(Imported(images.picture(both)))

    def begin(self, image: images.Source | Size, drawing: images.Source | None = None) -> None:
        """Take another picture or sheet, as of `ColourCanvas`; the photograph stays."""
        super().begin(image, drawing)
        self._lay_trace()

    def resize(self, size: Size) -> None:
        """Become a sheet of this size. What is drawn stays in the middle, in its own proportions,
        and cannot be undone any more.
        """
        if size == self.size:
            return
        kept, empty = self.drawing, self.is_empty
        scale = min(size[0] / kept.width, size[1] / kept.height)
        small = round(kept.width * scale), round(kept.height * scale)
        moved = Image.new("RGBA", size)
        moved.paste(
            kept.resize(small, Image.Resampling.NEAREST),
            ((size[0] - small[0]) // 2, (size[1] - small[1]) // 2),
        )
        self.begin(size, None if empty else moved)

    def _lay_trace(self) -> None:
        """Show the photograph as strongly as it is to be seen."""
        sheet = Image.new("RGB", self.size, "white")
        photo = None if self._photo is None else fitted(self._photo, self.size)
        shown = sheet if photo is None else Image.blend(sheet, photo, self.trace_strength)
        self._colours.lay(shown, picked=photo)
        self.tracing.show(self.trace_strength, has=photo is not None)

    @property
    def _beneath(self) -> Image.Image:
        return Image.new("RGB", self.size, "white")

    @traitlets.validate("trace_strength")
    def _strength_checked(self, proposal: Any) -> float:
        return checks.number("trace_strength", proposal.value, 0.0, 1.0)

    @traitlets.observe("trace_strength")
    def _strength_changed(self, _: Any) -> None:
        self._lay_trace()
