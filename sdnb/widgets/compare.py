"""Two pictures under one slider, which lies over them: one drags the border between them.

The browser moves it without the kernel, which may be busy.
"""

from __future__ import annotations

import html

from PIL import Image

from sdnb import images
from sdnb.images.canvas import flat
from sdnb.images.fitting import laid
from sdnb.request import sizes
from sdnb.widgets.gallery.gallery_picture import GalleryPicture
from sdnb.widgets.jpegs import data_uri

Side = tuple[Image.Image, tuple[str, str]]  # a picture, and what it and the other are called

_LONG = 24  # letters at the beginning of two names, from which on it is left out
_KEEP = "event.stopPropagation()"  # otherwise JupyterLab handles the arrow keys
# The style sheet does what they say; the kernel, which may be busy, has no part in it.
_WAYS = (
    ("larger", "Larger", "As large as there is room"),
    ("differing", "Difference", "What differs, four times as strong; black is equal"),
)
_MOVE = "this.closest('.sdnb-compare').style.setProperty('--at', this.value + '%')"


def compared(
    before: Image.Image, after: Image.Image, words: tuple[str, str] = ("", ""), *,
    ways: bool = False,
) -> str:  # fmt: skip
    """HTML of `before` left of a slider and `after`, resized to its size, right of it. With `ways`
    one also sees both as large as there is room, and what differs.
    """
    if after.size != before.size:
        after = after.resize(before.size)
    side = 768
    alts = [html.escape(word, quote=True) for word in words]
    scale = min(1, side / max(before.size))
    width = round(before.width * scale)
    shown = map(html.escape, apart(*words))
    named = zip(("left", "right"), alts, shown, strict=True)
    sides = "".join(f'<span title="{alt}">{side}: {word}</span>' for side, alt, word in named)
    below = f'<div class="sdnb-sides" aria-hidden="true">{sides}</div>' if any(words) else ""
    below += f'<div class="sdnb-ways">{"".join(map(_way, _WAYS))}</div>' if ways else ""
    return (
        f'<div class="sdnb-compare" style="--wide:{width}px"><div class="sdnb-pair">'
        f'<img src="{data_uri(before, side, 92)}" alt="left: {alts[0]}">'
        f'<img src="{data_uri(after, side, 92)}" alt="right: {alts[1]}">'
        f'<input type="range" min="0" max="100" value="50" step="1" oninput="{_MOVE}" '
        f'onkeydown="{_KEEP}" '
        'aria-label="how much of the left picture is seen, in percent"></div>'
        f"{below}</div>"
    )


def _way(way: tuple[str, str, str]) -> str:
    name, words, tip = way
    box = f'<input type="checkbox" class="sdnb-{name}" onkeydown="{_KEEP}">'
    return f'<label title="{tip}">{box} {words}</label>'


def apart(one: str, other: str) -> tuple[str, str]:
    """What tells two names apart: without the words at their beginning that are the same."""
    heads = [words.rpartition(", ")[0] for words in (one, other)]
    if heads[0] == heads[1]:  # of one prompt with two seeds, these
        return one.removeprefix(f"{heads[0]}, "), other.removeprefix(f"{heads[1]}, ")
    pairs = enumerate(zip(one, other, strict=False))
    alike = next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
    begin = one.rfind(" ", 0, alike) + 1
    return (one, other) if begin < _LONG else (f"… {one[begin:]}", f"… {other[begin:]}")


def input_of(picture: GalleryPicture) -> Side | None:
    """The picture that this one was made from, as it was fitted to this size; None if there was
    none.
    """
    request, size = picture.request, picture.image.size
    if request.image is None:
        return None
    began, _ = flat(images.open(request.image))
    fitted = laid(began, size, sizes.spread(began.size, size, request.fit))
    return fitted.resize(size), ("the start picture", picture.words)
