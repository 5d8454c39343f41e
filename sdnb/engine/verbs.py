"""txt2img, img2img, inpaint, outpaint, upscale: each builds a `Request` for `generate` to run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sdnb import images
from sdnb.engine.pipeline import generate
from sdnb.images import outpaint as outpainting
from sdnb.images.canvas import exact, flat
from sdnb.images.result import Result
from sdnb.request import Request

if TYPE_CHECKING:
    from sdnb.engine.model import Model
    from sdnb.images import Source
    from sdnb.request.sizes import Size

_NO_CONTROLS = (
    "Control networks with pictures were left out: these are of the smaller canvas. Give controls= "
    "for the larger one."
)


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


def outpaint(
    model: Model,
    image: Source,
    *,
    left: int = 0,
    right: int = 0,
    top: int = 0,
    bottom: int = 0,
    size: Size | None = None,
    anchor: str = "middle",
    overlap: int = outpainting.OVERLAP,
    index: int = 0,
    progress: bool = True,
    **fields: Any,
) -> Result:
    """A picture on a larger canvas, so many pixels more at each side, and what is there painted: or
    give the `size` (width, height) that it is to have, and at which `anchor` the picture lies there
    ("middle", "left", "top right" ...).

    It is `inpaint` of the new part and of `overlap` pixels of the picture beside it, where the new
    fades in; every other pixel is kept bit for bit. The new part starts from the colours of the
    edges, or from noise: content="noise". Only it and what it needs to see of the picture are
    generated, at about the model's own size (`padding`, `width` and `height`; padding=None: all of
    the canvas, at its own).

    A `Result` brings its prompt and settings (`index` says which of its pictures), but no seed, no
    strength, and no control with a picture, which is of the smaller canvas. Any other picture takes
    them from `fields`: prompt, steps, seed, count... Raises ValueError where nothing is extended.
    """
    base, image = _of_result(image, index)
    left_out = any(each.image for each in base.controls) and "controls" not in fields
    picture, note = flat(images.pixels(image))
    sides = outpainting.Sides(left, right, top, bottom)
    sides = outpainting.Sides.asked(picture.size, sides, size, anchor)
    own = model.settings.width, model.settings.height
    request = outpainting.request(base.but(seed=None), picture, sides, own, overlap=overlap)
    if "padding" in fields and fields["padding"] is None:  # all of the canvas, at its own size
        request = request.but(width=None, height=None)
    result = generate(model, request.but(**fields), progress)
    notes = [*note, *([_NO_CONTROLS] if left_out else [])]
    return replace(result, notes=(*notes, *result.notes)) if notes else result


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
    base, image = _of_result(image, index)
    png = images.picture(image)
    if width is None and height is None:
        width, height = (side * 2 // 8 * 8 for side in images.open(png).size)
    sides = {"width": width, "height": height}
    return _generated(model, base.enlarged(png, strength=strength), {**fields, **sides}, progress)


def _of_result(image: Source, index: int) -> tuple[Request, Source]:
    """The settings that a `Result` brings for its picture at `index`, and that picture; none for
    any other picture. Raises ValueError for a picture that it does not have.
    """
    if not isinstance(image, Result):
        return Request(), image
    if not isinstance(index, int) or not 0 <= index < len(image.images):
        raise ValueError(f"index={index!r}: this result has pictures 0 to {len(image.images) - 1}")
    return image.request_of(index), image.images[index]


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
