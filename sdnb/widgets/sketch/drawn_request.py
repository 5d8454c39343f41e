"""A drawing in a request: lines that hold the picture, colours that it starts from, or both.

Of lines, a control network for sketches follows all that is drawn; beside colours, what is drawn in
a dark colour, so that a red field is no line. Lines alone are no colours: the picture would stay as
white as the sheet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops

from sdnb import images
from sdnb.images.canvas import flat
from sdnb.request import Request
from sdnb.request.control import Control
from sdnb.request.sizes import Size

# The first is the second or the fourth: both, once there is any colour.
AUTO, LINES, COLOURS, BOTH = "auto", "lines", "colours", "both"
WAYS = (AUTO, LINES, COLOURS, BOTH)
_PREPARE = "scribble"
_DARK = 96  # of 255, in every channel: what counts as a line beside colours
_LIGHT = 240  # in every channel: what counts as the sheet
_SOME = 0.002  # of the sheet's pixels: less is a slip of the pencil


@dataclass(frozen=True)
class Way:
    """How a picture follows a drawing: its `way`, how free it is of the colours (`strength`, 0 to
    1), how strongly the lines hold it (`scale`), and the control network that follows lines.
    """

    way: str = AUTO
    strength: float = 0.7
    scale: float = 1.0
    net: str | None = None


def drawn(
    request: Request, picture: Image.Image, how: Way, size: Size, png: bytes | None = None
) -> Request:
    """The request for a picture of `size` that follows a drawing (RGB, on white), whose PNG bytes
    are `png` where there are some. Raises ValueError for lines where no network follows them.
    """
    png = images.picture(picture) if png is None else png
    way = followed(how.way, picture)
    if way != COLOURS:
        if how.net is None:
            raise ValueError(
                "There is no control network that follows lines: put one for scribbles or sketches "
                "into the library, or follow the colours."
            )
        lines = png if way == LINES else images.picture(dark_lines(picture))
        control = Control(how.net, lines, how.scale, prepare=_PREPARE)
        request = request.but(controls=(control, *request.controls))
    if way != LINES:
        # Its own size is the sheet's, which is finer than what is made.
        request = request.but(image=png, strength=how.strength, width=size[0], height=size[1])
    return request


def undrawn(request: Request, how: Way, own: Size) -> tuple[Request, Way, bytes | None]:
    """A request without what `drawn` has put into it, how that followed the drawing, and the
    drawing's PNG bytes, None for none. `own` is the model's own size, which is left open.
    """
    controls, lines = request.controls, None
    first = controls[0] if controls else None
    if first is not None and first.image is not None and _is_sketch(first, how):
        lines, controls = first, controls[1:]
    picture = request.image or (lines.image if lines else None)
    if picture is None:
        return request, how, None
    drawing = flat(images.open(picture))[0]
    way = COLOURS if lines is None else BOTH if request.image else LINES
    found = Way(
        AUTO if how.way == AUTO and followed(AUTO, drawing) == way else way,
        request.strength if request.image else how.strength,
        how.scale if lines is None else lines.scale,
        how.net if lines is None else lines.net,
    )
    rest = request.but(
        image=None, mask=None, strength=Request.strength, controls=controls,
        **({"width": None, "height": None} if (request.width, request.height) == own else {}),
    )  # fmt: skip
    return rest, found, picture


def followed(way: str, picture: Image.Image) -> str:
    """What a way comes to for a drawing: LINES, COLOURS or BOTH."""
    if way != AUTO:
        return way
    red, green, blue = picture.split()
    lightest = np.asarray(ImageChops.lighter(ImageChops.lighter(red, green), blue))
    darkest = np.asarray(ImageChops.darker(ImageChops.darker(red, green), blue))
    coloured = (lightest >= _DARK) & (darkest < _LIGHT)
    return BOTH if coloured.mean() > _SOME else LINES


def dark_lines(picture: Image.Image) -> Image.Image:
    """Black on white: what is dark in every channel."""
    red, green, blue = picture.split()
    lightest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return lightest.point([0] * _DARK + [255] * (256 - _DARK)).convert("RGB")


def _is_sketch(control: Control, how: Way) -> bool:
    return control.prepare == _PREPARE and control.net == (how.net or control.net)
