"""Checks of values: each returns the value normalised, or raises an error of one form.

The error states the name, the value, the accepted values and a way out. It is a TypeError for a
value of the wrong kind, a ValueError for a wrong value of the right kind.
"""

from __future__ import annotations

import math
import reprlib
from numbers import Integral, Real
from operator import itemgetter
from typing import TYPE_CHECKING

from sdnb.request import png_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

UNLOADED = "this model was unloaded: its weights are gone; sdnb.load(...) it again"
_LEAST_LIKENESS = 0.6  # difflib's default for a close match


def whole(name: str, value: object, low: int, high: int, multiple: int = 1) -> int:
    """An int from low to high, divisible by `multiple`. NumPy's ints become Python's."""
    kind = f"a multiple of {multiple}" if multiple > 1 else "a whole number"
    expected = f"{kind} from {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        way_out = ""
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
            way_out = f"; write {int(value)}"
        raise TypeError(f"{name}={shown(value)} is {_a(value)}; {expected} is expected{way_out}")
    number = int(value)
    if not low <= number <= high or number % multiple:
        near = min(max((number + multiple // 2) // multiple * multiple, low), high)
        if number % multiple == 0:  # it is too small or too large
            expected = f"a whole number from {low} to {high}"
        raise ValueError(f"{name}={shown(number)} is not {expected}; the nearest is {near}")
    return number


def number(name: str, value: object, low: float, high: float = math.inf) -> float:
    """A finite float from low to high. Ints and NumPy's numbers become floats."""
    bounds = f"from {low} to {high}" if high < math.inf else f"of {low} or more"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            f"{name}={shown(value)} is {_a(value)}; a finite number {bounds} is expected"
        )
    try:
        result = float(value) + 0.0  # minus zero becomes zero
    except OverflowError:
        result = math.inf  # the sign does not matter: both infinities are refused
    if not math.isfinite(result) or not low <= result <= high:
        near = f"; the nearest is {min(max(result, low), high):g}" if math.isfinite(result) else ""
        raise ValueError(f"{name}={shown(value)} is not a finite number {bounds}{near}")
    return result


def choice(name: str, value: object, accepted: tuple[str, ...]) -> str:
    """One of the accepted names."""
    if not isinstance(value, str):
        listed = ", ".join(accepted)
        raise TypeError(
            f"{name}={shown(value)} is {_a(value)}; a name is expected: one of {listed}"
        )
    if value not in accepted:
        raise ValueError(f"{name}={shown(value)} is unknown; {known(value, accepted)}")
    return str.__str__(value)


def text(name: str, value: object) -> str:
    """Text that UTF-8 can encode, so that it can be stored: no half of a surrogate pair."""
    if not isinstance(value, str):
        raise TypeError(f"{name}={shown(value)} is {_a(value)}; text is expected")
    plain = str.__str__(value)
    try:
        plain.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name} holds half of a surrogate pair, U+{ord(plain[error.start]):04X}, at character "
            f"{error.start}: no text can be stored with it; remove it"
        ) from None
    return plain


def flag(name: str, value: object) -> bool:
    """True or False. NumPy's bools become Python's; 0 and 1 are refused."""
    if isinstance(value, bool):
        return value
    if type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise TypeError(f"{name}={shown(value)} is {_a(value)}; True or False is expected")


def png(name: str, value: object, maker: str) -> bytes:
    """Bytes that begin as a PNG does. The error names `maker`, a function that makes a PNG."""
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(
            f"{name}={shown(value)} is {_a(value)}; PNG bytes are expected: {maker} makes them "
            "from a path, a PIL image or an array"
        )
    data = bytes(value)
    try:
        png_header.size(data)
    except ValueError as error:
        raise ValueError(f"{name}: {error}; {maker} makes a PNG of any picture") from None
    return data


def model(model: object) -> None:
    """Raise TypeError if this is no model."""
    if not hasattr(model, "settings"):
        raise TypeError(
            f"model={shown(model)} is no model; the first argument is what sdnb.load() gives"
        )


def picture_given(model: str, channels: int, image: object) -> None:
    """Raise ValueError where a model for inpainting, of 9 input channels, is given no picture."""
    if channels == 9 and image is None:
        raise ValueError(
            f"{model} is an inpainting model (its UNet has 9 input channels): it needs image= "
            "and mask=. Use sdnb.inpaint, or load an ordinary checkpoint."
        )


def loaded(model: object) -> None:
    """Raise ValueError if the model was unloaded."""
    if not hasattr(model, "unet"):
        raise ValueError(UNLOADED)


def known(name: str, accepted: Iterable[str], elsewhere: Mapping[str, str] | None = None) -> str:
    """The end of an error about an unknown name: the most similar, if any, and all accepted names.

    `elsewhere` maps other programs' names, in lower case without punctuation, to ours.
    """
    names = tuple(accepted)
    near = (elsewhere or {}).get(_plain(name)) or most_alike(name, names)
    listed = ", ".join(names)
    return f"did you mean {near!r}? Known are {listed}" if near else f"known are {listed}"


def nearest(word: str, names: Iterable[str]) -> str:
    """`"; did you mean 'x'?"`, or `""` if no name is similar."""
    near = most_alike(word, names)
    return f"; did you mean {near!r}?" if near else ""


def most_alike(word: str, names: Iterable[str]) -> str:
    """The name that is most similar to a word; "" if none is similar."""
    from difflib import SequenceMatcher  # here, so that only a mistake pays for the import

    matches = [(SequenceMatcher(None, _plain(word), _plain(name)).ratio(), name) for name in names]
    likeness, near = max(matches, key=itemgetter(0), default=(0.0, ""))
    return near if likeness >= _LEAST_LIKENESS else ""


def _plain(word: str) -> str:
    """The word as it is compared: lower case, letters and digits only."""
    return "".join(c for c in word.lower().replace("+", "p") if c.isalnum())[:64]


def shown(value: object) -> str:
    """The value as an error shows it: cut to about a line."""
    if isinstance(value, (bytes, bytearray)):
        value = value[:96]
    result = _SHORT.repr(value)
    return result if len(result) <= 90 else result[:87] + "..."


def bare(word: str) -> str:
    """A name of a file's own as an error shows it: `shown` without the quotes."""
    return shown(word)[1:-1]


class _Short(reprlib.Repr):
    """Python's `repr` without the depths and the ends of what is nested, long or large."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxtuple, self.maxdict = 3, 24, 24, 8

    def repr_str(self, x: str, level: int) -> str:  # noqa: ARG002 - the base's signature
        return repr(x[:96])

    def repr_int(self, x: int, level: int) -> str:  # noqa: ARG002
        if x.bit_length() > 200:
            return f"{'-' if x < 0 else ''}2**{x.bit_length() - 1}..."
        return repr(x)

    def repr_instance(self, x: object, level: int) -> str:  # noqa: ARG002
        return repr(x)


_SHORT = _Short()


def _a(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
