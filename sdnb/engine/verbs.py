"""txt2img, img2img, inpaint and upscale: each builds a `Request` and hands it to `generate`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sdnb import images
from sdnb.engine.pipeline import generate
from sdnb.images.canvas import exact
from sdnb.images.result import Result
from sdnb.request import Request

if TYPE_CHECKING:
    from sdnb.engine.model import Model
    from sdnb.images import Source


def txt2img(model: Model, prompt: str = "", *, progress: bool = True, **fields: Any) -> Result:
    """Pictures from words. `fields` are `Request`'s: steps, cfg, seed, count, width, height,
    negative, sampler...
    """
    return _generated(model, Request(prompt), fields, progress)


def img2img(
    model: Model,
    prompt: str = "",
    *,
    image: Source,
    mask: Source | None = None,
    progress: bool = True,
    **fields: Any,
) -> Result:
    """Pictures from words and a picture: a path, a PIL image, an array, PNG bytes or a `Result`.

    `strength` says how much is repainted: 0 returns the picture, 1 ignores it (0.75, as in the
    original). With a `mask` it is `inpaint`. `fit` says how a picture of other proportions comes to
    width x height: "stretch"; "crop" what is too much of its middle; "fill" the borders of the
    whole one, which are painted; "fit" the whole one inside, one side of the result smaller.
    """
    hole, note = (None, "") if mask is None else images.mask_and_note(mask)
    request = Request(prompt, image=images.picture(image), mask=hole)
    return _generated(model, request, fields, progress, note)


def inpaint(
    model: Model,
    prompt: str = "",
    *,
    image: Source,
    mask: Source,
    progress: bool = True,
    **fields: Any,
) -> Result:
    """Repaint the white part of `mask` (`invert=True`: the black part); every other pixel is kept
    bit for bit.

    `feather` fades the rim over so many pixels, on the side that is repainted. `content` says what
    the part starts from: the "original", "noise", or a "fill" of the colours around it. The mask
    goes with the picture as `fit` says (see `img2img`), and borders of a "fill" are white. With
    `padding`, only the masked part and so many pixels around it are generated, at width x height
    (the model's own size), which gives small things more detail.
    """
    hole, note = images.mask_and_note(mask)
    request = Request(prompt, image=images.picture(image), mask=hole)
    return _generated(model, request, fields, progress, note)


def upscale(
    model: Model,
    image: Source,
    *,
    width: int | None = None,
    height: int | None = None,
    strength: float = 0.5,
    index: int = 0,
    progress: bool = True,
    **fields: Any,
) -> Result:
    """A larger picture of the same: resized (Lanczos), then polished by img2img with its own
    prompt.

    A `Result` brings its prompt, seed and settings (`index` says which of its pictures); any other
    picture takes them from `fields`. Without a size: twice the picture's. A net that keeps what is
    there while details are painted follows the picture itself: `controls=sdnb.Control("tile")`.
    """
    base = Request()
    if isinstance(image, Result):
        if not isinstance(index, int) or not 0 <= index < len(image.images):
            raise ValueError(
                f"index={index!r}: this result has pictures 0 to {len(image.images) - 1}"
            )
        base = image.request_of(index)
        image = image.images[index]
    png = images.picture(image)
    if width is None and height is None:
        width, height = (side * 2 // 8 * 8 for side in images.open(png).size)
    sides = {"width": width, "height": height}
    return _generated(model, base.enlarged(png, strength=strength), {**fields, **sides}, progress)


def _generated(
    model: Model, request: Request, fields: dict[str, Any], progress: bool, note: str = ""
) -> Result:
    """Generate a request with these fields changed, with a note on its input. Where both sides are
    among the fields, the result has that size, also where the picture's own is next to it.
    """
    request, notes = request.but(**fields), list[str]()
    if fields.get("width") is not None and fields.get("height") is not None:
        request, notes = exact(request)
    result = generate(model, request, progress)
    notes = [note, *notes] if note else notes
    return replace(result, notes=(*notes, *result.notes)) if notes else result
