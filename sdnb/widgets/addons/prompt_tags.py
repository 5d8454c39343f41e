"""Words and tags that the panel writes into a prompt, and takes out of it: functions of text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sdnb.request import lora
from sdnb.request.lora import Lora
from sdnb.request.plain_words import digits

# What is no text in a syntax unless a backslash stands before it.
_SIGNS = {"blocks": re.compile("(:)"), "comfy": re.compile(r"([()])")}
_SIGNS_OF_A1111 = re.compile(r"([()\[\]\\])")


@dataclass(frozen=True)
class Tag:
    """A tag of a LoRA in a prompt, at `start` to `end`; `lora` is None where it cannot be done."""

    start: int
    end: int
    lora: Lora | None


def placed(text: str) -> list[Tag]:
    """The tags of a prompt, in order."""
    return [Tag(start, end, _read(text[start:end])) for start, end in lora.tags(text)]


def rewritten(text: str, tag: Tag, strength: float) -> str:
    """The prompt with another strength on the UNet in this tag; the rest of it stays letter by
    letter. A tag with one number keeps one, which is for both networks.
    """
    name, *items = text[tag.start + 1 : tag.end - 1].split(":")[1:]
    plain = [n for n, item in enumerate(items) if lora.is_number(item)]
    keyed = [n for n, item in enumerate(items) if item.startswith("unet=")]
    number = digits(strength)
    if keyed:
        items[keyed[-1]] = f"unet={number}"
    elif plain[1:]:
        items[plain[1]] = number
    elif any(item.startswith("te=") for item in items):
        items.append(f"unet={number}")
    elif plain:
        items[plain[0]] = number
    else:
        items.insert(0, number)
    kind = text[tag.start : tag.end].partition(":")[0]
    return text[: tag.start] + ":".join((kind, name, *items)) + ">" + text[tag.end :]


def renamed(text: str, tag: Tag, name: str) -> str:
    """The prompt with another name in this tag, which keeps its numbers."""
    kind, _, *items = text[tag.start : tag.end - 1].split(":")
    return text[: tag.start] + ":".join((kind, name, *items)) + ">" + text[tag.end :]


def without(text: str, tag: Tag) -> str:
    """The prompt without this tag, and without the comma or the space that set it off."""
    left, right = text[: tag.start], text[tag.end :]
    before, after = left.rstrip(" "), right.lstrip(" ")
    if before.endswith(",") and after[:1] in ("", ","):
        before = before[:-1].rstrip(" ")
    if not before:
        return after.lstrip(", ")
    apart = (left != before or right != after) and after[:1] not in ("", ",", "\n")
    return f"{before} {after}" if apart and before[-1] != "\n" else before + after


def holds(text: str, words: str) -> bool:
    """Whether a prompt has these words, in small or large letters, outside of its tags."""
    inside = rf"(?<!\w){re.escape(words)}(?!\w)"
    return re.search(inside, lora.words(text), re.IGNORECASE) is not None


def with_words(text: str, words: str, syntax: str) -> str:
    """The prompt with these words at its end, so that its syntax reads them as they are; the prompt
    itself where it has them already.
    """
    words = escaped(words, syntax)
    if holds(text, words):
        return text
    before = text.rstrip().rstrip(",")
    return f"{before}, {words}" if before else words


def escaped(words: str, syntax: str) -> str:
    """Words with a backslash before all that their syntax would read as a weight."""
    return _SIGNS.get(syntax, _SIGNS_OF_A1111).sub(r"\\\1", words)


def named_embedding(name: str, syntax: str) -> str:
    """How a prompt of this syntax names an embedding."""
    return f"embedding:{name}" if syntax == "comfy" else name


def _read(tag: str) -> Lora | None:
    try:
        return lora.split_tags(tag)[1][0]
    except ValueError:  # Generate says why
        return None
