"""Colours of a picture with an ICC profile, converted to sRGB by LittleCMS, which Pillow brings."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import Image

#: A profile that moves no colour by more than this, of 255, is sRGB by another name.
_SAME = 1

# What a profile is for -> the mode that its numbers have in PIL.
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The picture in sRGB, its alpha as it is. Unchanged where the profile is sRGB's own, is not
    for this kind of picture, or is damaged: programs that show pictures do the same.
    """
    try:
        from PIL import ImageCms
    except ImportError:  # a Pillow that was built without LittleCMS
        return image
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        mode = _MODES.get(source.profile.xcolor_space.strip(), "")
        plain = _plain(image, mode)
        if plain is None:
            return image
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        if mode == "RGB" and _is_identity(transform):
            return image
        converted = ImageCms.applyTransform(plain, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    if converted is None:
        return image
    if "A" in image.getbands() or "transparency" in image.info:
        converted.putalpha(image.convert("RGBA").getchannel("A"))
    return converted


def _plain(image: Image.Image, mode: str) -> Image.Image | None:
    """The colours of a picture, without its alpha, in the mode that the profile is for."""
    if mode == "CMYK" or image.mode == "CMYK":
        return image if image.mode == mode else None
    if mode == "RGB":
        return image.convert("RGBA").convert("RGB") if image.mode == "P" else image.convert("RGB")
    return image.convert("L") if mode == "L" and image.mode in ("1", "L", "LA") else None


def _is_identity(transform: Any) -> bool:
    import numpy as np
    from PIL import ImageCms

    steps = np.arange(0, 256, 15, dtype=np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)  # [1, n, 3]
    moved = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform))
    return int(np.abs(moved.astype(int) - colours).max()) <= _SAME
