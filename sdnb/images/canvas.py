"""The input picture and mask, fitted to the generated size. Notes report every change to them."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageChops, ImageFilter, ImageOps

from sdnb.images import inpaint_fill
from sdnb.images.fitting import laid, laid_mask, said_of
from sdnb.request import Request, picture_input, png_header, sizes
from sdnb.request.plain_words import counted
from sdnb.request.sizes import Size

_LATENT = 8  # a cell of the latent covers 8x8 pixels
# Of the generated size: a part between it and that is cut out as large, since as few pixels more
# cost less than resampling all of them.
_NEARLY = 0.9
_FAINT = 8  # a smaller value of a mask, of 255, changes nothing that can be seen: it is black


@dataclass(frozen=True)
class Canvas:
    """The input of img2img and inpainting. Picture and mask have the generated size."""

    picture: Image.Image  # RGB
    mask: Image.Image | None  # L: 255 is repainted, 0 is kept, values between are blended
    crop: tuple[int, int]  # the size of the result: smaller than the picture if that was padded
    content: str = "original"  # what the masked part starts from
    around: _WholePicture | None = None  # set if only a part of the picture is generated
    # What the generated size covers of the picture that was given, in its pixels.
    covers: tuple[float, float, float, float] = (0, 0, 0, 0)

    @property
    def part(self) -> tuple[float, float, float, float] | None:
        """What is generated of the whole picture: left, upper, right and lower edge, in shares of
        its sides; None: all of it.
        """
        if self.around is None:
            return None
        (left, upper, right, lower), (w, h) = self.around.box, self.around.picture.size
        return left / w, upper / h, right / w, lower / h

    def latent_mask(self) -> Image.Image | None:
        """The mask at the latent's size. Average pooling 8x8, so that no kept pixel is touched."""
        if self.mask is None:
            return None
        w, h = self.mask.size
        return self.mask.resize((w // _LATENT, h // _LATENT), Image.Resampling.BOX)

    def hidden_cells(self) -> Image.Image:
        """What a 9-channel inpainting model repaints, at the latent's size: 255 for each cell
        of 8x8 pixels with one that is not black. `finish` keeps the black pixels of such a cell.
        """
        w, h = (side // _LATENT for side in self.picture.size)
        if self.mask is None:
            return Image.new("L", (w, h), 255)
        means = _white(self.mask).resize((w, h), Image.Resampling.BOX)
        return _white(means)

    def masked_picture(self) -> Image.Image:
        """The picture with mid-grey `hidden_cells`: the extra input of a 9-channel model."""
        grey = Image.new("RGB", self.picture.size, (127, 127, 127))
        hole = self.hidden_cells().resize(self.picture.size, Image.Resampling.NEAREST)
        return Image.composite(grey, self.picture, hole)

    def filled_picture(self) -> Image.Image:
        """The picture, all that the mask touches filled with the colours around it."""
        if self.mask is None:
            return self.picture
        if self.around is not None:
            return self.around.filled_part(self.picture.size)
        return _filled(self.picture, self.mask)

    def untouched(self) -> Image.Image:
        """The result of strength 0: the input picture, at the size of the result."""
        whole = self.picture if self.around is None else self.around.picture
        return whole if whole.size == self.crop else whole.crop((0, 0, *self.crop))

    def finish(self, image: Image.Image) -> Image.Image:
        """Restore the kept pixels bit for bit and cut the padding off."""
        if self.around is not None:
            return self.around.with_part(image)
        if self.mask is not None:
            image = Image.composite(image, self.picture, self.mask)
        return image if image.size == self.crop else image.crop((0, 0, *self.crop))


@dataclass(frozen=True)
class _WholePicture:
    """The picture at its own size, if only the part in `box` is generated."""

    picture: Image.Image  # RGB
    mask: Image.Image  # L, of the same size
    box: tuple[int, int, int, int]  # left, upper, right, lower

    def with_part(self, image: Image.Image) -> Image.Image:
        left, upper, right, lower = self.box
        whole = self.picture.copy()
        whole.paste(image.resize((right - left, lower - upper), Image.Resampling.LANCZOS), self.box)
        return Image.composite(whole, self.picture, self.mask)

    def filled_part(self, size: tuple[int, int]) -> Image.Image:
        """The part at `size`, filled. The colours are looked for outside the box, too: where only
        the white is in it, they are nowhere else.
        """
        left, upper, right, lower = self.box
        margin = max(_LATENT, (right - left) // 4, (lower - upper) // 4)
        (x, y), (width, height) = (max(0, left - margin), max(0, upper - margin)), self.mask.size
        more = x, y, min(width, right + margin), min(height, lower + margin)
        whole = _filled(self.picture.crop(more), self.mask.crop(more))
        part = whole.crop((left - x, upper - y, right - x, lower - y))
        return part.resize(size, Image.Resampling.LANCZOS)


def fit(request: Request) -> tuple[Canvas | None, list[str]]:
    """The canvas of a resolved request (None without a picture), and notes: how the input was
    adapted, and which settings have no effect.

    If the request's size is the picture's size rounded up to multiples of 8, the picture is padded
    with its own rim and the result is cropped, so every pixel keeps its place. Any other picture is
    resized (Lanczos), as the request's `fit` says; where that leaves borders, they begin with the
    colours of its rim. The mask goes the same way, by a bilinear filter, which keeps black pixels
    black up to one pixel from an edge; it is white where there is no picture. With `padding`, only
    the masked part is cut out, resized and later put back.
    """
    notes = _without_effect(request)
    if request.image is None:
        return None, notes
    if request.width is None or request.height is None:
        raise ValueError("the request has no size yet: resolve it first (request.resolved(...))")
    size = request.width, request.height
    picture, more = flat(picture_input.open(request.image))
    notes += more
    place = sizes.place(picture.size, size, request.fit)
    borders = place.filled and place.inner != size
    mask, mask_notes = _prepared_mask(request, picture.size, borders)
    if mask is not None and request.padding is not None:
        canvas, more = _masked_part(request, picture, mask, size)
        return canvas, notes + mask_notes + more
    notes += said_of(picture.size, size, request.fit) + mask_notes
    if mask is not None:
        mask = laid_mask(mask, size, place)
        mask, more = feathered(without_faint(mask), request.feather)
        notes += more
    result = size if place.filled else place.inner
    covers = place.covers(size)
    return Canvas(laid(picture, size, place), mask, result, request.content, covers=covers), notes


def exact(request: Request) -> tuple[Request, list[str]]:
    """The request with its picture brought to exactly width x height as its `fit` says, and notes.

    For width x height that a user asked for, where that is the picture's size rounded up to
    multiples of 8: `fit` takes it for `Request.resolved`'s, pads and crops. Any other request is
    returned unchanged.
    """
    if request.image is None or request.width is None or request.height is None:
        return request, []
    picture, size = picture_input.open(request.image), (request.width, request.height)
    original, only_part = picture.size, request.mask is not None and request.padding is not None
    if only_part or request.fit == "fit" or sizes.rounded_up(original) != size or original == size:
        return request, []
    place = sizes.spread(original, size, request.fit)
    changes = {"image": picture_input.picture(laid(picture, size, place))}
    if request.mask is not None and png_header.size(request.mask) == original:
        mask = laid_mask(
            picture_input.open(request.mask), size, place, 0 if request.invert else 255
        )
        changes["mask"] = picture_input.mask(mask)
    return request.but(**changes), said_of(original, size, request.fit, near=False)


def _masked_part(
    request: Request, picture: Image.Image, mask: Image.Image, size: tuple[int, int]
) -> tuple[Canvas, list[str]]:
    """The canvas of the masked part alone, at the generated size."""
    mask, notes = feathered(mask, request.feather)
    box = around_mask(mask, request.padding or 0, size)
    around = _WholePicture(picture, mask, box)
    part = picture.crop(box).resize(size, Image.Resampling.LANCZOS)
    hole = without_faint(mask.crop(box).resize(size, Image.Resampling.BILINEAR))
    if box != (0, 0, *size) or picture.size != size:
        notes.append(
            f"Only the part {box[2] - box[0]}x{box[3] - box[1]} at ({box[0]}, {box[1]}) was "
            f"generated, at {size[0]}x{size[1]}, and put back."
        )
    return Canvas(part, hole, picture.size, request.content, around, covers=box), notes


def around_mask(
    mask: Image.Image, padding: int, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """The box around the white part of the mask, or the whole picture for a black mask. It has a
    margin of `padding` pixels, and the proportions of `size` as far as the picture reaches. One
    that would be a little smaller than `size` is as large.
    """
    box = mask.getbbox()
    if box is None:
        return (0, 0, *mask.size)
    spans = [
        (max(0, box[axis] - padding), min(mask.size[axis], box[axis + 2] + padding))
        for axis in (0, 1)
    ]
    sides = [high - low for low, high in spans]
    scale = max(sides[0] / size[0], sides[1] / size[1])
    if _NEARLY <= scale < 1:
        scale = 1.0
    for axis in (0, 1):
        spans[axis] = _grown(*spans[axis], round(size[axis] * scale), mask.size[axis])
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]


def _grown(low: int, high: int, side: int, most: int) -> tuple[int, int]:
    """The span low..high, grown on both sides to length `side` and shifted into 0..`most`."""
    side = min(max(side, high - low), most)
    start = min(max(0, (low + high - side) // 2), most - side)
    return start, start + side


def _without_effect(request: Request) -> list[str]:
    """Notes on settings that change nothing: at strength 1, without a picture, without a mask."""
    notes = []
    if request.mask is not None and request.content != Request.content and request.strength == 1:
        notes.append(
            f"content={request.content!r} changes nothing at strength 1, which starts from noise "
            "alone: give a smaller strength."
        )
    if request.image is None and request.strength != Request.strength:
        notes.append(
            f"strength={request.strength:g} has no effect without a picture: give image=, or use "
            "sdnb.img2img."
        )
    if request.fit != Request.fit and (request.image is None or request.padding is not None):
        why = "without a picture" if request.image is None else "where only a part is generated"
        notes.append(f"fit={request.fit!r} changes nothing {why}.")
    if request.mask is None:
        fields = ("invert", "feather", "content", "padding")
        names = [name for name in fields if getattr(request, name) != getattr(Request, name)]
        if names:
            changes = "change" if len(names) > 1 else "changes"
            notes.append(f"{' and '.join(names)} {changes} nothing without a mask: give mask=.")
    return notes


def flat(picture: Image.Image) -> tuple[Image.Image, list[str]]:
    """The picture in RGB, its transparent parts on white, and a note if it has any."""
    if "A" not in picture.getbands():
        return picture.convert("RGB"), []
    rgba = picture.convert("RGBA")
    if rgba.getchannel("A").getextrema()[0] == 255:
        return rgba.convert("RGB"), []
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    note = "The picture has transparent parts: they were put on white."
    return Image.alpha_composite(white, rgba).convert("RGB"), [note]


def _prepared_mask(
    request: Request, size: Size, borders: bool
) -> tuple[Image.Image | None, list[str]]:
    """The mask at the picture's own size, inverted if asked, and notes on masks of one colour; a
    black one has the `borders` painted.
    """
    if request.mask is None:
        return None, []
    mask = picture_input.open(request.mask).convert("L")
    notes = []
    if mask.size != size:
        notes.append(
            f"The mask is {mask.width}x{mask.height}: resized to the picture's {size[0]}x{size[1]}."
        )
        mask = mask.resize(size, Image.Resampling.BILINEAR)
    if request.invert:
        mask = ImageOps.invert(mask)
    low, high = mask.getextrema()
    if high == 0:
        if not borders:
            notes.append("The mask is all black: nothing was repainted. White is what changes.")
    elif _brightest(mask) < 16:
        notes.append(
            f"The mask's brightest value is {high} of 255: next to nothing changes. Whole numbers "
            "run from 0 to 255; for 0 and 1 give a mask of bools or floats."
        )
    elif low == 255:
        notes.append("The mask is all white: the whole picture was repainted.")
    return without_faint(mask), notes


def feathered(mask: Image.Image, radius: float) -> tuple[Image.Image, list[str]]:
    """Fade the mask over `radius` pixels on its white side only, so that black pixels are kept."""
    if radius <= 0:
        return mask, []
    blurred = mask.filter(ImageFilter.GaussianBlur(radius / 2))
    # A straight edge blurs to one half: the fade starts there, at 0.
    inner = blurred.point(lambda v: max(0, 2 * v - 255))
    faded = without_faint(ImageChops.darker(mask, inner))
    if 2 * _brightest(faded) >= _brightest(mask):
        return faded, []
    note = (
        f"A feather of {counted(radius, 'pixel')} is wider than the white part of the mask, so "
        "that next to nothing changes: use a smaller one, or paint more."
    )
    return faded, [note]


def _filled(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """The picture, all that the mask touches filled with the colours around it.

    Below a soft mask, too, the old pixels are gone: the final composite alone brings back the share
    of them that is kept. A mask without black has nothing around it: there each pixel is known as
    far as it is kept.
    """
    touched = _white(mask)
    everything = touched.getextrema()[0] == 255
    return inpaint_fill.filled(picture, mask if everything else touched)


def without_faint(mask: Image.Image) -> Image.Image:
    """The mask, black where it would change nothing that can be seen: a JPEG's noise, for one."""
    if not any(mask.histogram()[1:_FAINT]):  # looked for first: at each move of a brush it counts
        return mask
    return mask.point(lambda v: v if v >= _FAINT else 0)


def _white(mask: Image.Image) -> Image.Image:
    """The mask, white wherever it is not black."""
    return mask.point(lambda v: 255 if v else 0)


def _brightest(mask: Image.Image) -> int:
    return max(value for value, count in enumerate(mask.histogram()) if count)
