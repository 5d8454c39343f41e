"""A picture or a mask laid into a size of other proportions, and what is said of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from sdnb.request import sizes
from sdnb.request.sizes import Place, Size


def laid(picture: Image.Image, size: Size, place: Place) -> Image.Image:
    """The picture in its place in `size`; borders repeat its rim, so that no false edge is seen."""
    return _padded(_resized(picture, place, Image.Resampling.LANCZOS), size, place, mode="edge")


def laid_mask(mask: Image.Image, size: Size, place: Place, border: int = 255) -> Image.Image:
    """The mask (L) in the picture's place. Borders have the value `border`; those that are cut off
    again repeat the mask's rim.
    """
    resized = _resized(mask, place, Image.Resampling.BILINEAR)
    if place.filled:
        return _padded(resized, size, place, mode="constant", constant_values=border)
    return _padded(resized, size, place, mode="edge")


def _resized(picture: Image.Image, place: Place, filter_: Image.Resampling) -> Image.Image:
    if place.inner == picture.size:
        return picture
    return picture.resize(place.inner, filter_, box=place.box)


def _padded(picture: Image.Image, size: Size, place: Place, **how: Any) -> Image.Image:
    if picture.size == size:
        return picture
    pixels = np.asarray(picture)  # [h, w] or [h, w, 3]
    left, upper, right, lower = place.at
    added = ((upper, size[1] - lower), (left, size[0] - right), (0, 0))[: pixels.ndim]
    return Image.fromarray(np.pad(pixels, added, **how))


def said_of(original: Size, size: Size, fit: str, near: bool = True) -> list[str]:
    """A note on a picture that was padded, or whose proportions are not those of `size`. With
    `near` it lies as `sizes.place` says, else as `sizes.spread` does.
    """
    place = (sizes.place if near else sizes.spread)(original, size, fit)
    (w, h), (width, height) = original, size
    padded = f"padded to {width}x{height} (multiples of 8) to work on, and cut back"
    if place.inner == original and not place.filled:
        if original == size:
            return []
        advice = f"sdnb.upscale makes one of {width}x{height}"
        return [f"The picture is {w}x{h}: {padded} to its own size; {advice}."]
    resized = "The picture was resized to {}x{}".format(*place.inner)
    if fit == "fit":
        return [] if place.inner == size else [f"{resized}, {padded}."]
    if sizes.same_proportions(original, size):
        return []
    if fit == "crop":
        across, down = round(place.box[2] - place.box[0]), round(place.box[3] - place.box[1])
        return [f"Of the picture, {w}x{h}, the middle was taken, {across}x{down}."]
    if fit == "fill":
        borders = "the borders, which begin with the colours of its rim, were painted"
        return [f"{resized}, in the middle of {width}x{height}; {borders}."]
    advice = (
        'give only width or only height to keep its proportions, or fit="crop", "fill" or "fit"'
    )
    return [f"The picture was stretched from {w}x{h} to {width}x{height}; {advice}."]
