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
from pathlib import Path
from typing import Any

import ipywidgets
import traitlets
from PIL import Image

from sdnb import images
from sdnb.assets import user_path
from sdnb.images import outpaint
from sdnb.images.outpaint import OVERLAP, Sides
from sdnb.request import RANGES, Request, checks
from sdnb.request.plain_words import counted
from sdnb.request.sizes import Size
from sdnb.widgets import style, too_large
from sdnb.widgets.drops import TAKES
from sdnb.widgets.hearing import in_order
from sdnb.widgets.masks.drawing import Drawing
from sdnb.widgets.masks.dropped_picture import DroppedPicture
from sdnb.widgets.masks.extend_fold import ExtendFold
from sdnb.widgets.masks.history import rasterise
from sdnb.widgets.masks.preview import veil_over
from sdnb.widgets.masks.strokes import (
    Clear,
    Extension,
    Imported,
    Invert,
    Stroke,
    imported,
    transparent,
)
from sdnb.widgets.masks.toolbar import MaskToolbar

_HOW = "A mask can be imported: a picture in which white is repainted and black is kept."


class MaskEditor(Drawing):
    """A widget to draw a mask on a picture. Read `mask`, or assign to it.

    `image` is anything `sdnb.images.picture` takes: a path, a PIL image, an array, bytes, a Result;
    its errors are raised. `width` limits the editor's width and height, in pixels of the page. With
    `drops`, a picture that is dropped on it or pasted becomes `image`, and a button goes back.

    `feather`, `invert` and `latent` (show the latent mask) are traits. `target` holds the other
    fields of the request that change the latent mask: width, height, padding, fit.
    """

    feather = traitlets.Float(0.0, help="Pixels over which the rim fades, as in a Request.")
    invert = traitlets.Bool(False, help="Black is repainted, as in a Request.")
    latent = traitlets.Bool(False, help="Show the latent mask.")
    target = traitlets.Dict(help="Fields of the Request to come: width, height, padding, fit.")

    def __init__(self, image: images.Source, width: int = 700, *, drops: bool = True) -> None:
        self._image = picture = images.pixels(image)
        width = checks.whole("width", width, 64, 4096)
        take = self._guarded(lambda data, _: setattr(self, "mask", data))
        self._toolbar: MaskToolbar = MaskToolbar(picture, take)
        super().__init__(picture, width, self._toolbar, ink=veil_over(picture), how=_HOW, take=take)
        self._below = ipywidgets.HBox([self._status, self._toolbar.files])
        self._below.add_class("sdnb-below")
        #: Numbers for a larger canvas, behind a button.
        self.extending = ExtendFold(self._guarded(self._extend))
        self._dropped = DroppedPicture("sdnb-mask", self._put, self._too_large)
        self._put_strokes: tuple[Stroke, ...] | None = None  # of a picture that was dropped
        dropped = [self._dropped] if drops else []
        self.children = [style.sheet(), *self._parts, self._below, self.extending, *dropped]
        if drops:
            self.add_class(TAKES)
        in_order(self)
        too_large.hear(self._too_large)
        bar = self._toolbar
        bar.latent.observe(self._guarded(lambda c: setattr(self, "latent", c.new)), "value")
        bar.feather.moved = self._guarded(lambda number: setattr(self, "feather", number))
        #: The feather that the last extension of the canvas has brought; 0 for none.
        self.brought_feather = 0.0
        self._suited = self.extensions
        self._set_width_below()
        self.extending.show(picture.size, None)
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
        """The picture below the mask, RGB or RGBA; where the canvas was extended, the larger one.

        A new picture of the same size keeps the mask; one of another size clears it.
        """
        return (self._state.picture if self.extensions else self._image).copy()

    @image.setter
    def image(self, source: images.Source) -> None:
        picture = images.pixels(source)
        lost = bool(self._state.history.strokes)
        if picture.size == self._state.picture.size:
            self.brought_feather = 0.0  # the mask stays, and its feather with it
        self._image = picture
        kept = self._lay_under(picture)
        self._set_width_below()
        if lost and not kept:
            self._show_status("The picture has another size: the mask was cleared.")

    @property
    def extensions(self) -> tuple[Extension, ...]:
        """By how much the canvas was extended: those of the strokes that did so."""
        return self._state.history.extensions

    @property
    def wrong(self) -> str:
        """Why the feather in its box is refused, and `feather` is the last one; "" if it is not."""
        return str(self._toolbar.feather.wrong)

    def forget_wrong(self) -> None:
        """Show `feather` in place of one that is refused."""
        self._toolbar.feather.show(self.feather)

    def use_alpha(self, source: images.Source | None = None) -> None:
        """Take a picture's transparent part as the mask; by default the editor's own picture's.

        Raises ValueError for a picture without transparency.
        """
        holes = transparent(self.image if source is None else images.pixels(source))
        self._replace_mask(*imported(holes, self._state.picture.size))

    def extend(
        self, left: int = 0, right: int = 0, top: int = 0, bottom: int = 0, *,
        size: Size | None = None, anchor: str = "middle", overlap: int = OVERLAP,
    ) -> None:  # fmt: skip
        """Extend the canvas by so many pixels, or to a `size` (width, height) in which the picture
        lies at `anchor`; the new part is masked, and `overlap` pixels of the picture beside it.
        Undo takes it back. Raises as `sdnb.outpaint`.
        """
        self._gestures.cancel()
        before = self._state.picture.size
        sides = Sides.asked(before, Sides(left, right, top, bottom), size, anchor)
        self._state.apply(Extension(sides, overlap, not self.invert))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the mask, replacing a file. Raises ValueError if not to .png, and OSError."""
        target = user_path(path)
        if target.suffix.lower() != ".png":
            raise ValueError(f"path={str(target)!r} does not end in .png: a mask is saved as a PNG")
        self.mask.save(target)
        return target

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

    def _put(self, picture: Image.Image) -> Callable[[], None]:
        """Take a picture that was dropped; returns what goes back to the one before, its mask and
        feather.
        """
        image, mask, feather = self.image, self.mask, self.feather

        def back() -> None:
            self.image = image
            self.mask, self.feather = mask, feather

        self.image = picture
        self._put_strokes = self.strokes
        return back

    def _extend(self, sides: Sides, overlap: int) -> None:
        """Extend the canvas as its numbers say, in place of what they said before."""
        self._gestures.cancel()
        before = self._state.last_extension
        new = Extension(sides, overlap, not self.invert) if sides else None
        if new != before:
            self._state.enlarge(new)

    def _changed(self) -> None:
        if self.extensions != self._suited:
            self._suited = self.extensions
            self._suit()
        self.extending.show(self._state.size_before, self._state.last_extension)
        if self.strokes != self._put_strokes:  # to go back would lose them
            self._dropped.forget()
        super()._changed()

    def _suit(self) -> None:
        """Fit all that depends on the canvas's size to a larger one, or back. It brings a feather,
        where there was none.
        """
        self._toolbar.suit(self._state.picture if self.extensions else self._image)
        self.brush = min(self.brush, float(self._toolbar.largest))
        self._set_width_below()
        faded = outpaint.feather(self.extensions[-1].overlap) if self.extensions else 0.0
        if self.feather in (0.0, self.brought_feather):
            self.feather, self.brought_feather = faded, faded

    def _actions(self) -> dict[str, Callable[[], None]]:
        return {
            **super()._actions(),
            "invert": lambda: self._state.apply(Invert()),
            "latent": lambda: setattr(self, "latent", not self.latent),
            "alpha": self.use_alpha,
            "export": lambda: self._status.offer(images.mask(self.mask)),
            "on": self._toolbar.upload.focus,
            "back": self._toolbar.latent.focus,
        }

    def _set_width_below(self) -> None:
        """Make the line below as wide as the picture."""
        self._below.layout.width = f"{max(self._state.page[0], 400)}px"

    def _too_large(self, words: str) -> None:
        self._show_status(words, problem=True)

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

    def _tell(self, extra: str, problem: bool) -> None:
        self._status.tell(self._state, extra or self._state.problem, problem or not extra)
