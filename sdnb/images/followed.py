"""The picture that a control follows where it has none of its own: the one a request starts from.

It lies in the hint as it lies in the picture that is made, so that both hold to one another pixel
for pixel; AUTOMATIC1111 does the same for a unit without a picture.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from sdnb.request import Request, picture_input, png_header, sizes
from sdnb.request.control import Control
from sdnb.request.sizes import Size

if TYPE_CHECKING:
    from sdnb.images.canvas import Canvas


def hints(request: Request) -> list[Image.Image]:
    """What each network of a resolved request reads, as a `Result` has one: pictures in RGB, of the
    size that is made. Raises as `Control.hint_at`, and ValueError where the size is open.
    """
    from sdnb.images import canvas as canvases  # NumPy, which reading a picture does without

    canvas, _ = canvases.fit(request)
    part = None if canvas is None else canvas.part
    size = request.width or 0, request.height or 0
    return [each.hint_at(*size, part) for each in with_pictures(request, canvas)]


def with_pictures(request: Request, canvas: Canvas | None) -> tuple[Control, ...]:
    """The controls of a resolved request, each with a picture: those that have none get that of
    `canvas`, and for prepare="inpaint" the request's mask. So does one with a picture of its own of
    the same size, which has no mask.
    """
    if canvas is None or request.image is None:
        return request.controls
    own, size = png_header.size(request.image), canvas.picture.size
    image, mask, how = request.image, _mask(request, own), request.fit
    own_hole = None if mask is None else picture_input.mask(mask)
    if canvas.around is not None or own == size:
        how = "stretch"
    elif how == "fit" or size == sizes.rounded_up(own):  # it lies there with a rim of its own
        if mask is not None:
            from sdnb.images.fitting import laid_mask

            mask = laid_mask(mask, size, sizes.place(own, size, how))
        image, how = picture_input.picture(canvas.picture), "stretch"
    hole = None if mask is None else picture_input.mask(mask)
    return tuple(
        replace(each, image=image, fit=how, mask=hole if _fills(each) else each.mask)
        if each.image is None else
        replace(each, mask=own_hole)
        if _fills(each) and png_header.size(each.image) == own else
        each
        for each in request.controls
    )  # fmt: skip


def _fills(control: Control) -> bool:
    """Whether it fills the hole of a request, having none of its own."""
    return control.prepare == "inpaint" and control.mask is None


def _mask(request: Request, size: Size) -> Image.Image | None:
    """The request's mask in the size of its picture, white where it is repainted; None where no
    control needs it.
    """
    needed = any(_fills(each) for each in request.controls)
    if request.mask is None or not needed:
        return None
    mask = picture_input.open(request.mask).convert("L")
    mask = ImageOps.invert(mask) if request.invert else mask
    return mask if mask.size == size else mask.resize(size, Image.Resampling.BILINEAR)
