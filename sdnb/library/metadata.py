"""What trainers write into a file's metadata: its other name, its model, its trigger words.

Keys of kohya's trainer (`ss_*`) and of the Stability model specification (`modelspec.*`). They are
often stripped or edited, so that shapes go before them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sdnb.request import documents
from sdnb.request.plain_words import plain

_MOST_WORDS = 24
_LONGEST = 120  # letters of a name or a word
# The beginning of `ss_base_model_version` or `modelspec.architecture` -> the family.
_BASES = {
    "sd_v1": "sd1", "sd_v2": "sd2", "sd_1": "sd1", "sd_2": "sd2", "sdxl": "sdxl", "sd3": "sd3",
    "flux": "flux", "stable-diffusion-v1": "sd1", "stable-diffusion-v2": "sd2",
    "stable-diffusion-xl": "sdxl", "stable-diffusion-3": "sd3",
}  # fmt: skip


def alias(texts: Mapping[str, str]) -> str:
    """The name that its trainer gave it, which AUTOMATIC1111 accepts too; "": none."""
    return plain(texts.get("ss_output_name", ""), _LONGEST).strip()


def title(texts: Mapping[str, str]) -> str:
    """What its author calls it; "": not said."""
    return plain(texts.get("modelspec.title", ""), _LONGEST).strip()


def base(texts: Mapping[str, str]) -> str:
    """The family of models that it says it is for; "": not said."""
    for key in ("ss_base_model_version", "modelspec.architecture"):
        value = texts.get(key, "").lower()
        for start, family in _BASES.items():
            if value.startswith(start):
                return family
    return ""


def words(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Its trigger words: what its author says, then the tags that it was trained on, the most
    frequent first; 24 at most.
    """
    said = [word.strip() for word in texts.get("modelspec.trigger_phrase", "").split(",")]
    ordered = dict.fromkeys(plain(word, _LONGEST) for word in (*said, *_tags(texts)) if word)
    return tuple(ordered)[:_MOST_WORDS]


def _tags(texts: Mapping[str, str]) -> list[str]:
    """The tags of `ss_tag_frequency`: `{folder of pictures: {tag: how often}}`."""
    try:
        folders = documents.from_json(texts.get("ss_tag_frequency", "{}"))
    except ValueError:
        return []
    counts: Counter[str] = Counter()
    for tags in folders.values() if isinstance(folders, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            counts[tag.strip()] += count if type(count) is int and 0 < count < 2**31 else 0
    return [tag for tag, count in counts.most_common(_MOST_WORDS) if tag and count]


def hash_of_weights(texts: Mapping[str, str]) -> str:
    """The sha256 of the bytes behind the header, where the trainer wrote it; else ""."""
    value = texts.get("sshs_model_hash", "").lower().removeprefix("0x")
    return value if len(value) == 64 and not set(value) - set("0123456789abcdef") else ""
