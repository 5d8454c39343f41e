"""What the transparent pixels of a picture mean where it is given as a mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from PIL import Image, ImageOps

_FEW_COLOURS = 16  # in 32 steps of each channel: a drawing has no more, a photograph has

_DRAWN = "The mask is a drawing on transparency: what is drawn is repainted."
_ERASED = "The mask has an erased part: what is transparent in it is repainted."
_WHITE = "The mask is black and white with transparent parts: these are kept, as its black is."


def mask(image: Image.Image) -> tuple[Image.Image, str]:
    """The mask that an RGBA picture with transparent pixels stands for, and a note that says so."""
    import numpy as np

    alpha = image.getchannel("A")
    if _one_colour(image):
        return alpha, _DRAWN
    count = light = dark = 0
    grey, colours = True, np.zeros(2**15, bool)
    for band in _bands(image):
        seen = band[band[..., 3] >= 128][:, :3]  # [n, 3]
        count += len(seen)
        grey = grey and bool((np.ptp(seen, axis=1) <= 8).all())
        light += int((seen >= 239).all(axis=1).sum())
        dark += int((seen <= 16).all(axis=1).sum())
        colours[(seen // 8).astype(np.int32) @ (1024, 32, 1)] = True
    if not count:
        return alpha, _DRAWN
    if grey and light and (light + dark) / count >= 0.5:  # no white: a photograph at night
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, image), _WHITE
    if colours.sum() <= _FEW_COLOURS and 2 * count < image.width * image.height:
        return alpha, _DRAWN
    return ImageOps.invert(alpha), _ERASED


def _one_colour(image: Image.Image) -> bool:
    """Whether all visible pixels of an RGBA picture have one colour. Colours count by their alpha:
    a canvas rounds those of nearly transparent pixels.
    """
    import numpy as np

    strongest = max((band[..., 3].max(), -n) for n, band in enumerate(_bands(image)))
    band = next(band for n, band in enumerate(_bands(image)) if n == -strongest[1])
    at = np.unravel_index(band[..., 3].argmax(), band.shape[:2])
    colour = band[at][:3].astype(np.int32)
    return all(
        bool((np.abs(band[..., :3] - colour) * band[..., 3:].astype(np.int32) <= 2 * 255).all())
        for band in _bands(image)
    )


def _bands(image: Image.Image) -> Iterator[Any]:
    """The pixels `[rows, w, 4]`, 256 rows at a time: wider numbers take four times as much."""
    import numpy as np

    for top in range(0, image.height, 256):
        yield np.asarray(image.crop((0, top, image.width, min(top + 256, image.height))))
