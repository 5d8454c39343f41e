"""A picture under the veil of its mask: what is shown where one cannot draw."""

from __future__ import annotations

from PIL import Image, ImageColor

from sdnb.widgets.jpegs import jpeg
from sdnb.widgets.masks.strokes import Size

VEIL = "#ff2d78"  # what is made anew
STRENGTH = 0.55  # of the veil over the picture


def veiled(picture: Image.Image, mask: Image.Image, size: Size) -> bytes:
    """The picture with the mask (L) as a veil above, as JPEG of this size."""
    small = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    thin = mask.resize(size, Image.Resampling.BOX).point(lambda value: round(value * STRENGTH))
    small.paste(ImageColor.getrgb(VEIL), (0, 0), thin)
    return jpeg(small)
