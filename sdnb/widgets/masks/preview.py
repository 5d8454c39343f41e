"""A picture as JPEG of the size it is shown at: what travels to the browser."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageColor

from sdnb.widgets.masks.strokes import Size

VEIL = "#ff2d78"  # what is made anew
STRENGTH = 0.55  # of the veil over the picture
_QUALITY = 88  # no blocks to be seen under a veil


def jpeg(picture: Image.Image, most: int) -> bytes:
    """The picture (RGB) as JPEG, at most so many pixels wide and high."""
    small = picture.copy()
    small.thumbnail((most, most), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def veiled(picture: Image.Image, mask: Image.Image, size: Size) -> bytes:
    """The picture with the mask (L) as a veil above, as JPEG of this size."""
    small = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    thin = mask.resize(size, Image.Resampling.BOX).point(lambda value: round(value * STRENGTH))
    small.paste(ImageColor.getrgb(VEIL), (0, 0), thin)
    return jpeg(small, max(size))
