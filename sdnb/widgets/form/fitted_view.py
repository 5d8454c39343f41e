"""The picture, with its mask, as it comes to the size that is asked for: seen before it is made."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as widgets
from PIL import Image, ImageOps

from sdnb import images
from sdnb.images.canvas import flat
from sdnb.images.fitting import laid, laid_mask
from sdnb.request import Request, Resolved, Settings, png_header, prompt, sizes, words
from sdnb.request.plain_words import plain
from sdnb.request.sizes import Place, Size
from sdnb.widgets.form.decoded import decoded
from sdnb.widgets.masks.preview import veiled

_SIDE = 192  # pixels of the longer side of the size that is asked for
_LONGEST_NAME = 80  # letters
_MUCH = 1.5  # times as wide, or as high: no longer the same things


def other_proportions(request: Request) -> bool:
    """Whether the picture of a request has other proportions than the size that is asked for."""
    if request.image is None or request.width is None or request.height is None:
        return False
    if request.mask is not None and request.padding is not None:
        return False  # only a part is generated
    original, size = png_header.size(request.image), (request.width, request.height)
    return size != sizes.rounded_up(original) and not sizes.same_proportions(original, size)


def with_borders_anew(request: Request) -> Request:
    """The request with a black mask, if it has none and a fill adds borders: they are what is
    painted then, and the picture is kept.
    """
    if request.fit != "fill" or request.mask is not None or not other_proportions(request):
        return request
    assert request.image is not None
    black = Image.new("L", png_header.size(request.image))
    return request.but(mask=images.mask(black), invert=False)


def runnable(request: Request, kind: str, settings: Settings, wildcards: Any = None) -> Resolved:
    """The request as a panel of this kind runs it. Raises ValueError if it cannot run. Of a
    template, the words of the first picture are looked at; `wildcards` as in `prompt.expand`.
    """
    first = words.settled(request.but(seed=request.seed or 0), wildcards)
    prompt.check(first.prompt, first.negative, first.syntax, first.steps)
    if kind in ("img2img", "inpaint") and request.image is None:
        raise ValueError("There is no picture yet: give one, or send one from the gallery.")
    if kind == "inpaint" and request.mask is None:
        request = with_borders_anew(request)
    if kind == "inpaint" and request.mask is None:
        raise ValueError("Nothing is painted yet: paint over what should be repainted.")
    alone = [each.net for each in request.controls if each.image is None]
    if alone and request.image is None:
        start = "" if kind in ("txt2img", "sketch") else ", or give the picture to start from"
        raise ValueError(
            f"The control {plain(alone[0], _LONGEST_NAME)} has no picture to follow: choose one in "
            f"the section Control, or draw it there{start}."
        )
    return request.resolved(settings)


class FittedView(widgets.VBox):
    """Shows how a request's picture and mask are fitted, where that changes them."""

    def __init__(self) -> None:
        self._small: tuple[bytes, Image.Image] | None = None  # a picture, and the same small
        self._key: object = None
        self._is_made = False
        in_column = widgets.Layout(width=f"{_SIDE + 8}px", flex="0 0 auto")
        super().__init__(layout=in_column)

    def show(self, request: Request) -> None:
        """Show the picture of this request; nothing where the proportions are those asked for."""
        self.layout.display = "" if other_proportions(request) else "none"
        image, size = request.image, (request.width or 0, request.height or 0)
        key = (image, size, request.fit, request.mask, request.invert)
        if image is None or key == self._key or self.layout.display:
            return
        self._key = key
        if not self._is_made:
            self._make()
        original = png_header.size(image)
        place = sizes.place(original, size, request.fit)
        # Somebody who stretches by so much has hardly meant it.
        by = size[0] * original[1] / (size[1] * original[0])
        much = request.fit == "stretch" and not 1 / _MUCH < by < _MUCH
        kind = "sdnb-warn" if much else "sdnb-quiet"
        words = html.escape(_in_words(original, size, place, request))
        self._words.value = f'<div class="{kind}">{words}</div>'
        small = self._smaller(image)
        at = _shrunk(place, original, size, small.size)
        result = _result(size, at)
        picture = laid(small, result, at)
        mask = laid_mask(_mask(request, small.size), result, at, 0 if request.mask is None else 255)
        self._image.value = veiled(picture, mask, picture.size)
        self._image.layout.width = f"{picture.width}px"

    def _make(self) -> None:
        """Make the parts: most pictures are not fitted."""
        self._is_made = True
        self._image, self._words = widgets.Image(format="jpeg"), widgets.HTML()
        self.children = [self._image, self._words]

    def _smaller(self, image: bytes) -> Image.Image:
        """The picture with no more pixels than are seen; a photograph is decoded once."""
        if self._small is None or self._small[0] is not image:
            picture, _ = flat(decoded(image))
            picture.thumbnail((3 * _SIDE, 3 * _SIDE), Image.Resampling.BOX)
            self._small = image, picture
        return self._small[1]


def _shrunk(place: Place, original: Size, size: Size, small: Size) -> Place:
    """The place of a picture's smaller copy in `size`, when that has a side of 192 pixels."""
    shrink = _SIDE / max(size)
    across, down = small[0] / original[0], small[1] / original[1]
    left, upper, right, lower = place.box
    box = left * across, upper * down, right * across, lower * down
    left, upper, right, lower = (round(side * shrink) for side in place.at)
    return Place(box, (left, upper, max(right, left + 1), max(lower, upper + 1)), place.filled)


def _result(size: Size, at: Place) -> Size:
    """What is seen: borders only where they are part of the result."""
    shrink = _SIDE / max(size)
    whole = max(round(size[0] * shrink), at.at[2]), max(round(size[1] * shrink), at.at[3])
    return whole if at.filled else at.inner


def _mask(request: Request, size: Size) -> Image.Image:
    """What is repainted of a picture of this size; black where there is no mask."""
    if request.mask is None:
        return Image.new("L", size)
    mask = images.open(request.mask).convert("L").resize(size, Image.Resampling.BOX)
    return ImageOps.invert(mask) if request.invert else mask


def _in_words(original: Size, size: Size, place: Place, request: Request) -> str:
    if request.fit == "crop":
        left, upper, right, lower = map(round, place.box)
        kept = f"{right - left} × {lower - upper}"
        return f"Its middle is used: {kept} of {original[0]} × {original[1]}."
    if request.fit == "fit":
        return "The whole picture: what comes of it has {} × {}.".format(*place.inner)
    if request.fit == "fill":
        return "The whole picture, at {} × {}; what is around it is painted.".format(*place.inner)
    wider = size[0] * original[1] / (size[1] * original[0])
    how = f"{wider:.1f} times as wide" if wider > 1 else f"{1 / wider:.1f} times as high"
    return f"Stretched: all things become {how}. Crop, fill and fit keep their proportions."
