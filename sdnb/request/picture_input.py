"""Converting any picture to PNG bytes: a path, a PIL image, an array, a Result.

The PNG is upright (EXIF rotation applied), has 8 bits per channel, is RGB or, if a pixel is
transparent, RGBA, in sRGB (colours of a profile are converted), and carries no metadata, so that no
photograph's place or camera is passed on.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BytesIO
from typing import Any, Protocol, TypeAlias

from PIL import Image, ImageChops, UnidentifiedImageError

from sdnb.request import alpha_meaning, checks, colour_profile, jpeg_header, png_header
from sdnb.request.picture_file import existing, opened, sniffed
from sdnb.request.plain_words import counted

MAX_PIXELS = 8192 * 8192  # the largest picture that sdnb makes; larger files are refused

_LARGEST = "the 8192x8192 that are accepted; make it smaller first"

_ACCEPTED = (
    "a path, a PIL image, a NumPy array [h, w], [h, w, 3] or [h, w, 4], the bytes of a picture "
    "file or a Result"
)
_TENSOR = "; of a tensor of floats from 0 to 1: tensor.permute(1, 2, 0).numpy()"

_SCAN_OF_JPEG, _END_OF_JPEG = b"\xff\xda", b"\xff\xd9"  # markers

_ORIENTATION = 0x0112  # EXIF tag
# The transposition that undoes each orientation (CIPA DC-008, 4.6.5.1.6).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class _Array(Protocol):
    @property
    def __array_interface__(self) -> dict[str, Any]: ...


class _HasImages(Protocol):
    @property
    def images(self) -> Sequence[Image.Image]: ...


Source: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | _Array | _HasImages


def picture(source: Source) -> bytes:
    """The picture as PNG bytes, RGB or RGBA; an animation's first frame, a Result's first picture.

    Raises FileNotFoundError if a path does not exist, ValueError if the source is no picture or
    too large, TypeError for another type of source.
    """
    return _png(pixels(source))


def pixels(source: Source) -> Image.Image:
    """The picture that the bytes of `picture` hold. Raises as `picture`."""
    found = _canonical(_decoded(source, "image"), "image", colours=True)
    found = found.copy() if found is source else found
    found.info = {}
    return found


def mask(source: Source) -> bytes:
    """The mask as PNG bytes of one channel (L): white is repainted, black is kept.

    Without transparency it is the picture's luminance. Of a drawing on transparency (a canvas, a
    layer of a paint program) it is the alpha, of a picture with an erased part that part, and of
    a mask in black and white the luminance, with transparent parts black. Raises as `picture`.
    """
    return mask_and_note(source)[0]


def mask_and_note(source: Source) -> tuple[bytes, str]:
    """As `mask`, and a note on what was taken of one with transparency ("" for any other)."""
    image, note = _canonical(_decoded(source, "mask"), "mask"), ""
    if image.mode == "RGBA":
        image, note = alpha_meaning.mask(image)
    return _png(image.convert("L")), note


def open(png: bytes) -> Image.Image:  # noqa: A001 - read as images.open, beside PIL's Image.open
    """The PIL image of PNG bytes, pixels loaded. Raises ValueError if they are no picture."""
    return _from_bytes(png, "picture")


def _decoded(source: Any, thing: str) -> Image.Image:
    if isinstance(source, Image.Image):
        return _loaded(source, thing)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(source), thing)
    if isinstance(source, (str, os.PathLike)):
        path = existing(source, thing)
        with opened(path, thing) as file:
            return _read(file, f"{thing} {str(path)!r}", sniffed(file.peek(16)[:16]))
    if hasattr(source, "__array_interface__"):
        return _from_array(source, thing)
    if hasattr(source, "images"):
        pictures = source.images
        if not isinstance(pictures, Sequence) or not pictures:
            raise ValueError(f"{thing}: {checks.shown(source)} holds no pictures")
        return _decoded(pictures[0], thing)
    raise TypeError(
        f"{thing}={checks.shown(source)} is of type {type(source).__name__}; accepted are "
        f"{_ACCEPTED}{_TENSOR if hasattr(source, 'permute') else ''}"
    )


def _from_bytes(data: bytes, thing: str) -> Image.Image:
    if not isinstance(data, bytes):
        raise TypeError(f"{thing}={checks.shown(data)} is not bytes; picture(...) makes them")
    return _read(BytesIO(data), f"{thing} ({counted(len(data), 'byte')})", sniffed(data[:16]))


def _read(file: Any, name: str, hint: str) -> Image.Image:
    """The first frame, loaded. A decoder's error becomes a ValueError that names the file."""
    head = file.read(8)
    is_png = png_header.begins(head)
    file.seek(0)
    try:
        if jpeg_header.begins(head):
            jpeg_header.check(file)
        file = png_header.without_much_text(file) if is_png else file
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None
    try:
        image = Image.open(file)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"{name} claims more pixels than {_LARGEST}") from None
    except UnidentifiedImageError:
        raise ValueError(f"{name} {hint}") from None
    except Exception as error:
        raise _damaged(name, error) from error
    try:
        loaded = _loaded(image, name)
    except ValueError:
        whole = _completed(file) if image.format == "JPEG" else None
        if whole is None:
            raise
        return whole
    if is_png and _ends_black(loaded) and not png_header.has_all_pixels(file):
        raise ValueError(f"{name} is damaged: its pixels end early; get the file again")
    return loaded


def _ends_black(image: Image.Image) -> bool:
    """Whether one of the last two rows is 0 throughout, as rows are that were not decoded; of an
    interlaced picture the last but one may come last.
    """
    width, height = image.size
    rows = (image.crop((0, y, width, y + 1)) for y in range(max(0, height - 2), height))
    return any(not row.tobytes().strip(b"\0") for row in rows)


def _completed(file: Any) -> Image.Image | None:
    """A JPEG that lacks its last bytes, as browsers show it; None if more than 1 % is missing.

    What is missing shows by being decoded from two endings: there the pictures differ. A
    progressive one is coarse where scans are missing: libjpeg writes 10, or 6 of a grey picture.
    """
    file.seek(0)
    data = file.read().rstrip(b"\xff")
    ends = (data + end + _END_OF_JPEG for end in (b"", b"\x55" * 4096))
    try:
        first, second = (_loaded(Image.open(BytesIO(end)), "image") for end in ends)
    except Exception:  # noqa: BLE001 - it is damaged, too; the first error says so
        return None
    scans = 6 if first.mode == "L" else 10
    if first.info.get("progressive") and data.count(_SCAN_OF_JPEG) < scans:
        return None
    apart = ImageChops.difference(first.convert("L"), second.convert("L")).histogram()
    return first if sum(apart[16:]) <= 0.01 * sum(apart) else None


def _loaded(image: Image.Image, name: str) -> Image.Image:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{name} is {width}x{height} pixels, more than {_LARGEST}")
    if not width or not height:
        raise ValueError(f"{name} is {width}x{height}: it has no pixels")
    try:
        _scale_transparency(image)
        image.load()
    except Exception as error:
        raise _damaged(name, error) from error
    return image


def _damaged(name: str, error: Exception) -> Exception:
    """A disk's error as it is; a decoder's error of any type as a ValueError."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return ValueError(f"{name} is damaged or cut short ({error}); get the file again")


def _canonical(image: Image.Image, thing: str, *, colours: bool = False) -> Image.Image:
    """Upright, 8 bits per channel, RGB or, if a pixel is transparent, RGBA; with `colours`, in
    sRGB. The values of a mask are no colours, whatever profile it has.
    """
    profile = image.info.get("icc_profile") if colours else None
    image = _eight_bits(_upright(image), thing)
    if isinstance(profile, bytes):
        image = colour_profile.in_srgb(image, profile)
    transparent = "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info
    try:
        if image.mode == "La":  # grey with premultiplied alpha: PIL converts it only to LA
            image = image.convert("LA")
        image = image.convert("RGBA" if transparent else "RGB")
    except ValueError as error:
        raise ValueError(
            f"{thing}: pixels of mode {image.mode!r} cannot be read as colours ({error}); "
            "convert it to RGB first"
        ) from None
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    return image


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # noqa: BLE001 - damaged EXIF has no orientation, and the pixels are sound
        return image
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _scale_transparency(image: Image.Image) -> None:
    """Of a PNG of 2 or 4 bits, PIL scales the pixels to 8 and leaves the transparent grey as it
    is. To be called before the pixels are loaded.
    """
    for tile in getattr(image, "tile", ()):
        factor = {"L;2": 85, "L;4": 17}.get(str(tile[3]))
        if factor and isinstance(image.info.get("transparency"), int):
            image.info["transparency"] *= factor


def _eight_bits(image: Image.Image, thing: str) -> Image.Image:
    """Scale 16 bits to 8, where PIL's conversion clips. Refuse 32 bits, whose white is unknown."""
    if image.mode.startswith("I;16"):
        whole, hidden = image.convert("I"), image.info.get("transparency")
        image = whole.point(lambda value: value * (1 / 257) + 0.5).convert("L")
        image.info = {}
        if isinstance(hidden, int):
            import numpy as np

            image.putalpha(Image.fromarray(np.asarray(whole) != hidden).convert("L"))
        return image
    if image.mode in ("I", "F"):
        low, high = image.getextrema()
        raise ValueError(
            f"{thing} has 32-bit pixels (mode {image.mode}, from {low} to {high}), whose white is "
            "not known; convert it to 8 bits first, or give an array of floats from 0 to 1"
        )
    return image


def _from_array(source: Any, thing: str) -> Image.Image:
    import numpy as np

    array = np.asarray(source)
    shape = list(array.shape)
    if array.ndim == 3 and shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and shape[2] not in (3, 4)) or not array.size:
        planes = array.ndim == 3 and shape[0] in (1, 3, 4)
        raise ValueError(
            f"{thing} is an array of shape {shape}; [h, w], [h, w, 1], [h, w, 3] and [h, w, 4] are "
            f"accepted{'; array.transpose(1, 2, 0) puts the channels last' if planes else ''}"
        )
    return _loaded(Image.fromarray(np.ascontiguousarray(_bytes_of(array, thing))), thing)


def _bytes_of(array: Any, thing: str) -> Any:
    """The array as uint8: bools become black and white, uint16 and floats (0 to 1) are scaled."""
    import numpy as np

    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if array.dtype.kind not in "iuf":
        raise TypeError(
            f"{thing} is an array of {array.dtype}; bool, uint8, uint16 and floats are accepted"
        )
    low, high = array.min(), array.max()
    if array.dtype.kind == "f" and low >= -1e-3 and high <= 1 + 1e-3:  # nan compares as false
        return np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
    if array.dtype.kind != "f" and low >= 0 and high <= 255:
        return array.astype(np.uint8)
    expected = "floats are from 0 to 1" if array.dtype.kind == "f" else "integers are from 0 to 255"
    raise ValueError(
        f"{thing} is an array of {array.dtype} with values from {low} to {high}; {expected}: "
        "scale it, or use astype('uint8') where the values are 0 to 255"
    )


def _png(image: Image.Image) -> bytes:
    bare = image.copy()
    bare.info = {}  # no text, profiles or dates, so that equal pixels give equal bytes
    buffer = BytesIO()
    bare.save(buffer, "PNG", compress_level=1)  # a third of the time for a tenth more bytes
    return buffer.getvalue()
