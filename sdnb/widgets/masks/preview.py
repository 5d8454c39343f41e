"""A picture under its mask as a JPEG, for pages without a canvas."""

from __future__ import annotations

from PIL import Image, ImageColor

from sdnb.widgets.jpegs import jpeg
from sdnb.widgets.masks.strokes import Size

VEIL = "#ff2d78"  # the colour over the part that is regenerated
STRENGTH = 0.55  # the veil's opacity


def veiled(picture: Image.Image, mask: Image.Image, size: Size) -> bytes:
    """The picture with the mask (L) as a veil over it, as JPEG of this size."""
    small = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    thin = mask.resize(size, Image.Resampling.BOX).point(lambda value: round(value * STRENGTH))
    small.paste(ImageColor.getrgb(VEIL), (0, 0), thin)
    return jpeg(small)
