"""Names of embeddings that many prompts hold: without its file, such a name is read as plain words.

That is nearly harmless, so that nobody notices it. The names are spelled as their files are; each
is in prompts or download lists of public projects on GitHub, as that of an embedding for SD 1.x.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

NAMES = (
    "EasyNegative", "EasyNegativeV2", "badhandv4", "bad-hands-5", "negative_hand",
    "negative_hand-neg", "bad_prompt", "bad_prompt_version2", "bad_prompt_version2-neg",
    "bad-artist", "bad-artist-anime", "bad-image-v2-39000", "bad-picture-chill-75v",
    "badhandsv5-neg", "bhands-neg", "ng_deepnegative_v1_75t", "NG_DeepNegative_V1_4T",
    "verybadimagenegative_v1.3", "verybadimagenegative_v1.2-6400",
    "FastNegativeV2", "FastNegativeEmbedding", "UnrealisticDream", "BadDream",
    "realisticvision-negative-embedding", "CyberRealistic_Negative",
    "CyberRealistic_Negative-neg", "CyberRealistic_Negative_v3", "JuggernautNegative-neg",
    "BadNegAnatomyV1-neg", "epiCNegative", "boring_e621", "boring_e621_v4",
    "boring_e621_fluffyrock_v4", "Unspeakable-Horrors-Composition-4v", "Asian-Less-Neg",
    "deformityv6",
)  # fmt: skip
_FORMS = "|".join(map(re.escape, sorted(NAMES, key=len, reverse=True)))  # the longest first
_ANY = re.compile(rf"(?<![\w-])(?:{_FORMS})(?![\w-])", re.IGNORECASE)
_SPELLED = {name.casefold(): name for name in NAMES}
_COMFYS = re.compile(r"embedding:\S+", re.IGNORECASE)


def missing(texts: Iterable[str], known: Iterable[str]) -> str:
    """What is to be said of popular names in prompts that are none of the `known` embeddings; ""
    where there are none. Small and large letters are the same, as in prompts.
    """
    names, _ = _found(texts, known)
    if not names:
        return ""
    one = len(names) == 1
    what = "is a popular embedding that is" if one else "are popular embeddings that are"
    was, files = ("it is", "its file") if one else ("they are", "their files")
    return (
        f"{', '.join(names)} {what} not here: {was} read as plain words. Put {files} into a folder "
        f"of the model's library (load's library=), or take {'it' if one else 'them'} out of the "
        "prompt."
    )


def bare(texts: Iterable[str], known: Iterable[str]) -> str:
    """What is to be said of popular names in prompts of ComfyUI's syntax that are `known` and stand
    without the `embedding:` that makes them more than words there; "" where there are none.
    """
    _, names = _found((_COMFYS.sub("", text) for text in texts), known)
    if not names:
        return ""
    what, is_ = ("is an embedding", "it is") if len(names) == 1 else ("are embeddings", "they are")
    wanted = ", ".join(f"embedding:{name}" for name in names)
    return (
        f"{', '.join(names)} {what}, and {is_} read as plain words, since ComfyUI's syntax wants "
        f"{wanted}."
    )


def _found(texts: Iterable[str], known: Iterable[str]) -> tuple[list[str], list[str]]:
    """Popular names in prompts, each once: those that are not `known`, and those that are."""
    found = dict.fromkeys(
        _SPELLED[match[0].casefold()] for text in texts for match in _ANY.finditer(text)
    )
    here = {name.casefold() for name in known} if found else set()
    return (
        [name for name in found if name.casefold() not in here],
        [name for name in found if name.casefold() in here],
    )
