"""What comes along when a picture is sent to a tab, and what stays as the tab has it."""

from __future__ import annotations

from sdnb.request import Request
from sdnb.request.plain_words import plain
from sdnb.widgets.gallery.gallery_picture import untold

_PICTURE_FIELDS = ("image", "mask", "invert", "strength", "feather", "content", "padding")
# The words, how they are read, and what is laid over the model or holds the picture.
_WORDS = ("prompt", "negative", "syntax", "clip_skip", "loras", "controls", "digests")
_CALLED = {
    "prompt": "prompt", "negative": "negative prompt", "loras": "LoRAs",
    "controls": "control", "seed": "seed",
}  # fmt: skip
_STAYS = "steps, strength and the rest are this tab's own"
ALONE = f"The picture came alone; {_STAYS}."


def carried(
    sent: Request, name: str, own: Request, *, strength_told: bool, locked: bool
) -> tuple[Request, str]:
    """The request of the tab `name` when a picture comes that `sent` made, but for the picture, and
    what is said of it. `own` was the tab's request.

    A tab that makes pictures as this one was made takes all its settings, as txt2img does. Another
    one takes its words, LoRAs and controls, and its seed if that is `locked`: the steps of a
    sketch, or the strength of another kind of pass, would make no sense there. `strength_told` is
    that of `Saved`.
    """
    if name == "txt2img":
        return sent.but(**{field: getattr(Request, field) for field in _PICTURE_FIELDS}), ""
    if _way(sent, strength_told) in (name, "any"):
        fields = untold(sent, strength_told)
        request = sent.but(**{field: getattr(own, field) for field in fields})
        said = "The picture came with all its settings."
    else:
        fields = (*_WORDS, *(["seed"] if locked else []))
        request = own.but(**{field: getattr(sent, field) for field in fields})
        came = [words for field, words in _CALLED.items() if field in fields and _has(sent, field)]
        if sent.negative:  # where its box is folded, nobody would see that it works on
            came[came.index(_CALLED["negative"])] += f" “{plain(sent.negative, 60)}”"
        said = f"The picture came with its {_listed(came)}; {_STAYS}." if came else ALONE
    return request.but(mask=None, width=None, height=None), said


def _way(request: Request, strength_told: bool) -> str:
    """The tab that makes such pictures; "any" for another tool's, which tells only a strength."""
    if request.image is None:
        return "any" if strength_told else "txt2img"
    return "img2img" if request.mask is None else "inpaint"


def _has(request: Request, field: str) -> bool:
    return bool(getattr(request, field) != getattr(Request, field))


def _listed(words: list[str]) -> str:
    *first, last = words or [""]
    return f"{', '.join(first)} and {last}" if first else last
