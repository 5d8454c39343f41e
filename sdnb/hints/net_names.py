"""What preparation a control network wants, by the name of its file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple


class Wanted(NamedTuple):
    """The preparation that suits a network, None where its hint is the picture as it is; and a
    sentence about it, "" where there is nothing to say.
    """

    prepare: str | None
    note: str = ""


def _network(hint: str) -> Wanted:
    return Wanted(
        None, f"It wants {hint}, which a network makes; sdnb brings none: give one that is ready."
    )


# The first that stands in a name; those of lllyasviel's ControlNet 1.0 and 1.1, TencentARC's
# T2I-Adapters, and what people made since.
_NAMES: tuple[tuple[str, Wanted], ...] = (
    (r"ip2p|pix2pix", Wanted(None, "It takes the picture itself, and words that tell the change.")),
    (r"inpaint|outpaint", Wanted("inpaint", "White of its mask is what it fills.")),
    (r"canny", Wanted("canny")),
    (r"mlsd", _network("straight lines (M-LSD)")),
    (r"open_?pose|dw_?pose|key_?pose|densepose|(?<![a-z])pose", _network("the pose of a body")),
    (r"depth|zoe|midas|leres", _network("a map of depths")),
    (r"normal", _network("a map of normals")),
    (r"(?<![a-z])seg", _network("a map of segments in the colours of ADE20K")),
    (r"face", _network("the points of a face")),
    (r"scribble|sketch", Wanted("scribble", "Of a photograph, xdog makes rough lines.")),
    (r"line_?art|anime_?line|manga_?line|any_?line", Wanted(
        "lineart", "It suits drawings of dark lines; of a photograph, a network finds more.")),
    (r"soft_?edge|(?<![a-z])hed(?![a-z])|pidi|teed", Wanted(
        "softedge", "It learnt from the edges of a network (HED or PiDiNet), which are finer.")),
    (r"tile|upscale", Wanted("tile")),
    (r"blur", Wanted("blur")),
    (r"recolor|brightness|illumination|luminance|gr[ae]y", Wanted("recolor")),
    (r"shuffle", Wanted("shuffle", "The colours count, not where they are.")),
    (r"qr", Wanted(None, "It takes the pattern itself, in black and white.")),
)  # fmt: skip
#: Of a file's metadata: the keys of trainers, and the names that a `LibraryFile` gives them.
_TITLES = ("modelspec.title", "title", "ss_output_name", "alias", "name")


def wanted(name: str, texts: Mapping[str, str] | None = None) -> Wanted | None:
    """What a network of this file name was trained on; None where the name says nothing.

    Folders before the name do not count. `texts` are the file's metadata: their titles are looked
    at after the name.
    """
    stem = re.split(r"[/\\]", name)[-1]
    titles = [texts[key] for key in _TITLES if key in texts] if texts else []
    for words in (stem, *titles):
        small = words[:400].lower()
        for pattern, found in _NAMES:
            if re.search(pattern, small):
                return found
    return None
