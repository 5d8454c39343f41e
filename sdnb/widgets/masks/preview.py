"""What is drawn on a picture, and how it is seen; as a JPEG, for pages without a canvas."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageColor

from sdnb.widgets.jpegs import jpeg
from sdnb.widgets.masks.strokes import Size

VEIL = "#ff2d78"  # the colour over the part that is regenerated
_OTHERS = ("#00c853", "#2962ff")  # where a picture has too much that is like it
_ALIKE = 170.0  # between colours, of 441 from black to white: nearer ones are hard to tell apart
_MUCH = 0.25  # of a picture
STRENGTH = 0.55  # the veil's opacity
_LEAST = 0.3  # its share over what is repainted ever so little: less is not seen


@dataclass(frozen=True)
class Ink:
    """The colour that covers the picture where something is drawn, its opacity, and the share of
    that where it is drawn ever so little.
    """

    colour: str
    strength: float
    least: float

    def seen(self, mask: float) -> float:
        """The share of the opacity where the mask has this value, both 0 to 1."""
        return self.least + (1 - self.least) * mask if mask > 0 else 0.0

    def opacity(self, value: int) -> int:
        """The opacity where the mask has this value, both 0 to 255."""
        return round(255 * self.strength * self.seen(value / 255))


AS_VEIL = Ink(VEIL, STRENGTH, _LEAST)
AS_LINES = Ink("#000000", 1.0, 0.0)


def veil_over(picture: Image.Image) -> Ink:
    """The veil that is seen on a picture: the usual one, unless a quarter of the picture is like it
    and less of it like another one.
    """
    pixels = np.asarray(picture.convert("RGB").resize((32, 32))).reshape(-1, 3)  # [1024, 3]

    def alike(colour: str) -> float:
        apart = np.linalg.norm(pixels - np.array(ImageColor.getrgb(colour)), axis=1)
        return float((apart < _ALIKE).mean())

    if alike(VEIL) < _MUCH:
        return AS_VEIL
    return replace(AS_VEIL, colour=min((VEIL, *_OTHERS), key=alike))


def veiled(picture: Image.Image, mask: Image.Image, size: Size, ink: Ink = AS_VEIL) -> bytes:
    """The picture with the mask (L) over it, by default as a veil, or with what is drawn in colours
    (RGBA), as JPEG of this size.
    """
    small = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    if mask.mode == "RGBA":
        drawn = mask.resize(size, Image.Resampling.BOX)
        small.paste(drawn.convert("RGB"), (0, 0), drawn.getchannel("A"))
        return jpeg(small)
    thin = mask.resize(size, Image.Resampling.BOX).point(ink.opacity)
    small.paste(ImageColor.getrgb(ink.colour), (0, 0), thin)
    return jpeg(small)
