"""Pictures with a line of words above them, for sheets that a person looks at."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

_LINE = 20  # pixels


def labelled(picture: Image.Image, words: str) -> Image.Image:
    """The picture under a white line with these words, which are cut where it ends."""
    page = Image.new("RGB", (picture.width, picture.height + _LINE), "white")
    page.paste(picture, (0, _LINE))
    ImageDraw.Draw(page).text((2, 3), words, "black", ImageFont.load_default(13))
    return page
