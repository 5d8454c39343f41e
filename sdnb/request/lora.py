"""LoRAs as a request names them: `Lora`, and the tags by which prompts name them.

    <lora:pixelart>  <lora:pixelart:0.8>  <lora:pixelart:0.5:0.8>  <lora:pixelart:te=0.5:unet=0.8>

The rules are AUTOMATIC1111's (`extra_networks.py`): a tag may stand anywhere in the prompt, its
first number is for the text encoder, and the second for the UNet, which follows the first where it
is left out. `lbw=` gives block weights, as in sd-webui-lora-block-weight.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

from sdnb.request import checks
from sdnb.request.plain_words import digits
from sdnb.request.settings import put

#: The blocks that 26 weights are for, in their order; BASE is the text encoder.
BLOCKS = (
    "BASE", *(f"IN{i:02}" for i in range(12)), "M00", *(f"OUT{i:02}" for i in range(12)),
)  # fmt: skip
#: And those of 17 weights: the blocks that attend to the prompt.
ATTENDING = (
    "BASE", "IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "M00",
    *(f"OUT{i:02}" for i in range(3, 12)),
)  # fmt: skip

#: The block weights that have a name in sd-webui-lora-block-weight.
PRESETS: dict[str, tuple[float, ...]] = {
    name: tuple(map(float, digits_))
    for name, digits_ in {
        "NONE": "00000000000000000", "ALL": "11111111111111111", "INS": "11110000000000000",
        "IND": "10001110000000000", "INALL": "11111110000000000", "MIDD": "10001111111100000",
        "OUTD": "10000000111100000", "OUTS": "10000000000011111", "OUTALL": "10000000111111111",
    }.items()
} | {"ALL0.5": (0.5,) * 17}  # fmt: skip

_BLOCK_WEIGHTS = f"17 or 26 numbers, or one of {', '.join(PRESETS)}"
MOST_STRENGTH = 1e6  # of a strength: useful ones are below ten
_TAG = re.compile(r"<(\w+):([^>]+)>")
_OURS = ("lora", "lyco")
# What a tag leaves out of a path, and what no tag can hold.
_STEM = re.compile(r"^.*[/\\]|\.(safetensors|pt|ckpt)$|[:<>]")
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Lora:
    """A LoRA, or another file of its family (LyCORIS, DoRA), and how strongly it works.

    `name` is that of a file in the model's library, or a path. `unet` and `text` are the strengths
    on the UNet and on the text encoder: from -1,000,000 to 1,000,000, where 0 is no effect and 1
    what was trained. With `text` None, that is `unet`'s. `blocks` scales `unet` block by block
    (and, by its first number, `text`): 17 or 26 numbers, in the order of `ATTENDING` or `BLOCKS`,
    or one of `PRESETS`. With `sha256`, only the file with that digest is taken. `dyn` takes the
    first so many ranks alone.

    Raises TypeError or ValueError that names the field, its value and what is accepted.
    """

    name: str
    unet: float = 1.0
    text: float | None = None
    blocks: tuple[float, ...] | None = None
    sha256: str | None = None
    dyn: int | None = None

    def __post_init__(self) -> None:
        put(self, "name", checks.text("name of a LoRA", self.name))
        if not self.name.strip():
            raise ValueError("the name of a LoRA is empty; give a file's name or its path")
        put(self, "unet", checks.number("unet", self.unet, -MOST_STRENGTH, MOST_STRENGTH))
        if self.text is not None:
            put(self, "text", checks.number("text", self.text, -MOST_STRENGTH, MOST_STRENGTH))
        if self.blocks is not None:
            put(self, "blocks", _block_weights(self.blocks))
        if self.sha256 is not None and not _HEX.fullmatch(checks.text("sha256", self.sha256)):
            shown = checks.shown(self.sha256)
            raise ValueError(f"sha256={shown} is no digest: 64 small hexadecimal digits")
        if self.dyn is not None:
            put(self, "dyn", checks.whole("dyn", self.dyn, 1, 1 << 20))

    @property
    def text_strength(self) -> float:
        """The strength on the text encoder, with the first block weight in it."""
        strength = self.unet if self.text is None else self.text
        return strength * (1.0 if self.blocks is None else self.blocks[0])

    @property
    def tag(self) -> str:
        """The tag that means the same in a prompt of any program, which names a file by its stem;
        a digest has no place in it.
        """
        text = self.unet if self.text is None else self.text
        parts = [stem(self.name), digits(text)]
        if text != self.unet:
            parts.append(digits(self.unet))
        if self.dyn is not None:
            parts.append(f"dyn={self.dyn}")
        if self.blocks is not None:
            parts.append("lbw=" + ",".join(map(digits, self.blocks)))
        return f"<lora:{':'.join(parts)}>"

    def plain(self) -> dict[str, Any]:
        """What JSON holds of it: the name, and the fields that are not at their defaults."""
        usual = {item.name: item.default for item in fields(self)}
        return {n: v for n, v in asdict(self).items() if n == "name" or v != usual[n]}


def stem(name: str) -> str:
    """The name that a tag has room for: without folders, ending, and the marks of a tag."""
    return _STEM.sub("", name)


def loras(value: object) -> tuple[Lora, ...]:
    """The field of a request as it holds it, from one or several of: a `Lora`, its name, what
    `Lora.plain` gave. Raises TypeError or ValueError for anything else.
    """
    several = value if isinstance(value, (list, tuple)) else [value]
    return tuple(_lora(each) for each in several)


def _lora(value: object) -> Lora:
    if isinstance(value, Lora):
        return value
    if isinstance(value, str):
        return Lora(value)
    if isinstance(value, Mapping):
        names = [item.name for item in fields(Lora)]
        for name in value:
            if name not in names:
                raise ValueError(
                    f"a Lora has no field {checks.shown(name)}; {checks.known(str(name), names)}"
                )
        if "name" in value:
            return Lora(**value)
    raise TypeError(
        f"loras={checks.shown(value)} holds no LoRA; write sdnb.Lora('pixelart', 0.8), or its name"
    )


def in_words(value: Sequence[Lora]) -> str:
    """LoRAs in a line: "pixelart 0.8, fog 1"."""
    return ", ".join(f"{each.name} {digits(each.unet)}" for each in value) or "none"


class _WithFile(Protocol):
    """A `Lora` or a `Control`."""

    @property
    def sha256(self) -> str | None: ...
    def plain(self) -> dict[str, Any]: ...


def answers(wanted: Sequence[_WithFile], found: Sequence[_WithFile]) -> bool:
    """Whether these are the LoRAs, or the controls, that were wanted; an open digest is answered by
    any.
    """
    return len(wanted) == len(found) and all(
        {**one.plain(), "sha256": None} == {**other.plain(), "sha256": None}
        and one.sha256 in (None, other.sha256)
        for one, other in zip(wanted, found, strict=True)
    )


# -- tags --------------------------------------------------------------------------------------
def words(text: str) -> str:
    """The prompt without its tags, as a text encoder gets it: spaces and commas around them stay.
    Every `<word:...>` is taken out, known or not, as AUTOMATIC1111 does.
    """
    return _TAG.sub("", text)


def tags(text: str) -> list[tuple[int, int]]:
    """Where the tags that name LoRAs stand in a prompt, from the first letter to behind the last,
    those that cannot be done included.
    """
    return [tag.span() for tag in _TAG.finditer(text) if tag[1] in _OURS]


def split_tags(text: str) -> tuple[str, list[Lora], list[str]]:
    """The prompt without its tags, the LoRAs that they name, in order, and notes on tags of other
    kinds. Raises ValueError for a tag of a LoRA that cannot be done as it stands.
    """
    named, notes = [], []
    for tag in _TAG.finditer(text):
        if tag[1] in _OURS:
            named.append(_from_tag(tag[0], tag[2].split(":")))
        else:
            small = tag[1].lower()
            way_out = f" Write <{small}:...> in small letters." if small in _OURS else ""
            notes.append(
                f"{checks.shown(tag[0])} is no tag that is known here: it was taken out of the "
                f"prompt, as AUTOMATIC1111 does.{way_out}"
            )
    return words(text), named, notes


def taken_out(text: str, which: Callable[[Lora], bool]) -> tuple[str, list[Lora]]:
    """The prompt without the tags of some LoRAs, and those LoRAs. Raises as `split_tags`."""
    taken: list[Lora] = []

    def left(tag: re.Match[str]) -> str:
        named = _from_tag(tag[0], tag[2].split(":")) if tag[1] in _OURS else None
        if named is None or not which(named):
            return tag[0]
        taken.append(named)
        return ""

    return _TAG.sub(left, text), taken


def of_request(prompt: str, given: Sequence[Lora]) -> tuple[Lora, ...]:
    """All LoRAs of a request: those of its field `loras`, then those of the prompt's tags."""
    return (*given, *split_tags(prompt)[1])


def renamed(text: str, new_name: Callable[[str], str]) -> str:
    """The prompt, its tags with the names that `new_name` gives for those in them."""

    def tag(match: re.Match[str]) -> str:
        name, colon, rest = match[2].partition(":")
        new = new_name(name) if match[1] in _OURS else name
        return f"<{match[1]}:{new}{colon}{rest}>"

    return _TAG.sub(tag, text)


def _from_tag(tag: str, items: Sequence[str]) -> Lora:
    name, *rest = (item for item in items if "=" not in item or item is items[0])
    by_name = dict(item.split("=", 1) for item in items[1:] if "=" in item)
    shown = checks.shown(tag)
    for key in by_name:
        if key in ("start", "stop", "step", "lbwe"):
            raise ValueError(
                f"{shown}: {key}= changes a LoRA's weight between steps or parts of a layer; here "
                "it has one weight a block for the whole picture: leave it out"
            )
        if key not in ("te", "unet", "dyn", "lbw"):
            raise ValueError(
                f"{shown}: {checks.shown(key)} is unknown; known are te, unet, dyn and lbw"
            )
    if rest and not is_number(rest[-1]):  # how block weights were given at first
        last = rest.pop()
        if last.strip() not in PRESETS and last.count(",") < 2:
            or_else = "" if last.count(",") else f", nor {_BLOCK_WEIGHTS}"
            raise ValueError(f"{shown}: {_no_number(last)}{or_else}")
        by_name.setdefault("lbw", last)
    if len(rest) > 3:
        raise ValueError(f"{shown} has {len(rest)} numbers; <lora:name:text:unet:dyn> has three")
    text, unet, dyn = [*rest, None, None, None][:3]
    text = by_name.get("te", text)
    strengths = [1.0 if text is None else _number(shown, text)]
    unet = by_name.get("unet", unet)
    strengths.append(strengths[0] if unet is None else _number(shown, unet))
    dyn, blocks = by_name.get("dyn", dyn), by_name.get("lbw")
    try:
        return Lora(
            name, strengths[1], None if strengths[0] == strengths[1] else strengths[0],
            _block_weights(blocks) if blocks else None,
            dyn=None if dyn is None else _whole(_number(shown, dyn)),
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise ValueError(f"{shown}: {error}") from None


def is_number(text: str) -> bool:
    """Whether a text is read as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(shown: str, text: str) -> float:
    if not is_number(text):
        raise ValueError(f"{shown}: {_no_number(text)}")
    return float(text)


def _no_number(text: str) -> str:
    way_out = ", as in <lora:name:0.8>"
    if text.count(",") == 1 and is_number(text.replace(",", ".")):
        way_out = f": its decimal sign is a point, {text.strip().replace(',', '.')}"
    return f"{checks.shown(text)} is no number{way_out}"


def _whole(number: float) -> Any:
    return int(number) if number.is_integer() else number  # which is refused by its name


def _block_weights(given: object) -> tuple[float, ...]:
    """17 or 26 numbers, from a sequence, from text with commas, or from a preset's name."""
    expected = _BLOCK_WEIGHTS
    if isinstance(given, str):
        if given.strip() in PRESETS:
            return PRESETS[given.strip()]
        given = given.split(",")
        if not all(map(is_number, given)):
            raise ValueError(f"blocks={checks.shown(','.join(given))} is not {expected}")
        given = [float(part) for part in given]
    if not isinstance(given, Sequence):
        raise TypeError(f"blocks={checks.shown(given)} is not {expected}")
    if len(given) not in (17, 26):
        raise ValueError(f"blocks has {len(given)} numbers; expected {expected}")
    return tuple(checks.number("blocks", weight, -MOST_STRENGTH, MOST_STRENGTH) for weight in given)
