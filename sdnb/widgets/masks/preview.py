"""A picture under its mask as a JPEG, for pages without a canvas."""

from __future__ import annotations

from PIL import Image, ImageColor

from sdnb.widgets.jpegs import jpeg
from sdnb.widgets.masks.strokes import Size

VEIL = "#ff2d78"  # the colour over the part that is regenerated
STRENGTH = 0.55  # the veil's opacity
_LEAST = 0.3  # its share over what is repainted ever so little: less is not seen


def seen(mask: float) -> float:
    """The veil's share of its opacity where the mask has this value, both 0 to 1."""
    return _LEAST + (1 - _LEAST) * mask if mask > 0 else 0.0


def _opacity(value: int) -> int:
    return round(255 * STRENGTH * seen(value / 255))


def veiled(picture: Image.Image, mask: Image.Image, size: Size) -> bytes:
    """The picture with the mask (L) as a veil over it, as JPEG of this size."""
    small = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    thin = mask.resize(size, Image.Resampling.BOX).point(_opacity)
    small.paste(ImageColor.getrgb(VEIL), (0, 0), thin)
    return jpeg(small)
