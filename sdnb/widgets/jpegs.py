"""JPEGs for the browser, no larger than they are shown. Saved pictures are PNGs."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

from PIL import Image

from sdnb.images.canvas import flat


def jpeg(image: Image.Image, side: int | None = None, quality: int = 88) -> bytes:
    """JPEG bytes; the longer side has at most `side` pixels. What is transparent is on white, as a
    request has it.
    """
    small = image if image.mode == "RGB" else flat(image)[0]  # else a photograph is copied for it
    if side is not None and max(small.size) > side:
        width, height = (max(1, round(n * side / max(small.size))) for n in small.size)
        small = small.resize((width, height), Image.Resampling.HAMMING, reducing_gap=2.0)
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def enlarged(image: Image.Image, side: int) -> bytes:
    """JPEG bytes of a preview whose longer side has `side` pixels, in which the browser shows it at
    the result's size.
    """
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return jpeg(image.resize(size))


def data_uri(image: Image.Image, side: int | None = None, quality: int = 88) -> str:
    """The JPEG as a URI for HTML or a style sheet."""
    return f"data:image/jpeg;base64,{b64encode(jpeg(image, side, quality)).decode()}"
